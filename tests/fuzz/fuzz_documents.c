/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_documents.c: any bytes as a file of text: u8 options (form, header, invalid, keep), then the
 * file. Laws: what comes out is UTF-8, what is kept of a record is a JSON object, and a file read
 * in full gives the same documents when the newline at its very end is left out (of lines and
 * records). */
#include <jansson.h>
#include <string.h>

#include "common/text/documents.h"
#include "common/text/utf8.h"
#include "tests/fuzz/fuzz.h"

struct seen {
    enum err code;
    size_t documents;
    uint64_t bytes;
};

static void demand_document(const struct document *d, bool keep)
{
    fuzz_demand(utf8_valid_prefix((const uint8_t *)d->text, d->n) == d->n, "documents are UTF-8");
    fuzz_demand(keep == (d->keep != NULL), "what is kept is there when it is wanted");
    if (!keep) return;
    json_t *o = json_loadb(d->keep, d->keep_n, JSON_ALLOW_NUL, NULL);
    fuzz_demand(json_is_object(o), "what is kept is a JSON object");
    json_decref(o);
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
            demand_document(&doc, cfg->keep != NULL);
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
