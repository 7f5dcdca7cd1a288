/* SPDX-License-Identifier: Apache-2.0 */
/* model_source.c: see model_source.h. */
#include "common/convert/model_source.h"

#include <string.h>
#include <sys/stat.h>

#include "common/base/io.h"
#include "common/base/prog.h"
#include "formats/mp_json.h"

#define JSON_LIMIT ((size_t)64 << 20)

void model_source_init(struct model_source *s, struct run *run)
{
    *s = (struct model_source){.run = run};
    tensor_file_init(&s->tensors);
    embedding_init(&s->embedding);
    tokenizer_spec_init(&s->tokenizer);
    mp_map_init(&s->about);
}

void model_source_close(struct model_source *s)
{
    matching_fini(&s->matching);
    file_digests_fini(&s->digests);
    findings_fini(&s->findings);
    tensor_file_close(&s->tensors);
    embedding_fini(&s->embedding);
    tokenizer_spec_fini(&s->tokenizer);
    mp_fini(&s->about);
    json_decref(s->config);
    model_source_init(s, NULL);
}

/* ------------------------------------------------------------------ files */

enum err model_source_record(struct errctx *e, struct model_source *s, const char *path)
{
    size_t slot;
    uint8_t digest[16];
    if (!s->run) return ERR_OK;
    TRY(run_input_open(e, s->run, "input", path, &slot));
    TRY(file_digest(e, path, digest));
    return run_input_done(e, s->run, slot, digest, NULL, -1, false);
}

enum err model_source_record_large(struct errctx *e, struct model_source *s, const char *path)
{
    size_t slot;
    if (!s->run) return ERR_OK;
    TRY(run_input_open(e, s->run, "input", path, &slot));
    return file_digests_add(e, &s->digests, path, slot);
}

enum err model_source_json(struct errctx *e, struct model_source *s, const char *folder,
                           const char *name, json_t **root)
{
    struct bytes text = {0};
    struct stat st;
    json_error_t where;
    char *path;
    *root = NULL;
    TRY(mem_printf(e, &path, "%s/%s", folder, name));
    if (stat(path, &st) == 0 && io_slurp(e, path, JSON_LIMIT, &text) == ERR_OK) {
        *root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &where);
        if (!*root)
            err_set(e, ERR_INPUT, "'%s': line %d, byte %d: %s", path, where.line, where.position,
                    where.text);
        else
            (void)!model_source_record(e, s, path);
    }
    bytes_fini(&text);
    mem_free(path);
    return e->code;
}

/* ------------------------------------------------------------------ what follows */

static enum err check_tokenizer(struct errctx *e, struct model_source *s)
{
    if (!s->has_tokenizer || s->tokenizer.vocab <= s->x.c.vocab) return ERR_OK;
    return findings_add(e, &s->findings, "its tokenizer has %lld tokens, its embedding %lld rows",
                        (long long)s->tokenizer.vocab, (long long)s->x.c.vocab);
}

void model_source_take_tokenizer(struct model_source *s, struct tokenizer_spec *spec)
{
    tokenizer_spec_fini(&s->tokenizer);
    s->tokenizer = *spec;
    s->has_tokenizer = true;
    tokenizer_spec_init(spec);
}

enum err model_source_no_tokenizer(struct errctx *e, struct model_source *s)
{
    if (e->code != ERR_INPUT) return e->code;
    char why[sizeof e->message];
    snprintf(why, sizeof why, "%s", e->message);
    err_clear(e);
    return findings_add(e, &s->findings, "its tokenizer (-t gives another): %s", why);
}

enum err model_source_match(struct errctx *e, struct model_source *s)
{
    if (!s->family) return ERR_OK;
    TRY(family_read_config(e, s->family, s->config,
                           !match_has(s->family, &s->tensors, "head.dense."), &s->x, &s->findings));
    if (s->findings.count) return ERR_OK;
    TRY(matching_make(e, s->family, &s->tensors, &s->x.c, &s->findings, &s->matching));
    s->matched = true;
    return check_tokenizer(e, s);
}

/* ------------------------------------------------------------------ report */

static void report_types(const struct model_source *s, FILE *out)
{
    int64_t counts[DTYPE_COUNT] = {0};
    uint64_t bytes = 0;
    char size[32];
    const char *comma = "";
    for (size_t i = 0; i < s->tensors.count; i++) {
        counts[s->tensors.entries[i].dtype]++;
        bytes += s->tensors.entries[i].bytes;
    }
    fprintf(out, "  tensors    %zu, %s:", s->tensors.count, prog_format_bytes((double)bytes, size));
    for (int t = 0; t < DTYPE_COUNT; t++)
        if (counts[t]) {
            fprintf(out, "%s %lld %s", comma, (long long)counts[t], dtype_name((enum dtype)t));
            comma = ",";
        }
    fputc('\n', out);
}

static void report_config(const struct model_config *c, FILE *out)
{
    fprintf(out, "  sizes      %lld layers, %lld wide, %lld heads", (long long)c->layers,
            (long long)c->width, (long long)c->heads);
    if (c->kv_heads != c->heads) fprintf(out, " (%lld of keys and values)", (long long)c->kv_heads);
    fprintf(out, " of %lld, mlp %lld, vocabulary %lld\n", (long long)c->head_size,
            (long long)c->mlp, (long long)c->vocab);
    fprintf(out, "  parameters %lld\n", (long long)model_config_parameters(c));
    fprintf(out, "  context    %lld", (long long)c->context);
    if (c->window) fprintf(out, ", window %lld", (long long)c->window);
    if (c->position == POSITION_ROPE) fprintf(out, ", rope theta %g", c->rope_theta);
    fputc('\n', out);
}

static void report_embedding(const struct embedding *x, FILE *out)
{
    fputs("  embedding  ", out);
    const char *comma = "";
    for (unsigned bit = 1; bit <= POOLING_LAST; bit *= 2)
        if (x->pooling & bit) {
            fprintf(out, "%s%s", comma, pooling_name((enum pooling)bit));
            comma = ", ";
        }
    if (x->normalize) fputs(", normalized", out);
    if (x->max_length) fprintf(out, ", at most %lld tokens", (long long)x->max_length);
    if (x->prompts_count) fprintf(out, ", %zu prompts", x->prompts_count);
    fputc('\n', out);
}

enum err model_source_report(struct errctx *e, const struct model_source *s, FILE *out)
{
    const struct mp_value *license = mp_get(&s->about, "license");
    char line[80];
    fprintf(out, "%s: %s\n", s->format, s->family ? s->family->name : "of no family that is known");
    for (size_t i = 0; i < s->tensors.files_count; i++)
        fprintf(out, "  file       %s\n", s->tensors.files[i].path);
    report_types(s, out);
    if (s->matched) {
        report_config(&s->x.c, out);
        if (s->matching.ignored)
            fprintf(out, "  not read   %lld tensors that mean nothing to it\n",
                    (long long)s->matching.ignored);
    }
    if (s->has_tokenizer)
        fprintf(out, "  tokenizer  %lld tokens\n", (long long)s->tokenizer.vocab);
    else
        fputs("  tokenizer  none\n", out);
    if (s->has_embedding) report_embedding(&s->embedding, out);
    if (license) {
        snprintf(line, sizeof line, "%s", license->as.bytes.data);
        err_tidy(line);
        fprintf(out, "  licence    %s\n", line);
    }
    for (size_t i = 0; i < s->findings.count; i++)
        fprintf(out, "  refused    %s\n", s->findings.lines[i]);
    return ferror(out) ? err_errno(e, "cannot write the report") : ERR_OK;
}

/* ------------------------------------------------------------------ writing */

static enum err begin_meta(struct errctx *e, const struct model_source *s, struct stream_begin *b)
{
    struct mp_value map;
    mp_map_init(&map);
    if (model_config_to_meta(e, &s->matching.c, &map) == ERR_OK)
        (void)!mp_set(e, &b->meta, "config", &map);
    mp_fini(&map);
    mp_map_init(&map);
    if (e->code == ERR_OK && s->has_embedding &&
        embedding_to_meta(e, &s->embedding, &map) == ERR_OK)
        (void)!mp_set(e, &b->meta, "embedding", &map);
    mp_fini(&map);
    TRY(e->code);
    return mp_set(e, &b->meta, "about", &s->about);
}

static enum err begin_all(struct errctx *e, const struct model_source *s, struct stream_begin *b,
                          int64_t *first_tokenizer)
{
    TRY(begin_meta(e, s, b));
    for (int64_t i = 0; i < s->matching.params.count; i++) {
        const struct param *p = &s->matching.params.items[i];
        TRY(stream_begin_tensor(e, b, p->name, s->matching.items[i].dtype, p->dims, p->shape));
    }
    if (!s->has_tokenizer) return ERR_OK;
    return tokenizer_spec_declare(e, &s->tokenizer, "tokenizer.", b, first_tokenizer);
}

enum err model_source_begin(struct errctx *e, const struct model_source *s, struct stream_begin *b,
                            int64_t *first_tokenizer)
{
    TRY(findings_raise(e, &s->findings));
    stream_begin_init(b, STREAM_MODEL);
    *first_tokenizer = 0;
    if (begin_all(e, s, b, first_tokenizer) != ERR_OK) stream_begin_fini(b);
    return e->code;
}

struct sink {
    struct stream_writer *writer;
    int64_t tensor;
};

static enum err put(struct errctx *e, void *ctx, const void *data, int64_t elements)
{
    const struct sink *k = ctx;
    return stream_writer_tensor(e, k->writer, k->tensor, data, elements);
}

/* The files have been read by others meanwhile. */
static enum err finish_inputs(struct errctx *e, struct model_source *s)
{
    struct file_digests *d = &s->digests;
    TRY(file_digests_wait(e, d));
    for (size_t i = 0; i < d->count; i++)
        TRY(run_input_done(e, s->run, d->files[i].slot, d->files[i].digest, NULL, -1, false));
    return ERR_OK;
}

enum err model_source_write(struct errctx *e, struct model_source *s, struct stream_writer *w,
                            int64_t first_tokenizer)
{
    int64_t bad = 0, tensors = 0;
    const char *first = NULL;
    file_digests_start(&s->digests);
    for (int64_t i = 0; i < s->matching.params.count; i++) {
        struct sink k = {w, i};
        int64_t here = 0;
        TRY(matching_read(e, &s->matching, i, put, &k, &here));
        if (here && !first) first = s->matching.items[i].parts[0].entry->name;
        bad += here;
        tensors += here > 0;
        prog_progress_count("tensors", i + 1, s->matching.params.count);
    }
    prog_progress_done();
    if (bad)
        prog_warn("%lld weights are NaN or infinite, in %lld tensors (first: '%s')", (long long)bad,
                  (long long)tensors, first);
    if (s->has_tokenizer) TRY(tokenizer_spec_write(e, &s->tokenizer, w, first_tokenizer));
    return finish_inputs(e, s);
}
