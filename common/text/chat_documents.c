/* SPDX-License-Identifier: Apache-2.0 */
/* chat_documents.c: see chat_documents.h. */
#include "common/text/chat_documents.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "common/base/io.h"
#include "common/text/utf8.h"
#include "formats/jsonl.h"

const struct opt chat_opts[] = {
    {"chat", 0, OPT_FLAG, offsetof(struct chat_cfg, on), NULL,
     "documents are conversations of JSON lines, written by the model's chat template"},
    {"chat-template", 0, OPT_STRING, offsetof(struct chat_cfg, template), "FILE|NAME",
     "template to use (default: the tokenizer's own): a file, or chatml, zephyr, llama2, llama3, "
     "mistral, qwen2, smollm2, phi3, gemma",
     OPT_PATH},
    {"generation-prompt", 0, OPT_FLAG, offsetof(struct chat_cfg, generation_prompt), NULL,
     "end with what begins an answer of the assistant"},
    {"date", 0, OPT_STRING, offsetof(struct chat_cfg, today), "YYYY-MM-DD",
     "the day that a template is told which asks for today's"},
    OPT_END};

const struct opt chat_answer_opts[] = {
    {"chat", 0, OPT_FLAG, offsetof(struct chat_cfg, on), NULL,
     "answer: a text of -p is what a user says, files are conversations of JSON lines; the model's "
     "chat template writes them"},
    {"chat-template", 0, OPT_STRING, offsetof(struct chat_cfg, template), "FILE|NAME",
     "template to use (default: the model's own): a file, or chatml, zephyr, llama2, llama3, "
     "mistral, qwen2, smollm2, phi3, gemma",
     OPT_PATH},
    {"date", 0, OPT_STRING, offsetof(struct chat_cfg, today), "YYYY-MM-DD",
     "the day that a template is told which asks for today's"},
    OPT_END};

static const char *const roles[] = {"bos", "eos", "unk", "pad", "cls", "sep", "mask"};
static const char *const variables[] = {"bos_token", "eos_token", "unk_token", "pad_token",
                                        "cls_token", "sep_token", "mask_token"};

struct chat {
    const struct chat_cfg *cfg;
    const struct tokenizer_spec *spec;
    struct chat_template *template;
    struct chat_variable variables[ARRAY_LEN(variables)];
    size_t variables_count;
    struct chat_rendering rendered;
    json_t *record;
    struct chat_span *spans;
    size_t spans_count, spans_capacity;
    uint32_t *special; /* ids of special tokens */
    size_t special_count;
    uint64_t silent;
};

/* ------------------------------------------------------------------ setting up */

static bool is_day(const char *text)
{
    struct tm day = {0}, same;
    int n = 0;

    if (sscanf(text, "%4d-%2d-%2d%n", &day.tm_year, &day.tm_mon, &day.tm_mday, &n) != 3 ||
        n != 10 || text[10] != 0)
        return false;
    day.tm_year -= 1900;
    day.tm_mon--;
    same = day;
    (void)timegm(&same);
    return same.tm_year == day.tm_year && same.tm_mon == day.tm_mon && same.tm_mday == day.tm_mday;
}

enum err chat_cfg_check(struct errctx *e, const struct chat_cfg *cfg,
                        const struct documents_cfg *documents)
{
    if (!cfg->on && (cfg->template != NULL || cfg->generation_prompt || cfg->today != NULL))
        return err_set(e, ERR_USAGE, "%s is for --chat",
                       cfg->template != NULL    ? "--chat-template"
                       : cfg->generation_prompt ? "--generation-prompt"
                                                : "--date");
    if (!cfg->on) return ERR_OK;
    if (documents->form != DOCUMENT_AUTO && documents->form != DOCUMENT_JSONL)
        return err_set(e, ERR_USAGE, "--chat reads JSON lines (-f jsonl)");
    if (documents->pair != NULL) return err_set(e, ERR_USAGE, "--pair is not for --chat");
    if (cfg->today != NULL && !is_day(cfg->today))
        return err_set(e, ERR_USAGE, "--date '%s': not a day as YYYY-MM-DD", cfg->today);
    return ERR_OK;
}

static enum err find_special(struct errctx *e, struct chat *c)
{
    const struct tokenizer_spec *s = c->spec;

    for (int64_t i = 0; i < s->vocab; i++)
        c->special_count += (s->flags[i] & TOKEN_SPECIAL) != 0 && s->start[i + 1] > s->start[i];
    TRY(mem_new(e, &c->special, c->special_count, sizeof *c->special, "chat template"));
    c->special_count = 0;
    for (int64_t i = 0; i < s->vocab; i++)
        if ((s->flags[i] & TOKEN_SPECIAL) != 0 && s->start[i + 1] > s->start[i])
            c->special[c->special_count++] = (uint32_t)i;
    for (size_t k = 0; k < ARRAY_LEN(roles); k++) {
        int64_t id = tokenizer_spec_special(s, roles[k]);
        if (id < 0) continue;
        c->variables[c->variables_count++] =
            (struct chat_variable){variables[k], (const char *)s->bytes + s->start[id],
                                   (size_t)(s->start[id + 1] - s->start[id])};
    }
    return ERR_OK;
}

/* The template's source: its name is an input of the run, whatever it comes from. */
static enum err read_source(struct errctx *e, struct run *run, const struct chat_cfg *cfg,
                            struct bytes *source)
{
    const char *known = chat_template_named(cfg->template);
    XXH128_canonical_t content;
    size_t slot;

    if (known != NULL) {
        TRY(bytes_append(e, source, known, strlen(known)));
    } else if (io_slurp(e, cfg->template, CHAT_TEMPLATE_LIMIT, source) != ERR_OK) {
        return strchr(cfg->template, '/') != NULL || strchr(cfg->template, '.') != NULL
                   ? e->code
                   : err_prefix(e, "--chat-template is a file or one of %s", chat_template_names);
    }
    TRY(run_input_open(e, run, "chat-template", cfg->template, &slot));
    XXH128_canonicalFromHash(&content, XXH3_128bits(source->data, source->len));
    return run_input_done(e, run, slot, content.digest, NULL, -1, false);
}

static enum err read_template(struct errctx *e, struct run *run, struct chat *c, const char *name)
{
    const char *own = tokenizer_spec_chat_template(c->spec);
    struct bytes source = {0};
    enum err code;

    if (c->cfg->template == NULL && own == NULL)
        return err_set(e, ERR_INPUT,
                       "'%s': the tokenizer has no chat template (--chat-template FILE, or one of "
                       "%s)",
                       name, chat_template_names);
    if (c->cfg->template == NULL) return chat_template_new(e, own, strlen(own), name, &c->template);
    code = read_source(e, run, c->cfg, &source);
    if (code == ERR_OK)
        code = chat_template_new(e, (const char *)source.data, source.len, c->cfg->template,
                                 &c->template);
    bytes_fini(&source);
    return code;
}

enum err chat_new(struct errctx *e, struct run *run, const struct chat_cfg *cfg,
                  const struct tokenizer_spec *spec, const char *name, struct chat **out)
{
    struct chat *c;
    enum err code;

    *out = NULL;
    TRY(mem_new(e, &c, 1, sizeof *c, "chat template"));
    c->cfg = cfg;
    c->spec = spec;
    code = find_special(e, c);
    if (code == ERR_OK) code = read_template(e, run, c, name);
    if (code != ERR_OK) {
        chat_free(c);
        return code;
    }
    *out = c;
    return ERR_OK;
}

void chat_free(struct chat *c)
{
    if (c == NULL) return;
    chat_rendering_fini(&c->rendered);
    chat_template_free(c->template);
    json_decref(c->record);
    mem_free(c->spans);
    mem_free(c->special);
    mem_free(c);
}

uint64_t chat_silent(const struct chat *c)
{
    return c->silent;
}

/* ------------------------------------------------------------------ a conversation */

static enum err bad_message(struct errctx *e, uint64_t number, size_t i, const char *what)
{
    return err_set(e, ERR_INPUT, "line %llu: message %zu %s", (unsigned long long)number, i + 1,
                   what);
}

static bool calls_tools(const json_t *message)
{
    return json_array_size(json_object_get(message, "tool_calls")) > 0;
}

static enum err check_messages(struct errctx *e, const json_t *messages, uint64_t number)
{
    if (json_array_size(messages) == 0)
        return err_set(e, ERR_INPUT, "line %llu: a conversation without messages",
                       (unsigned long long)number);
    if (json_array_size(messages) > CHAT_MESSAGES_LIMIT)
        return err_set(e, ERR_INPUT, "line %llu: a conversation of more than %d messages",
                       (unsigned long long)number, CHAT_MESSAGES_LIMIT);
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i), *content = json_object_get(m, "content");
        const json_t *role = json_object_get(m, "role");
        if (!json_is_object(m)) return bad_message(e, number, i, "is not an object");
        if (role == NULL) return bad_message(e, number, i, "has no 'role'");
        if (!json_is_string(role))
            return bad_message(e, number, i, "has a 'role' that is no string");
        if ((content == NULL || json_is_null(content)) && !calls_tools(m))
            return bad_message(e, number, i,
                               content == NULL ? "has no 'content'" : "has a 'content' of null");
    }
    return ERR_OK;
}

/* The record on the line: an object with the messages, or they alone. */
static enum err parse_line(struct errctx *e, struct chat *c, const char *line, size_t n,
                           uint64_t number, const char *key, const json_t **messages)
{
    json_error_t error;

    json_decref(c->record);
    c->record =
        json_loadb(line, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (c->record == NULL)
        return err_set(
            e, json_error_code(&error) == json_error_out_of_memory ? ERR_MEMORY : ERR_INPUT,
            "line %llu, column %d: %s", (unsigned long long)number, error.column, error.text);
    *messages = c->record;
    if (json_is_object(c->record)) {
        *messages = json_object_get(c->record, key);
        if (*messages == NULL) return jsonl_missing(e, c->record, key, number);
        if (!json_is_array(*messages))
            return err_set(e, ERR_INPUT, "line %llu: field '%s' is not a list of messages",
                           (unsigned long long)number, key);
    } else if (!json_is_array(c->record)) {
        return err_set(e, ERR_INPUT,
                       "line %llu: neither an object with messages nor a list of them",
                       (unsigned long long)number);
    }
    return check_messages(e, *messages, number);
}

/* ------------------------------------------------------------------ what the assistant says */

/* Bytes of the longest special token at text[at..). */
static size_t special_at(const struct chat *c, size_t at)
{
    const struct tokenizer_spec *s = c->spec;
    size_t best = 0;

    for (size_t i = 0; i < c->special_count; i++) {
        uint64_t from = s->start[c->special[i]];
        size_t n = (size_t)(s->start[c->special[i] + 1] - from);
        if (n > best && n <= c->rendered.n - at &&
            memcmp(s->bytes + from, c->rendered.text + at, n) == 0)
            best = n;
    }
    return best;
}

/* Where a turn ends whose last word ends at `end`. */
static size_t turn_end(const struct chat *c, size_t end, bool tools)
{
    const struct chat_rendering *r = &c->rendered;

    for (size_t at = end; at < r->n && r->marks[at] == 0; at++) {
        size_t n = special_at(c, at);
        if (n > 0) return at + n;
        if (!tools && strchr(" \t\r\n", r->text[at]) == NULL) return end;
    }
    return end;
}

static enum err add_span(struct errctx *e, struct chat *c, size_t from, size_t to)
{
    if (from == to) return ERR_OK;
    TRY(mem_grow(e, &c->spans, &c->spans_capacity, c->spans_count + 1, sizeof *c->spans,
                 "conversation"));
    c->spans[c->spans_count++] = (struct chat_span){from, to};
    return ERR_OK;
}

static enum err find_spans(struct errctx *e, struct chat *c, const json_t *messages)
{
    const struct chat_rendering *r = &c->rendered;
    size_t last;

    c->spans_count = 0;
    for (size_t i = 0; i < r->generated_count; i++)
        TRY(add_span(e, c, r->generated[i].from, r->generated[i].to));
    if (r->has_generation || r->marks == NULL) return ERR_OK;
    for (size_t at = 0; at < r->n; at = last + 1) {
        uint16_t mark = r->marks[at];
        last = at;
        if (mark == 0) continue;
        for (size_t k = at; k < r->n && (r->marks[k] == mark || r->marks[k] == 0); k++)
            if (r->marks[k] == mark) last = k;
        const json_t *m = json_array_get(messages, (size_t)mark - 1);
        if (strcmp(json_string_value(json_object_get(m, "role")), "assistant") == 0)
            TRY(add_span(e, c, at, turn_end(c, last + 1, calls_tools(m))));
    }
    return ERR_OK;
}

static const json_t *given(const json_t *record, const char *key)
{
    const json_t *v = json_object_get(record, key);

    return json_is_null(v) ? NULL : v;
}

enum err chat_document(struct errctx *e, struct chat *c, const char *line, size_t n,
                       uint64_t number, const char *key, struct document *out, json_t **object)
{
    const json_t *messages = NULL;
    struct chat_input in = {.variables = c->variables,
                            .variables_count = c->variables_count,
                            .generation_prompt = c->cfg->generation_prompt,
                            .today = c->cfg->today};

    TRY(parse_line(e, c, line, n, number, key, &messages));
    in.messages = messages;
    in.tools = given(c->record, "tools");
    in.documents = given(c->record, "documents");
    in.more = given(c->record, "chat_template_kwargs");
    if (in.more != NULL && !json_is_object(in.more))
        return err_set(e, ERR_INPUT, "line %llu: field 'chat_template_kwargs' is not an object",
                       (unsigned long long)number);
    if (chat_template_render(e, c->template, &in, &c->rendered) != ERR_OK)
        return err_prefix(e, "line %llu", (unsigned long long)number);
    TRY(find_spans(e, c, messages));
    c->silent += c->spans_count == 0;
    out->text = c->rendered.text;
    out->n = c->rendered.n;
    out->scored = c->spans;
    out->scored_count = c->spans_count;
    *object = json_is_object(c->record) ? json_incref(c->record) : NULL;
    return ERR_OK;
}

enum err chat_question(struct errctx *e, struct chat *c, const char *text, uint64_t number,
                       struct document *out)
{
    json_t *messages = json_pack("[{s:s,s:s}]", "role", "user", "content", text), *object = NULL;
    char *line = messages ? json_dumps(messages, JSON_COMPACT) : NULL;
    json_decref(messages);
    if (!line)
        return utf8_valid_prefix((const uint8_t *)text, strlen(text)) == strlen(text)
                   ? err_memory(e, "prompt", strlen(text))
                   : err_set(e, ERR_INPUT, "prompt %" PRIu64 " is not valid UTF-8", number);
    (void)!chat_document(e, c, line, strlen(line), number, "messages", out, &object);
    json_decref(object);
    free(line);
    return e->code;
}
