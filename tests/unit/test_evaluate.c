/* SPDX-License-Identifier: Apache-2.0 */
/* test_evaluate.c: figures against those computed here from the model's logits, one row at a time;
 * and their independence of threads, micro-batch and cuts into streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/judge/evaluate.h"
#include "common/judge/require.h"
#include "use_support.h"

static const char *const texts[] = {"A lamp is a thing that gives light.",
                                    "caf\xc3\xa9",
                                    "The river runs.",
                                    "x",
                                    "One more document, longer than the context of the model is.",
                                    "A lamp is a thing that gives light."};
enum { TEXTS = sizeof texts / sizeof texts[0] };

static char path[] = "/tmp/test_evaluate.XXXXXX";

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static struct stream_reader *open_tokens(const char *file)
{
    struct errctx e = ERRCTX_INIT;
    const struct stream_reader_cfg cfg = STREAM_READER_CFG;
    struct stream_reader *r;
    if (stream_reader_open(&e, NULL, "input", file, &cfg, &r) != ERR_OK) fail_msg("%s", e.message);
    return r;
}

static struct model *open_model(struct use_support *s, struct evaluate_cfg *cfg)
{
    struct model_use use = {.dtype = DTYPE_F32, .fit_ctx = cfg};
    evaluate_fit(&use, &s->config);
    return use_support_model(s, &use);
}

static enum err evaluate(struct errctx *e, struct use_support *s, struct evaluate_cfg cfg,
                         int times, struct evaluate_result *out,
                         struct evaluate_document *documents)
{
    struct model *m = open_model(s, &cfg);
    const struct objective_cfg objective = OBJECTIVE_CFG;
    struct evaluation *v = NULL;
    enum err r = evaluation_new(e, m, &objective, &cfg, &v);
    for (int i = 0; r == ERR_OK && i < times; i++) {
        struct stream_reader *in = open_tokens(path);
        r = evaluation_read(e, v, in);
        stream_reader_close(in);
    }
    if (r == ERR_OK) r = evaluation_finish(e, v, out);
    if (r == ERR_OK && documents) {
        int64_t n;
        const struct evaluate_document *d = evaluation_documents(v, &n);
        memcpy(documents, d, (size_t)n * sizeof *d);
    }
    evaluation_free(v);
    model_free(m);
    return r;
}

static struct evaluate_result evaluate_ok(struct use_support *s, struct evaluate_cfg cfg, int times,
                                          struct evaluate_document *documents)
{
    struct errctx e = ERRCTX_INIT;
    struct evaluate_result out;
    if (evaluate(&e, s, cfg, times, &out, documents) != ERR_OK) fail_msg("%s", e.message);
    return out;
}

/* ---- the same figures, straight from logits ---- */

struct sums {
    double loss, scored, top1, top5, bytes, chars;
};

static void add_token(struct sums *s, const float *logits, int64_t V, uint32_t id)
{
    double total = 0;
    int better = 0;
    for (int64_t v = 0; v < V; v++) {
        total += exp(logits[v]);
        better += logits[v] > logits[id] || (logits[v] == logits[id] && v < (int64_t)id);
    }
    s->loss += log(total) - logits[id];
    s->scored++;
    s->top1 += better < 1;
    s->top5 += better < 5;
}

static void add_row(struct sums *s, struct use_support *u, struct model *m, const uint32_t *ids,
                    const struct tokens_row *row)
{
    struct errctx e = ERRCTX_INIT;
    struct batch b;
    const int64_t V = u->config.vocab;
    float *logits = calloc((size_t)V, sizeof *logits);
    assert_int_equal(batch_init(&e, &b, 64, 1), ERR_OK);
    assert_int_equal(batch_append(&e, &b, 1024, row->n, ids, NULL, NULL, NULL, 0), ERR_OK);
    assert_int_equal(batch_close(&e, &b), ERR_OK);
    assert_int_equal(model_forward(&e, m, &b, 0), ERR_OK);
    for (int32_t i = 0; i + 1 < row->n; i++) {
        assert_int_equal(model_logits(&e, m, &b, 1, &i, logits), ERR_OK);
        if (i + 1 >= (int64_t)row->skip) add_token(s, logits, V, ids[i + 1]);
    }
    s->bytes += row->bytes;
    s->chars += row->chars;
    batch_fini(&b);
    free(logits);
}

static struct sums straight(struct use_support *u)
{
    struct errctx e = ERRCTX_INIT;
    struct evaluate_cfg cfg = EVALUATE_CFG;
    struct model *m = open_model(u, &cfg);
    struct stream_reader *in = open_tokens(path);
    struct tokens_layout l;
    struct stream_rows rows;
    struct stream_tensor_piece piece;
    enum stream_event event;
    struct sums s = {0};
    assert_int_equal(tokens_layout_find(&e, stream_reader_begin(in), "test", &l), ERR_OK);
    for (;;) {
        assert_int_equal(stream_reader_next(&e, in, &event, &rows, &piece), ERR_OK);
        if (event == STREAM_EVENT_END) break;
        for (int64_t i = 0; i < rows.n; i++) {
            struct tokens_row row;
            uint32_t ids[64];
            assert_int_equal(tokens_row_view(&e, &l, &rows, i, &row), ERR_OK);
            assert_int_equal(tokens_row_ids(&e, &l, &row, i, ids), ERR_OK);
            add_row(&s, u, m, ids, &row);
        }
    }
    stream_reader_close(in);
    model_free(m);
    return s;
}

static void close_to(double a, double b)
{
    if (!(fabs(a - b) <= 1e-5 * fabs(b))) fail_msg("%.9g is not %.9g", a, b);
}

enum { MANY = 60 }; /* so many that every rank occurs */

static void figures_from_logits(void **state)
{
    (void)state;
    struct use_support s;
    struct evaluate_document documents[TEXTS + MANY];
    char made[MANY][32];
    const char *all[TEXTS + MANY];
    memcpy(all, texts, sizeof texts);
    for (int i = 0; i < MANY; i++) {
        snprintf(made[i], sizeof made[i], "%d and %d: %d", i, i * i, i * i * i * 7);
        all[TEXTS + i] = made[i];
    }
    use_support_open(&s, "llama", 2);
    use_support_tokens(&s, path, all, TEXTS + MANY, 32);
    struct sums want = straight(&s);
    struct evaluate_result got = evaluate_ok(&s, EVALUATE_CFG, 1, documents);
    assert_int_equal(got.documents, TEXTS + MANY - 1); /* one text stands there twice */
    assert_int_equal(documents[0].rows, 4);            /* each time in two cuts */
    close_to(got.scored, want.scored);
    close_to(got.bytes, want.bytes);
    close_to(got.chars, want.chars);
    close_to(got.chars, got.bytes - 1); /* of the one letter that is two bytes */
    close_to(got.metric[METRIC_LOSS].value, want.loss / want.scored);
    close_to(got.metric[METRIC_PERPLEXITY].value, exp(want.loss / want.scored));
    close_to(got.metric[METRIC_BITS_PER_BYTE].value, want.loss / log(2) / want.bytes);
    close_to(got.metric[METRIC_BITS_PER_CHAR].value, want.loss / log(2) / want.chars);
    close_to(got.metric[METRIC_TOP1].value, want.top1 / want.scored);
    close_to(got.metric[METRIC_TOP5].value, want.top5 / want.scored);
    for (int m = 0; m < METRIC_COUNT; m++) {
        assert_true(got.metric[m].low <= got.metric[m].value);
        assert_true(got.metric[m].value <= got.metric[m].high);
    }
    use_support_close(&s);
}

static void independent_of_how(void **state)
{
    (void)state;
    struct use_support s;
    struct evaluate_cfg cfg = EVALUATE_CFG;
    cfg.bootstrap = 50;
    cfg.grain = 64;
    use_support_open(&s, "llama", 1);
    use_support_tokens(&s, path, texts, TEXTS, 32);
    struct evaluate_result a = evaluate_ok(&s, cfg, 2, NULL);
    use_support_close(&s);
    use_support_open(&s, "llama", 3);
    cfg.micro_tokens = 32;
    struct evaluate_result b = evaluate_ok(&s, cfg, 2, NULL);
    assert_memory_equal(&a, &b, sizeof a);
    cfg.rows = 3;
    b = evaluate_ok(&s, cfg, 2, NULL);
    assert_int_equal(b.rows, 3);
    cfg.rows = 0;
    cfg.bootstrap = 0;
    b = evaluate_ok(&s, cfg, 2, NULL);
    assert_true(b.metric[METRIC_LOSS].value == a.metric[METRIC_LOSS].value);
    assert_true(isnan(b.metric[METRIC_LOSS].low));
    use_support_close(&s);
}

/* A masked model: bits per byte only where each token counts; pseudo-likelihood scores each token
 * that is text. */
static void masked(void **state)
{
    (void)state;
    struct use_support s;
    struct evaluate_cfg cfg = EVALUATE_CFG;
    size_t bytes = 0;
    cfg.grain = 64;
    for (size_t i = 0; i < TEXTS; i++) bytes += strlen(texts[i]);
    use_support_open(&s, "bert", 2);
    use_support_tokens(&s, path, texts, TEXTS, 32);
    struct evaluate_result a = evaluate_ok(&s, cfg, 1, NULL);
    assert_true(a.scored > 0 && a.scored < (double)bytes);
    assert_true(isnan(a.metric[METRIC_BITS_PER_BYTE].value));
    cfg.micro_tokens = 64;
    struct evaluate_result b = evaluate_ok(&s, cfg, 1, NULL);
    assert_true(a.metric[METRIC_LOSS].value == b.metric[METRIC_LOSS].value);
    cfg.seed = 1;
    b = evaluate_ok(&s, cfg, 1, NULL);
    assert_true(a.metric[METRIC_LOSS].value != b.metric[METRIC_LOSS].value);
    cfg.pseudo = true;
    b = evaluate_ok(&s, cfg, 1, NULL);
    assert_true(b.scored == (double)bytes); /* a token is a byte here */
    close_to(b.metric[METRIC_BITS_PER_BYTE].value, b.metric[METRIC_LOSS].value / log(2));
    cfg.micro_tokens = 4 << 10;
    a = evaluate_ok(&s, cfg, 1, NULL);
    assert_memory_equal(&a, &b, sizeof a);
    use_support_close(&s);
}

/* Row by row and mask by mask, from logits. */
static double straight_pseudo(struct use_support *u, const char *text)
{
    struct errctx e = ERRCTX_INIT;
    struct evaluate_cfg cfg = EVALUATE_CFG;
    struct model *m = open_model(u, &cfg);
    const size_t n = strlen(text);
    const int64_t mask = tokenizer_spec_special(&u->spec, "mask"), V = u->config.vocab;
    struct sums s = {0};
    uint32_t ids[32] = {(uint32_t)tokenizer_spec_special(&u->spec, "cls")};
    float logits[512];
    for (size_t i = 0; i < n; i++) /* ids of bytes are those of the tokens of one byte */
        for (uint32_t v = 0; v < V; v++)
            if (u->spec.start[v + 1] - u->spec.start[v] == 1 &&
                u->spec.bytes[u->spec.start[v]] == (uint8_t)text[i])
                ids[i + 1] = v;
    ids[n + 1] = (uint32_t)tokenizer_spec_special(&u->spec, "sep");
    for (int32_t i = 1; i <= (int32_t)n; i++) {
        struct batch b;
        uint32_t id = ids[i];
        ids[i] = (uint32_t)mask;
        assert_int_equal(batch_init(&e, &b, 64, 1), ERR_OK);
        assert_int_equal(batch_append(&e, &b, 1024, (int64_t)n + 2, ids, NULL, NULL, NULL, 0), 0);
        assert_int_equal(batch_close(&e, &b), ERR_OK);
        assert_int_equal(model_forward(&e, m, &b, 0), ERR_OK);
        assert_int_equal(model_logits(&e, m, &b, 1, &i, logits), ERR_OK);
        add_token(&s, logits, V, id);
        batch_fini(&b);
        ids[i] = id;
    }
    model_free(m);
    return s.loss / s.scored;
}

static void pseudo_likelihood(void **state)
{
    (void)state;
    struct use_support s;
    struct evaluate_cfg cfg = EVALUATE_CFG;
    const char *text = "The river runs.";
    cfg.pseudo = true;
    use_support_open(&s, "bert", 2);
    use_support_tokens(&s, path, &text, 1, 32);
    struct evaluate_result r = evaluate_ok(&s, cfg, 1, NULL);
    close_to(r.metric[METRIC_LOSS].value, straight_pseudo(&s, text));
    use_support_close(&s);
}

/* The same row twice, as two documents: once with weight `weight`, once with loss on its last token
 * only. */
static void write_weighted(struct use_support *s, const char *file, float weight)
{
    struct errctx e = ERRCTX_INIT;
    const struct stream_writer_cfg cfg = STREAM_WRITER_CFG;
    static const char *const names[] = {"ids",   "doc",   "part", "skip",
                                        "bytes", "chars", "loss", "weight"};
    static const enum dtype types[] = {DTYPE_U16, DTYPE_U64, DTYPE_U32, DTYPE_U32,
                                       DTYPE_U32, DTYPE_U32, DTYPE_U8,  DTYPE_F32};
    const int64_t ragged = -1;
    struct stream_begin b;
    struct stream_writer *w;
    struct run run;
    uint8_t id[16];
    stream_begin_init(&b, STREAM_TOKENS);
    for (size_t c = 0; c < ARRAY_LEN(names); c++)
        assert_int_equal(stream_begin_column(&e, &b, names[c], types[c], c % 6 == 0, &ragged),
                         ERR_OK);
    tokenizer_spec_id(&s->spec, id);
    assert_int_equal(mp_set_binary(&e, &b.meta, "tokenizer", id, sizeof id), ERR_OK);
    assert_int_equal(mp_set_int(&e, &b.meta, "vocab", s->spec.vocab), ERR_OK);
    assert_int_equal(mp_set_string(&e, &b.meta, "family", "causal"), ERR_OK);
    assert_int_equal(mp_set_int(&e, &b.meta, "length", 0), ERR_OK);
    assert_int_equal(run_init(&e, &run, "test", "0"), ERR_OK);
    if (stream_writer_open(&e, &run, file, &b, &cfg, &w) != ERR_OK) fail_msg("%s", e.message);
    for (uint64_t doc = 0; doc < 2; doc++) {
        const uint16_t ids[4] = {0, 70, 80, 90};
        const uint8_t loss[4] = {0, doc == 0, doc == 0, 1};
        const uint32_t part = 0, skip = 1, bytes = 3, chars = 3;
        const float factor = doc == 0 ? weight : 1;
        const void *cells[] = {ids, &doc, &part, &skip, &bytes, &chars, loss, &factor};
        const int64_t elements[] = {4, 1, 1, 1, 1, 1, 4, 1};
        assert_int_equal(stream_writer_row(&e, w, cells, elements), ERR_OK);
    }
    assert_int_equal(stream_writer_commit(&e, w), ERR_OK);
    stream_begin_fini(&b);
    run_fini(&run);
}

static void weights_and_masks(void **state)
{
    (void)state;
    struct use_support s;
    struct evaluate_document a[2], b[2];
    use_support_open(&s, "llama", 1);
    write_weighted(&s, path, 1);
    struct evaluate_result r = evaluate_ok(&s, EVALUATE_CFG, 1, a);
    assert_true(r.scored == 4 && a[0].scored == 3 && a[1].scored == 1);
    assert_true(a[0].loss > a[1].loss && a[1].loss > 0);
    assert_true(isnan(r.metric[METRIC_BITS_PER_BYTE].value)); /* not all of the text is scored */
    write_weighted(&s, path, 0.5f);
    r = evaluate_ok(&s, EVALUATE_CFG, 1, b);
    assert_true(r.scored == 2.5 && b[0].scored == 1.5);
    close_to(b[0].loss, a[0].loss / 2);
    assert_true(b[1].loss == a[1].loss);
    close_to(r.metric[METRIC_LOSS].value, (a[0].loss / 2 + a[1].loss) / 2.5);
    use_support_close(&s);
}

static void expect_error(struct use_support *s, struct evaluate_cfg cfg, enum err code,
                         const char *words)
{
    struct errctx e = ERRCTX_INIT;
    struct evaluate_result out;
    assert_int_equal(evaluate(&e, s, cfg, 1, &out, NULL), code);
    if (!strstr(e.message, words)) fail_msg("'%s' does not say '%s'", e.message, words);
}

static void refusals(void **state)
{
    (void)state;
    struct use_support s;
    struct evaluate_cfg cfg = EVALUATE_CFG;
    use_support_open(&s, "llama", 1);
    use_support_tokens(&s, path, texts, TEXTS, 0);
    expect_error(&s, cfg, ERR_INPUT, "--length 32");
    use_support_tokens(&s, path, texts, 0, 32);
    expect_error(&s, cfg, ERR_INPUT, "nothing to judge");
    cfg.pseudo = true;
    expect_error(&s, cfg, ERR_USAGE, "masked");
    cfg.pseudo = false;
    use_support_close(&s);
    use_support_open(&s, "bert", 1);
    use_support_tokens(&s, path, texts, TEXTS, 32);
    use_support_close(&s);
    use_support_open(&s, "llama", 1);
    expect_error(&s, cfg, ERR_INPUT, "another tokenizer");
    use_support_close(&s);
}

static void requirements(void **state)
{
    (void)state;
    struct evaluate_result r = {0};
    r.metric[METRIC_LOSS].value = 3.25;
    r.metric[METRIC_TOP1].value = 0.5;
    r.metric[METRIC_BITS_PER_BYTE].value = NAN;
    static const struct {
        const char *text;
        bool met;
    } good[] = {{"loss<=3.25", true},       {"loss<3.25", false},       {" loss > 3.2 ", true},
                {"loss>=3.3", false},       {"accuracy==0.5", true},    {"top1!=0.5", false},
                {"bits_per_byte<9", false}, {"bits_per_byte>=0", false}};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct errctx e = ERRCTX_INIT;
        struct requirement q;
        assert_int_equal(requirement_parse(&e, good[i].text, &q), ERR_OK);
        assert_int_equal(requirement_met(&q, &r), good[i].met);
    }
    static const char *const bad[] = {"",      "lost<3", "loss",     "loss=<3",  "loss=3",
                                      "loss<", "loss<x", "loss<3 4", "loss<3<4", "<3"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct errctx e = ERRCTX_INIT;
        struct requirement q;
        assert_int_equal(requirement_parse(&e, bad[i], &q), ERR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_from_logits),
        cmocka_unit_test(independent_of_how),
        cmocka_unit_test(masked),
        cmocka_unit_test(pseudo_likelihood),
        cmocka_unit_test(weights_and_masks),
        cmocka_unit_test(refusals),
        cmocka_unit_test(requirements),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
