/* SPDX-License-Identifier: Apache-2.0 */
/* test_generator.c: generation as laws: a prompt alone has the text it has among others, whatever
 * the batch and the threads; pieces are whole characters and add up to the text; every way to end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "common/text/utf8.h"
#include "common/use/generator.h"
#include "use_support.h"

enum { MOST = 64, LONGEST = 256 };

struct log { /* prompts in, results out */
    const char *const *prompts;
    size_t count, next;
    bool wait; /* pretends that every prompt but the first has to be waited for */
    void (*work)(void *);
    void *work_ctx;
    struct {
        char text[LONGEST], pieces[LONGEST];
        size_t text_length, pieces_length;
        int64_t number, sample;
        uint32_t ids[LONGEST];
        size_t ids_count;
        enum generator_finish finish;
        double logprob;
    } results[MOST];
    size_t done, done_when_waiting;
};

static void waits(void *ctx, void (*work)(void *), void *work_ctx)
{
    struct log *l = ctx;
    l->work = work;
    l->work_ctx = work_ctx;
}

static enum err next(struct errctx *e, void *ctx, struct generator_prompt *p, bool *more)
{
    struct log *l = ctx;
    (void)e;
    if (l->wait && l->next > 0) {
        l->work(l->work_ctx);
        l->done_when_waiting += l->done == l->next;
    }
    *more = l->next < l->count;
    if (!*more) return ERR_OK;
    const char *text = l->prompts[l->next++];
    *p = (struct generator_prompt){.text = text, .length = strlen(text)};
    return ERR_OK;
}

static enum err piece(struct errctx *e, void *ctx, const struct generator_result *r,
                      const char *text, size_t n)
{
    struct log *l = ctx;
    (void)e, (void)r;
    assert_int_equal(utf8_valid_prefix((const uint8_t *)text, n), n);
    assert_true(l->results[l->done].pieces_length + n <= LONGEST);
    memcpy(l->results[l->done].pieces + l->results[l->done].pieces_length, text, n);
    l->results[l->done].pieces_length += n;
    return ERR_OK;
}

static enum err done(struct errctx *e, void *ctx, const struct generator_result *r)
{
    struct log *l = ctx;
    (void)e;
    assert_true(l->done < MOST && r->text_length <= LONGEST && r->ids_count <= LONGEST);
    memcpy(l->results[l->done].text, r->text, r->text_length);
    l->results[l->done].text_length = r->text_length;
    memcpy(l->results[l->done].ids, r->ids, r->ids_count * sizeof *r->ids);
    l->results[l->done].ids_count = r->ids_count;
    l->results[l->done].number = r->number;
    l->results[l->done].sample = r->sample;
    l->results[l->done].finish = r->finish;
    l->results[l->done].logprob = r->logprob;
    assert_int_equal(l->results[l->done].pieces_length, r->text_length);
    assert_memory_equal(l->results[l->done].pieces, r->text, r->text_length);
    l->done++;
    return ERR_OK;
}

static enum err generate(struct errctx *e, struct model *m, const struct generator_cfg *cfg,
                         const struct sampler_cfg *sampler, struct log *l)
{
    const struct generator_io io = {
        .waits = waits, .next = next, .piece = piece, .done = done, .ctx = l};
    struct generator_stats stats;
    return generator_run(e, m, cfg, sampler, &io, &stats);
}

static struct log *generate_all(struct model *m, const struct generator_cfg *cfg,
                                const struct sampler_cfg *sampler, const char *const *prompts,
                                size_t n, bool wait)
{
    static struct log logs[32]; /* more than one test makes */
    static size_t used;
    struct log *l = &logs[used++ % 32];
    struct errctx e = ERRCTX_INIT;
    memset(l, 0, sizeof *l);
    l->prompts = prompts;
    l->count = n;
    l->wait = wait;
    if (generate(&e, m, cfg, sampler, l) != ERR_OK) fail_msg("%s", e.message);
    return l;
}

static struct log *generate_one(struct model *m, const struct generator_cfg *cfg,
                                const struct sampler_cfg *sampler, const char *prompt)
{
    return generate_all(m, cfg, sampler, &prompt, 1, false);
}

static void assert_same_results(const struct log *a, size_t from, const struct log *b)
{
    for (size_t i = 0; i < b->done; i++) {
        assert_int_equal(a->results[from + i].ids_count, b->results[i].ids_count);
        assert_memory_equal(a->results[from + i].ids, b->results[i].ids,
                            b->results[i].ids_count * sizeof(uint32_t));
        assert_int_equal(a->results[from + i].text_length, b->results[i].text_length);
        assert_memory_equal(a->results[from + i].text, b->results[i].text,
                            b->results[i].text_length);
        assert_true(a->results[from + i].logprob == b->results[i].logprob);
    }
}

static const char *const prompts[] = {"A lamp", "The quick brown fox", "A lamp", "", "\xc3\xa9",
                                      "x",      "river and stone",     "0"};
enum { PROMPTS = sizeof prompts / sizeof prompts[0] };

static void batched_is_alone(void **state)
{
    (void)state;
    struct use_support s;
    struct generator_cfg cfg = GENERATOR_CFG;
    struct sampler_cfg sampler = SAMPLER_CFG;
    cfg.tokens = 12;
    cfg.samples = 2;
    cfg.batch = 3;
    sampler.top_p = 0.95;
    sampler.repetition = 1.1;
    use_support_open(&s, "llama", 2);
    const struct model_use use = {.dtype = DTYPE_F32};
    struct model *m = use_support_model(&s, &use);
    struct log *all = generate_all(m, &cfg, &sampler, prompts, PROMPTS, false);
    assert_int_equal(all->done, 2 * PROMPTS);
    for (size_t i = 0; i < all->done; i++) { /* in the order of prompts and samples */
        assert_int_equal(all->results[i].number, i / 2);
        assert_int_equal(all->results[i].sample, i % 2);
    }
    for (size_t i = 0; i < PROMPTS; i++)
        assert_same_results(all, 2 * i, generate_one(m, &cfg, &sampler, prompts[i]));
    cfg.batch = 16;
    assert_same_results(generate_all(m, &cfg, &sampler, prompts, PROMPTS, true), 0, all);
    /* equal prompts have equal texts, samples differ, and so do seeds */
    assert_memory_equal(all->results[0].ids, all->results[4].ids, 12 * sizeof(uint32_t));
    assert_memory_not_equal(all->results[0].ids, all->results[1].ids, 12 * sizeof(uint32_t));
    cfg.seed = 1;
    struct log *other = generate_one(m, &cfg, &sampler, prompts[0]);
    assert_memory_not_equal(all->results[0].ids, other->results[0].ids, 12 * sizeof(uint32_t));
    model_free(m);
    use_support_close(&s);

    use_support_open(&s, "llama", 1);
    m = use_support_model(&s, &use);
    cfg.seed = 0;
    assert_same_results(generate_all(m, &cfg, &sampler, prompts, PROMPTS, false), 0, all);
    model_free(m);
    use_support_close(&s);
}

/* What is said of the drawn tokens is what the model gives them when it reads the whole text at
 * once. */
static void logprob_is_the_loss(void **state)
{
    (void)state;
    struct use_support s;
    struct generator_cfg cfg = GENERATOR_CFG;
    struct sampler_cfg sampler = SAMPLER_CFG;
    struct errctx e = ERRCTX_INIT;
    struct batch b;
    double sum = 0;
    uint32_t ids[32] = {0}; /* end of text, then the empty prompt */
    int32_t targets[32];
    cfg.tokens = 20;
    sampler.temperature = 1.5;
    use_support_open(&s, "llama", 2);
    const struct model_use use = {.dtype = DTYPE_F32, .tokens = 32};
    struct model *m = use_support_model(&s, &use);
    struct log *l = generate_one(m, &cfg, &sampler, "");
    const size_t n = l->results[0].ids_count;
    for (size_t i = 0; i < n; i++) {
        targets[i] = (int32_t)l->results[0].ids[i];
        ids[i + 1] = l->results[0].ids[i];
    }
    assert_int_equal(n, 20);
    const float weights[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    assert_int_equal(batch_init(&e, &b, 32, 1), ERR_OK);
    assert_int_equal(batch_append(&e, &b, 1024, (int64_t)n, ids, NULL, targets, weights, 0),
                     ERR_OK);
    assert_int_equal(batch_close(&e, &b), ERR_OK);
    assert_int_equal(model_forward(&e, m, &b, 0), ERR_OK);
    assert_int_equal(model_loss(&e, m, &b, false, NULL, NULL, &sum), ERR_OK);
    assert_true(fabs(sum + l->results[0].logprob) < 1e-4 * sum);
    batch_fini(&b);
    model_free(m);
    use_support_close(&s);
}

/* Nothing that has been begun stays behind while input is waited for. */
static void works_while_waiting(void **state)
{
    (void)state;
    struct use_support s;
    struct generator_cfg cfg = GENERATOR_CFG;
    const struct sampler_cfg sampler = SAMPLER_CFG;
    cfg.tokens = 5;
    use_support_open(&s, "llama", 1);
    struct model *m = use_support_cycle(&s, "abc");
    struct log *l = generate_all(m, &cfg, &sampler, prompts, 3, true);
    assert_int_equal(l->done, 3);
    assert_int_equal(l->done_when_waiting, 3);
    model_free(m);
    use_support_close(&s);
}

#define SMILE "\xf0\x9f\x98\x80"

/* Each of the four bytes of the emoji is a token of its own. */
static void characters_stay_whole(void **state)
{
    (void)state;
    struct use_support s;
    struct generator_cfg cfg = GENERATOR_CFG;
    struct sampler_cfg sampler = SAMPLER_CFG;
    sampler.temperature = 0;
    use_support_open(&s, "llama", 2);
    struct model *m = use_support_cycle(&s, SMILE "a");
    cfg.tokens = 9;
    struct log *l = generate_one(m, &cfg, &sampler, "a");
    assert_int_equal(l->results[0].text_length, 9);
    assert_memory_equal(l->results[0].text, SMILE "a" SMILE, 9);
    cfg.tokens = 8; /* ends within a character */
    l = generate_one(m, &cfg, &sampler, "a");
    assert_int_equal(l->results[0].text_length, 8);
    assert_memory_equal(l->results[0].text, SMILE "a\xef\xbf\xbd", 8);
    const char *stops[] = {"a" SMILE};
    cfg.stop = (struct opt_list){.items = stops, .count = 1};
    cfg.tokens = 30;
    l = generate_one(m, &cfg, &sampler, "a");
    assert_int_equal(l->results[0].finish, GENERATOR_STOP);
    assert_int_equal(l->results[0].ids_count, 9);
    assert_int_equal(l->results[0].text_length, 4);
    assert_memory_equal(l->results[0].text, SMILE, 4);
    model_free(m);
    use_support_close(&s);
}

static void ways_to_end(void **state)
{
    (void)state;
    struct use_support s;
    struct generator_cfg cfg = GENERATOR_CFG;
    struct sampler_cfg sampler = SAMPLER_CFG;
    sampler.temperature = 0;
    use_support_open(&s, "llama", 2);
    struct model *m = use_support_cycle(&s, "abcd");
    cfg.tokens = 6;
    struct log *l = generate_one(m, &cfg, &sampler, "xa");
    assert_int_equal(l->results[0].finish, GENERATOR_LENGTH);
    assert_memory_equal(l->results[0].text, "bcdabc", 6);
    assert_true(l->results[0].logprob <= 0 && l->results[0].logprob > -0.1);

    /* context 32 - (end-of-text, "a") leaves 30 places, and the token after the last of them */
    cfg.tokens = 100;
    l = generate_one(m, &cfg, &sampler, "a");
    assert_int_equal(l->results[0].finish, GENERATOR_CONTEXT);
    assert_int_equal(l->results[0].ids_count, 31);
    cfg.context = 8;
    l = generate_one(m, &cfg, &sampler, "a");
    assert_int_equal(l->results[0].ids_count, 7);
    cfg.context = 0;

    const char *stops[] = {"zz", "dab", "cdabc"};
    cfg.stop = (struct opt_list){.items = stops, .count = 3};
    l = generate_one(m, &cfg, &sampler, "a");
    assert_int_equal(l->results[0].finish, GENERATOR_STOP);
    assert_int_equal(l->results[0].text_length, 2);
    assert_memory_equal(l->results[0].text, "bc", 2); /* "dab" is whole first */
    cfg.stop.count = 0;
    model_free(m);

    /* of a model that knows nothing every score is equal, and the lowest id is the end of text */
    m = use_support_cycle(&s, "");
    l = generate_one(m, &cfg, &sampler, "a");
    assert_int_equal(l->results[0].finish, GENERATOR_END);
    assert_int_equal(l->results[0].ids_count, 1);
    assert_int_equal(l->results[0].text_length, 0);
    assert_true(fabs(l->results[0].logprob + log(257)) < 1e-6);
    model_free(m);
    use_support_close(&s);
}

static void refusals(void **state)
{
    (void)state;
    struct use_support s;
    struct generator_cfg cfg = GENERATOR_CFG;
    const struct sampler_cfg sampler = SAMPLER_CFG;
    cfg.tokens = 4;
    cfg.batch = 2;
    use_support_open(&s, "llama", 1);
    struct model *m = use_support_cycle(&s, "abcd");
    static struct log l;
    const char *too_long[] = {"a", "b", "0123456789012345678901234567890123456789", "c"};
    struct errctx e = ERRCTX_INIT;
    l = (struct log){.prompts = too_long, .count = 4};
    assert_int_equal(generate(&e, m, &cfg, &sampler, &l), ERR_INPUT);
    assert_string_equal(e.message, "prompt 3 has 41 tokens, the context is 32");
    assert_int_equal(l.done, 2); /* those before it are out */

    const char *not_utf8[] = {"a", "ab\xff"};
    e = ERRCTX_INIT;
    l = (struct log){.prompts = not_utf8, .count = 2};
    assert_int_equal(generate(&e, m, &cfg, &sampler, &l), ERR_INPUT);
    assert_string_equal(e.message, "prompt 2 is not valid UTF-8: byte 2");
    assert_int_equal(l.done, 1);

    const char *empty[] = {""};
    cfg.stop = (struct opt_list){.items = empty, .count = 1};
    e = ERRCTX_INIT;
    l = (struct log){.prompts = too_long, .count = 1};
    assert_int_equal(generate(&e, m, &cfg, &sampler, &l), ERR_USAGE);
    cfg.stop.count = 0;
    cfg.context = 33;
    e = ERRCTX_INIT;
    assert_int_equal(generate(&e, m, &cfg, &sampler, &l), ERR_USAGE);
    model_free(m);
    use_support_close(&s);

    use_support_open(&s, "bert", 1);
    const struct model_use use = {.dtype = DTYPE_F32};
    m = use_support_model(&s, &use);
    cfg.context = 0;
    e = ERRCTX_INIT;
    assert_int_equal(generate(&e, m, &cfg, &sampler, &l), ERR_USAGE);
    assert_non_null(strstr(e.message, "encoder"));
    model_free(m);
    use_support_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batched_is_alone),    cmocka_unit_test(logprob_is_the_loss),
        cmocka_unit_test(works_while_waiting), cmocka_unit_test(characters_stay_whole),
        cmocka_unit_test(ways_to_end),         cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
