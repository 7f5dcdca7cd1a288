/* SPDX-License-Identifier: Apache-2.0 */
/* use_support.c: see use_support.h. */
#include "use_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>
#include <xxhash.h>

#include "common/text/learn_tokenizer.h"
#include "common/text/rows.h"
#include "common/text/tokenizer_run.h"

static void must(const struct errctx *e, enum err r)
{
    if (r != ERR_OK) fail_msg("%s", e->message);
}

static void make_spec(struct use_support *s, bool encoder)
{
    static const char *const causal[] = {"<|endoftext|>"};
    static const char *const masked[] = {"pad=[PAD]", "cls=[CLS]", "sep=[SEP]", "mask=[MASK]"};
    const struct learn_cfg cfg = {.vocab = encoder ? 260 : 257,
                                  .min_count = 2,
                                  .pattern = "gpt2",
                                  .special = encoder ? masked : causal,
                                  .special_count = encoder ? 4 : 1,
                                  .threads = 1};
    struct errctx e = ERRCTX_INIT;
    struct learner *l;
    must(&e, learner_new(&e, &cfg, &l));
    must(&e, learner_text(&e, l, "a", 1, true));
    must(&e, learner_finish(&e, l, &s->spec));
    learner_free(l);
    assert_int_equal(s->spec.vocab, cfg.vocab);
}

void use_support_open(struct use_support *s, const char *arch, int threads)
{
    struct errctx e = ERRCTX_INIT;
    *s = (struct use_support){0};
    must(&e, pool_new(&e, threads, &s->pool));
    must(&e, kernels_open(&e, "cpu", s->pool, &s->k));
    make_spec(s, strcmp(arch, "bert") == 0);
    must(&e, model_config_preset(&e, arch, &s->config));
    s->config.vocab = s->spec.vocab;
    s->config.layers = 2;
    s->config.width = 32;
    s->config.heads = 4;
    s->config.context = 32;
    s->config.init_std = 0.5;
    must(&e, model_config_finish(&e, &s->config));
}

void use_support_close(struct use_support *s)
{
    tokenizer_spec_fini(&s->spec);
    kernels_close(&s->k);
    pool_free(s->pool);
}

struct model *use_support_model(struct use_support *s, const struct model_use *use)
{
    struct errctx e = ERRCTX_INIT;
    struct model *m = NULL;
    must(&e, model_create(&e, &s->k, &s->config, &s->spec, 3, use, &m));
    return m;
}

static float *weights_of(struct model *m, const char *name)
{
    const struct param *p = param_table_find(model_params(m), name);
    struct kernels *k = model_kernels(m);
    assert_non_null(p);
    return (float *)k->map(k, model_weights(m)) + p->offset;
}

static int64_t id_of(const struct tokenizer_spec *s, char byte)
{
    for (int64_t v = 0; v < s->vocab; v++)
        if (s->start[v + 1] - s->start[v] == 1 && s->bytes[s->start[v]] == (uint8_t)byte) return v;
    fail_msg("no token for byte %d", byte);
    return -1;
}

/* Blocks that add nothing, one dimension per byte of the cycle: what is read is what is known. */
struct model *use_support_cycle(struct use_support *s, const char *cycle)
{
    const struct model_use use = {.dtype = DTYPE_F32};
    struct model *m = use_support_model(s, &use);
    const int64_t C = s->config.width, n = (int64_t)strlen(cycle);
    const struct param_table *t = model_params(m);
    for (int64_t i = 0; i < t->count; i++) {
        const struct param *p = &t->items[i];
        if (p->role == PARAM_NORM) continue;
        memset(weights_of(m, p->name), 0, (size_t)p->elements * sizeof(float));
    }
    float *embedding = weights_of(m, "embed.tokens.weight"), *head = weights_of(m, "head.weight");
    for (int64_t i = 0; i < n; i++) {
        embedding[id_of(&s->spec, cycle[i]) * C + i] = 1;
        head[id_of(&s->spec, cycle[(i + 1) % n]) * C + i] = 10;
    }
    model_refresh(m);
    return m;
}

static void write_document(struct use_support *s, const struct tokenizer *t,
                           const struct rows_cfg *rows, const char *text, struct stream_writer *w)
{
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_scratch *scratch;
    struct id_list ids = {0};
    struct offset_list ends = {0};
    struct bytes buffer = {0};
    (void)s;
    must(&e, tokenizer_scratch_new(&e, t, &scratch));
    must(&e, tokenizer_encode(&e, t, scratch, text, strlen(text), false, &ids, &ends));
    const struct rows_part part = {.ids = ids.data, .ends = ends.data, .count = ids.count};
    const struct rows_document d = {.text = {text, strlen(text), &part, 1}};
    bool shortened = false;
    must(&e, rows_write(&e, rows, &d, &buffer, w, &shortened));
    tokenizer_scratch_free(scratch);
    bytes_fini(&buffer);
    mem_free(ids.data);
    mem_free(ends.data);
}

void use_support_tokens(struct use_support *s, const char *path, const char *const *texts, size_t n,
                        int64_t length)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_writer_cfg cfg = STREAM_WRITER_CFG;
    struct rows_cfg rows;
    struct stream_begin begin;
    struct stream_writer *w;
    struct tokenizer *t;
    struct run run;
    must(&e, run_init(&e, &run, "test", "0"));
    must(&e, tokenizer_new(&e, &s->spec, &t));
    must(&e, rows_cfg_init(&e, &s->spec, length, false, &rows));
    must(&e, rows_begin(&e, &s->spec, &rows, &begin));
    must(&e, stream_writer_open(&e, &run, path, &begin, &cfg, &w));
    for (size_t i = 0; i < n; i++) write_document(s, t, &rows, texts[i], w);
    must(&e, stream_writer_commit(&e, w));
    stream_begin_fini(&begin);
    tokenizer_free(t);
    run_fini(&run);
}
