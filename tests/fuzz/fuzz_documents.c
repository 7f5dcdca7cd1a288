/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_documents.c: any bytes as a file of text: u8 options (form, header, invalid, keep, pair,
 * fields, words), then the file. Laws: what comes out is UTF-8, what is kept of a record is a JSON
 * object, fields are as many as were asked for, words make up their text, and a file read in full
 * gives the same documents when the newline at its very end is left out (of lines and records). */
#include <jansson.h>
#include <string.h>

#include "common/text/documents.h"
#include "common/text/utf8.h"
#include "formats/jsonl.h"
#include "tests/fuzz/fuzz.h"

struct seen {
    enum err code;
    size_t documents;
    uint64_t bytes;
};

/* Without its numbers, which have any size. */
static void demand_object(const char *text, size_t n)
{
    struct errctx e = ERRCTX_INIT;
    struct bytes scratch = {0};
    struct jsonl_member m;
    size_t members = 0;
    json_t *o = NULL;
    fuzz_demand(jsonl_parse_texts(&e, text, n, 1, &scratch, &o) == ERR_OK,
                "what is kept is a JSON object");
    for (const char *at = NULL; jsonl_next(text, n, &at, &m);) {
        fuzz_demand(at <= text + n && m.value_n > 0, "a member is within its object");
        members++;
    }
    fuzz_demand(members == json_object_size(o), "members are walked through");
    json_decref(o);
    bytes_fini(&scratch);
}

static void demand_text(const struct document_field *f)
{
    fuzz_demand(f->value != VALUE_LIST, "no list is within a list");
    fuzz_demand(f->value == VALUE_NONE || f->n == 0 ||
                    utf8_valid_prefix((const uint8_t *)f->text, f->n) == f->n,
                "fields are UTF-8");
}

static void demand_fields(const struct document *d, const struct documents_cfg *cfg)
{
    for (size_t i = 0; i < cfg->fields_count; i++) {
        const struct document_field *f = &d->fields[i];
        if (f->value != VALUE_LIST) demand_text(f);
        for (size_t k = 0; f->value == VALUE_LIST && k < f->items_count; k++)
            demand_text(&f->items[k]);
        if (cfg->form == DOCUMENT_CONLL)
            fuzz_demand(f->value == VALUE_LIST && f->items_count == d->words_count,
                        "each word has its columns");
    }
}

static void demand_words(const struct document *d)
{
    size_t end = 0;
    for (size_t i = 0; i < d->words_count; i++) {
        fuzz_demand(d->words[i].from == end + (i > 0) && d->words[i].to > d->words[i].from,
                    "words follow each other");
        end = d->words[i].to;
    }
    fuzz_demand(end == d->n, "the text is the words");
}

static void demand_document(const struct document *d, const struct documents_cfg *cfg)
{
    fuzz_demand(utf8_valid_prefix((const uint8_t *)d->text, d->n) == d->n, "documents are UTF-8");
    fuzz_demand((cfg->pair != NULL) == (d->pair != NULL), "a pair has two texts");
    if (d->pair)
        fuzz_demand(utf8_valid_prefix((const uint8_t *)d->pair, d->pair_n) == d->pair_n,
                    "second texts are UTF-8");
    fuzz_demand((cfg->keep != NULL) == (d->keep != NULL),
                "what is kept is there when it is wanted");
    if (d->keep) demand_object(d->keep, d->keep_n);
    demand_fields(d, cfg);
    if (cfg->words || cfg->form == DOCUMENT_CONLL) demand_words(d);
}

static struct seen read_all(const struct documents_cfg *cfg, const uint8_t *data, size_t n)
{
    const char *path = fuzz_file(data, n);
    const struct opt_list paths = {.items = &path, .count = 1};
    struct errctx e = ERRCTX_INIT;
    struct documents *d;
    struct seen seen = {0};
    bool more = true;
    if (documents_open(&e, NULL, cfg, &paths, &d) == ERR_OK) {
        struct document doc;
        while (documents_next(&e, d, &doc, &more) == ERR_OK && more) {
            demand_document(&doc, cfg);
            seen.documents += doc.end;
            seen.bytes += doc.n;
        }
        documents_close(d);
    }
    fuzz_demand_outcome(&e, false);
    seen.code = e.code;
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = {data, n};
    struct documents_cfg cfg = DOCUMENTS_CFG;
    uint32_t way = fuzz_number(&in, 1);
    cfg.form = DOCUMENT_LINES + (int)(way % 6);
    cfg.header = way / 6 % 2 || cfg.form < DOCUMENT_CSV;
    cfg.invalid = (int)(way / 12 % 2);
    bool records = cfg.form >= DOCUMENT_JSONL;
    if (records && way / 24 % 2) cfg.keep = "all";
    if (!cfg.header) cfg.text = "1";
    if (records && way / 48 % 2) cfg.pair = cfg.header ? "b" : "2";
    const char *const fields[] = {cfg.header ? "b" : "2", cfg.header ? "text" : "1"};
    const char *const columns[] = {NULL, "2"};
    if (records && way / 96 % 2) {
        cfg.fields = fields;
        cfg.fields_count = 2;
    }
    if (way >= 192) { /* words */
        cfg = DOCUMENTS_CFG;
        cfg.form = way % 2 ? DOCUMENT_CONLL : DOCUMENT_JSONL;
        cfg.invalid = (int)(way / 2 % 2);
        cfg.words = true;
        cfg.fields = way % 2 ? columns : fields;
        cfg.fields_count = 2;
    }
    struct seen whole = read_all(&cfg, in.data, in.n);
    bool newline = in.n > 1 && in.data[in.n - 1] == '\n' && in.data[in.n - 2] > '\r' &&
                   in.data[in.n - 2] < 127;
    if (whole.code != ERR_OK || !newline || cfg.form == DOCUMENT_FILES) return 0;
    struct seen less = read_all(&cfg, in.data, in.n - 1);
    fuzz_demand(less.code == ERR_OK && less.documents == whole.documents &&
                    less.bytes == whole.bytes,
                "the last newline ends the last document and adds nothing");
    return 0;
}
