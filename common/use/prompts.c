/* SPDX-License-Identifier: Apache-2.0 */
/* prompts.c: a line reader that can say "later", and the two forms of results. */
#include "common/use/prompts.h"

#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/prog.h"

#define FIELD(f) offsetof(struct prompts_cfg, f)

const struct opt prompts_table[] = {
    {"prompt", 'p', OPT_LIST, FIELD(prompt), "TEXT", "continue this; may be given several times",
     0},
    {"format", 'f', OPT_CHOICE, FIELD(format), "auto|lines|jsonl",
     "a prompt per line, or in a field of a JSON object per line; auto: JSON in files named .jsonl",
     0},
    {"text", 0, OPT_STRING, FIELD(field), "FIELD", "the field of JSON lines that is the prompt", 0},
    {"echo", 0, OPT_FLAG, FIELD(echo), NULL, "print the prompt before its continuation", 0},
    OPT_END};

enum { CHUNK = 1 << 16, LONGEST_LINE = 1 << 28 };

struct prompts {
    struct prompts_cfg cfg;
    const struct opt_list *files;
    size_t next; /* text or file that comes next */

    struct infile in;
    bool open, ended, json_lines; /* of the current file */
    int64_t line;
    struct bytes buffer;
    size_t used;     /* of the buffer */
    size_t searched; /* bytes after `used` known to hold no newline */
    json_t *object;  /* owns the prompt of a JSON line */

    struct outfile out;
    bool echoed, writes_json;
    int64_t results;
    double started;
};

/* ---- reading ---- */

static bool is_json_lines(const struct prompts_cfg *cfg, const char *path)
{
    const char *dot = path ? strrchr(path, '.') : NULL;
    return cfg->format == PROMPTS_JSONL ||
           (cfg->format == PROMPTS_AUTO && dot && strcmp(dot, ".jsonl") == 0);
}

static enum err open_next(struct errctx *e, struct prompts *p, bool *more)
{
    const char *path = p->files->count ? p->files->items[p->next] : NULL;
    *more = p->next < (p->files->count ? p->files->count : 1);
    if (!*more) return ERR_OK;
    p->next++;
    TRY(infile_open(e, path, &p->in));
    p->open = true;
    p->ended = false;
    p->line = 0;
    p->used = p->searched = p->buffer.len = 0;
    p->json_lines = is_json_lines(&p->cfg, path);
    return ERR_OK;
}

static bool would_block(const struct infile *in)
{
    struct pollfd f = {.fd = in->fd, .events = POLLIN};
    return !in->regular && poll(&f, 1, 0) == 0;
}

static enum err read_chunk(struct errctx *e, struct prompts *p)
{
    size_t got;
    memmove(p->buffer.data, p->buffer.data + p->used, p->buffer.len - p->used);
    p->buffer.len -= p->used;
    p->used = 0;
    if (p->buffer.len > LONGEST_LINE)
        return err_set(e, ERR_INPUT, "'%s': line %" PRId64 " is longer than %d bytes", p->in.name,
                       p->line + 1, LONGEST_LINE);
    TRY(bytes_reserve(e, &p->buffer, CHUNK));
    TRY(infile_read(e, &p->in, p->buffer.data + p->buffer.len, CHUNK, &got));
    p->buffer.len += got;
    p->ended = got == 0;
    return ERR_OK;
}

/* A line of the current file without its newline; GENERATE_NO_MORE at the end of the file. */
static enum err next_line(struct errctx *e, struct prompts *p, bool wait, const char **text,
                          size_t *length, enum generate_more *more)
{
    TRY(bytes_reserve(e, &p->buffer, 1)); /* never NULL */
    for (;;) {
        const char *from = (const char *)p->buffer.data + p->used;
        size_t n = p->buffer.len - p->used;
        const char *newline = memchr(from + p->searched, '\n', n - p->searched);
        if (newline || (p->ended && n > 0)) {
            *text = from;
            *length = newline ? (size_t)(newline - from) : n;
            p->used += *length + (newline != NULL);
            p->searched = 0;
            p->line++;
            *more = GENERATE_PROMPT;
            return ERR_OK;
        }
        p->searched = n;
        *more = p->ended ? GENERATE_NO_MORE : GENERATE_LATER;
        if (p->ended || (!wait && would_block(&p->in))) return ERR_OK;
        TRY(read_chunk(e, p));
    }
}

static enum err take_field(struct errctx *e, struct prompts *p, const char **text, size_t *length)
{
    json_error_t error;
    json_decref(p->object);
    p->object = json_loadb(*text, *length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!p->object)
        return err_set(e, ERR_INPUT, "'%s': line %" PRId64 " is not JSON: %s", p->in.name, p->line,
                       error.text);
    const json_t *field = json_object_get(p->object, p->cfg.field);
    if (!json_is_string(field))
        return err_set(e, ERR_INPUT, "'%s': line %" PRId64 " %s '%s' (another one: --text)",
                       p->in.name, p->line, field ? "has no text in its field" : "has no field",
                       p->cfg.field);
    *text = json_string_value(field);
    *length = json_string_length(field);
    return ERR_OK;
}

static enum err next_prompt(struct errctx *e, void *ctx, bool wait, const char **text,
                            size_t *length, enum generate_more *more)
{
    struct prompts *p = ctx;
    bool opened = true;
    *more = GENERATE_NO_MORE;
    if (p->cfg.prompt.count > 0) {
        if (p->next == p->cfg.prompt.count) return ERR_OK;
        *text = p->cfg.prompt.items[p->next++];
        *length = strlen(*text);
        *more = GENERATE_PROMPT;
        return ERR_OK;
    }
    while (opened) {
        if (p->open) {
            TRY(next_line(e, p, wait, text, length, more));
            if (*more == GENERATE_PROMPT && p->json_lines) return take_field(e, p, text, length);
            if (*more != GENERATE_NO_MORE) return ERR_OK;
            infile_close(&p->in);
            p->open = false;
        }
        TRY(open_next(e, p, &opened));
    }
    return ERR_OK;
}

/* ---- writing ---- */

static enum err write_echo(struct errctx *e, struct prompts *p, const struct generate_result *r)
{
    if (!p->cfg.echo || p->echoed) return ERR_OK;
    p->echoed = true;
    return outfile_write(e, &p->out, r->prompt, r->prompt_length);
}

static enum err write_piece(struct errctx *e, void *ctx, const struct generate_result *r,
                            const char *text, size_t length)
{
    struct prompts *p = ctx;
    if (p->writes_json) return ERR_OK;
    TRY(write_echo(e, p, r));
    return outfile_write(e, &p->out, text, length);
}

static json_t *result_json(const struct prompts *p, const struct generate_result *r)
{
    json_t *o = json_object(), *tokens = json_array();
    struct bytes whole = {0};
    struct errctx e = ERRCTX_INIT;
    for (size_t i = 0; i < r->ids_count; i++)
        json_array_append_new(tokens, json_integer(r->ids[i]));
    json_object_set_new(o, "prompt", json_stringn(r->prompt, r->prompt_length));
    json_object_set_new(o, "sample", json_integer(r->sample));
    if (p->cfg.echo && bytes_append(&e, &whole, r->prompt, r->prompt_length) == ERR_OK &&
        bytes_append(&e, &whole, r->text, r->text_length) == ERR_OK)
        json_object_set_new(o, "text", json_stringn((const char *)whole.data, whole.len));
    else
        json_object_set_new(o, "text", json_stringn(r->text, r->text_length));
    bytes_fini(&whole);
    json_object_set_new(o, "tokens", tokens);
    json_object_set_new(o, "finish", json_string(generate_finish_name(r->finish)));
    json_object_set_new(o, "logprob", json_real(r->logprob));
    return o;
}

static enum err write_json(struct errctx *e, struct prompts *p, const struct generate_result *r)
{
    json_t *o = result_json(p, r);
    char *line = json_dumps(o, JSON_COMPACT);
    struct bytes b = {0};
    json_decref(o);
    if (!line) return err_memory(e, "JSON", r->text_length);
    enum err code = bytes_printf(e, &b, "%s\n", line);
    if (code == ERR_OK) code = outfile_write(e, &p->out, b.data, b.len);
    bytes_fini(&b);
    free(line);
    return code;
}

static enum err write_result(struct errctx *e, void *ctx, const struct generate_result *r)
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

enum err prompts_open(struct errctx *e, const struct prompts_cfg *cfg, const struct opt_list *files,
                      const char *output, struct prompts **out)
{
    struct prompts *p;
    *out = NULL;
    if (cfg->prompt.count > 0 && files->count > 0)
        return err_set(e, ERR_USAGE, "prompts come from -p or from files, not both: '%s'",
                       files->items[0]);
    TRY(mem_new(e, &p, 1, sizeof *p, "prompts"));
    p->cfg = *cfg;
    p->files = files;
    p->started = prog_seconds();
    p->writes_json = cfg->json || cfg->format == PROMPTS_JSONL;
    for (size_t i = 0; i < files->count; i++) p->writes_json |= is_json_lines(cfg, files->items[i]);
    if (outfile_open(e, output, &p->out) != ERR_OK) {
        mem_free(p);
        return e->code;
    }
    *out = p;
    return ERR_OK;
}

struct generate_io prompts_io(struct prompts *p)
{
    return (struct generate_io){
        .next = next_prompt, .piece = write_piece, .done = write_result, .ctx = p};
}

enum err prompts_close(struct errctx *e, struct prompts *p, enum err r)
{
    if (!p) return r;
    prog_progress_done();
    if (p->open) infile_close(&p->in);
    if (r == ERR_OK)
        r = outfile_commit(e, &p->out);
    else
        outfile_abort(&p->out);
    json_decref(p->object);
    bytes_fini(&p->buffer);
    mem_free(p);
    return r;
}
