/* SPDX-License-Identifier: Apache-2.0 */
/* prompts.c: documents as prompts, one file after the other, and the two forms of results. */
#include "common/use/prompts.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/text/chat_documents.h"
#include "formats/jsonl.h"

#define FIELD(f) offsetof(struct prompts_cfg, f)

const struct opt prompts_table[] = {
    {"prompt", 'p', OPT_LIST, FIELD(prompt), "TEXT", "continue this text", 0},
    {"echo", 0, OPT_FLAG, FIELD(echo), NULL, "print the prompt before its continuation", 0},
    OPT_END};

#define DOCUMENTS(f) offsetof(struct documents_cfg, f)

const struct opt prompts_documents_table[] = {
    {"form", 'f', OPT_CHOICE, DOCUMENTS(form), DOCUMENT_TEXT_FORMS,
     "what a prompt is; auto goes by the file's extension: .jsonl .ndjson .csv .tsv, else a line",
     0},
    {"text", 0, OPT_STRING, DOCUMENTS(text), "FIELD",
     "field of jsonl, column of csv and tsv that holds the prompt (default: text)", 0},
    {"header", 0, OPT_FLAG, DOCUMENTS(header), NULL,
     "the first record of csv and tsv names the columns; without, they are numbered from 1", 0},
    {"invalid", 0, OPT_CHOICE, DOCUMENTS(invalid), "error|replace",
     "prompts that are not UTF-8: an error, or replaced by U+FFFD", 0},
    {"keep", 0, OPT_STRING, DOCUMENTS(keep), "FIELD,...|all",
     "fields of the record that go into its results", 0},
    OPT_END};

struct prompts {
    struct prompts_cfg cfg;
    struct documents_cfg documents_cfg;
    struct run *run;
    const struct opt_list *files;
    size_t next;                 /* text that comes next */
    struct documents *documents; /* of the files; NULL before the first is wanted */

    struct outfile out;
    bool echoed; /* the prompt of the result at hand is out */
    bool writes_json;
    int64_t results;
    double started;
};

/* ---- reading ---- */

static bool is_records(int form)
{
    return form == DOCUMENT_JSONL || form == DOCUMENT_CSV || form == DOCUMENT_TSV;
}

static enum err next_document(struct errctx *e, struct prompts *p, struct generator_prompt *out,
                              bool *more)
{
    struct document d;
    if (!p->documents) TRY(documents_open(e, p->run, &p->documents_cfg, p->files, &p->documents));
    TRY(documents_next(e, p->documents, &d, more));
    if (*more) *out = (struct generator_prompt){d.text, d.n, d.keep, d.keep_n};
    return ERR_OK;
}

static enum err next_prompt(struct errctx *e, void *ctx, struct generator_prompt *out, bool *more)
{
    struct prompts *p = ctx;
    if (p->cfg.prompt.count == 0) return next_document(e, p, out, more);
    *more = p->next < p->cfg.prompt.count;
    if (!*more) return ERR_OK;
    const char *text = p->cfg.prompt.items[p->next++];
    if (p->documents_cfg.chat) {
        struct document d;
        TRY(chat_question(e, p->documents_cfg.chat, text, p->next, &d));
        *out = (struct generator_prompt){.text = d.text, .length = d.n};
        return ERR_OK;
    }
    *out = (struct generator_prompt){.text = text, .length = strlen(text)};
    return ERR_OK;
}

static void set_work(void *ctx, void (*work)(void *), void *work_ctx)
{
    struct prompts *p = ctx;
    p->documents_cfg.before_block = work;
    p->documents_cfg.before_block_ctx = work_ctx;
}

/* ---- writing ---- */

static enum err write_echo(struct errctx *e, struct prompts *p, const struct generator_result *r)
{
    if (!p->cfg.echo || p->echoed) return ERR_OK;
    p->echoed = true;
    return outfile_write(e, &p->out, r->prompt, r->prompt_length);
}

static enum err write_piece(struct errctx *e, void *ctx, const struct generator_result *r,
                            const char *text, size_t length)
{
    struct prompts *p = ctx;
    if (p->writes_json) return ERR_OK;
    TRY(write_echo(e, p, r));
    return outfile_write(e, &p->out, text, length);
}

static const char *const own_fields[] = {"prompt", "sample", "text", "tokens", "finish", "logprob"};

/* NULL when memory is out. */
static json_t *result_json(const struct generator_result *r, const char *text, size_t length)
{
    json_t *o = json_object(), *tokens = json_array();
    int bad = 0;
    for (size_t i = 0; i < r->ids_count; i++)
        bad |= json_array_append_new(tokens, json_integer(r->ids[i]));
    bad |= json_object_set_new(o, own_fields[0], json_stringn(r->prompt, r->prompt_length));
    bad |= json_object_set_new(o, own_fields[1], json_integer(r->sample));
    bad |= json_object_set_new(o, own_fields[2], json_stringn(text, length));
    bad |= json_object_set_new(o, own_fields[3], tokens);
    bad |= json_object_set_new(o, own_fields[4], json_string(generator_finish_name(r->finish)));
    bad |= json_object_set_new(o, own_fields[5], json_real(r->logprob));
    if (!bad) return o;
    json_decref(o);
    return NULL;
}

static bool is_own(const struct jsonl_member *m)
{
    for (size_t i = 0; i < ARRAY_LEN(own_fields); i++)
        if (jsonl_key_is(m, own_fields[i])) return true;
    return false;
}

/* What was kept of the record, as it is, then ours. */
static enum err print_result(struct errctx *e, const struct generator_result *r,
                             const struct bytes *text, struct bytes *out)
{
    struct jsonl_member m;
    TRY(bytes_append(e, out, "{", 1));
    for (const char *at = NULL; r->keep && jsonl_next(r->keep, r->keep_length, &at, &m);) {
        if (is_own(&m)) continue;
        TRY(jsonl_append(e, &m, out));
        TRY(bytes_append(e, out, ",", 1));
    }
    json_t *o = result_json(r, text->data ? (const char *)text->data : "", text->len);
    char *own = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    enum err code =
        own ? bytes_printf(e, out, "%s\n", own + 1) : err_memory(e, "JSON", r->text_length);
    free(own);
    return code;
}

static enum err write_json(struct errctx *e, struct prompts *p, const struct generator_result *r)
{
    struct bytes text = {0}, line = {0};
    enum err code = p->cfg.echo ? bytes_append(e, &text, r->prompt, r->prompt_length) : ERR_OK;
    if (code == ERR_OK) code = bytes_append(e, &text, r->text, r->text_length);
    if (code == ERR_OK) code = print_result(e, r, &text, &line);
    if (code == ERR_OK) code = outfile_write(e, &p->out, line.data, line.len);
    bytes_fini(&text);
    bytes_fini(&line);
    return code;
}

static enum err write_result(struct errctx *e, void *ctx, const struct generator_result *r)
{
    struct prompts *p = ctx;
    p->results++;
    if (!isatty(p->out.fd)) /* there the text itself shows how it goes */
        prog_progress("%" PRId64 " results, %.1f/s", p->results,
                      (double)p->results / (prog_seconds() - p->started + 1e-9));
    if (p->writes_json) return write_json(e, p, r);
    TRY(write_echo(e, p, r));
    p->echoed = false;
    return outfile_write(e, &p->out, "\n", 1);
}

/* ---- opening and closing ---- */

enum err prompts_open(struct errctx *e, struct run *run, const struct prompts_cfg *cfg,
                      const struct documents_cfg *documents, const struct opt_list *files,
                      const char *output, struct prompts **out)
{
    struct prompts *p;
    *out = NULL;
    if (cfg->prompt.count > 0 && files->count > 0)
        return err_set(e, ERR_USAGE, "prompts come from -p or from files, not both: '%s'",
                       files->items[0]);
    const char *of_files = documents->keep                    ? "--keep"
                           : documents->text                  ? "--text"
                           : !documents->header               ? "--no-header"
                           : documents->invalid               ? "--invalid"
                           : documents->form != DOCUMENT_AUTO ? "-f"
                                                              : NULL;
    if (cfg->prompt.count > 0 && of_files)
        return err_set(e, ERR_USAGE, "%s is for prompts from files, not from -p", of_files);
    TRY(mem_new(e, &p, 1, sizeof *p, "prompts"));
    p->cfg = *cfg;
    p->documents_cfg = *documents;
    p->documents_cfg.otherwise = DOCUMENT_LINES;
    p->run = run;
    p->files = files;
    p->started = prog_seconds();
    p->writes_json =
        cfg->json || (cfg->prompt.count == 0 && files->count == 0 && is_records(documents->form));
    for (size_t i = 0; i < files->count; i++)
        p->writes_json |= is_records(documents_form(documents, files->items[i]));
    if (outfile_open(e, output, &p->out) != ERR_OK) {
        mem_free(p);
        return e->code;
    }
    *out = p;
    return ERR_OK;
}

struct generator_io prompts_io(struct prompts *p)
{
    return (struct generator_io){.prompts = (int64_t)p->cfg.prompt.count,
                                 .waits = set_work,
                                 .next = next_prompt,
                                 .piece = write_piece,
                                 .done = write_result,
                                 .ctx = p};
}

enum err prompts_close(struct errctx *e, struct prompts *p, enum err r)
{
    if (!p) return r;
    prog_progress_done();
    if (p->documents) documents_close(p->documents);
    if (r == ERR_OK)
        r = outfile_commit(e, &p->out);
    else
        outfile_abort(&p->out);
    mem_free(p);
    return r;
}
