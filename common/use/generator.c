/* SPDX-License-Identifier: Apache-2.0 */
/* generator.c: a queue of sequences in the order of prompts and samples. Those at its front that
 * are done leave it; up to cfg.batch of them hold a slot of the decoder and get one token per step.
 * A sequence that is done gives its slot back at once, so short ones do not wait for long ones; the
 * queue is bounded, so memory is. */
#include "common/use/generator.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/mem.h"
#include "common/base/pool.h"
#include "common/base/prog.h"
#include "common/base/rng.h"
#include "common/model/decoder.h"
#include "common/text/tokenizer_run.h"
#include "common/text/utf8.h"
#include "common/use/stop.h"

#define FIELD(f) offsetof(struct generator_cfg, f)

const struct opt generator_table[] = {
    {"tokens", 'n', OPT_INT, FIELD(tokens), "N", "draw at most N tokens", 0, 1, 1e12},
    {"stop", 0, OPT_LIST, FIELD(stop), "TEXT", "end before this text"},
    {"samples", 0, OPT_INT, FIELD(samples), "K", "continuations of each prompt", 0, 1,
     4294967295.0},
    {"batch", 0, OPT_INT, FIELD(batch), "N",
     "sequences computed together: speed and memory, not results", OPT_UNRECORDED, 1, 65536},
    {"context", 0, OPT_INT, FIELD(context), "N",
     "most tokens of prompt and continuation, for less memory; 0: the model's context", 0, 0, 1e9},
    OPT_END};

const char *generator_finish_name(enum generator_finish f)
{
    static const char *const names[] = {"end", "stop", "length", "context"};
    return names[f];
}

struct sequence {
    int64_t slot; /* of the decoder; -1: done */
    int64_t number, sample;
    char *prompt, *keep;
    size_t prompt_length, keep_length;
    uint64_t hash;
    struct id_list ids; /* prompt, then what was drawn */
    size_t prompt_tokens;
    struct tokenizer_stream_decoder decoder;
    struct bytes text;
    size_t released; /* bytes of text given to `piece` */
    enum generator_finish finish;
    double logprob;
    double token_logprob; /* of the last draw */
    struct errctx failure;
};

struct generator {
    struct model *model;
    const struct generator_cfg *cfg;
    const struct generator_io *io;
    struct tokenizer *tokenizer;
    struct tokenizer_scratch *scratch;
    struct decoder *decoder;
    struct sampler **samplers; /* one per thread */
    int threads;
    int64_t vocab, context, batch;
    int64_t lead, end; /* ids that begin a prompt and end a text, or -1 */
    float *logits;     /* [batch, V] */
    /* The prompt computed last: its slot (which since has had samples of it only), its number, and
     * the scores after it. With several samples of each. */
    int64_t prompt_slot, prompt_number;
    float *prompt_logits;
    struct id_list *cached; /* [batch] prompts whose keys and values lie in the slots */

    struct sequence *queue; /* ring of `capacity` */
    size_t first, count, capacity;
    int64_t *free_slots;
    int64_t free_count;
    struct sequence **active; /* [batch] of the current step, with what it needs */
    int64_t *step_slots;
    uint32_t *step_ids;

    struct bytes prompt, keep; /* of the prompt whose samples are being started */
    bool has_keep;
    int64_t prompts, samples_left;
    bool no_more;
    struct errctx refused; /* a prompt: told when the results before it are out */
    struct errctx idle;    /* what went wrong while input was waited for */
    struct generator_stats stats;
};

static struct sequence *queue_at(const struct generator *g, size_t i)
{
    return &g->queue[(g->first + i) % g->capacity];
}

/* ---- one sequence ---- */

static void sequence_fini(struct sequence *s)
{
    mem_free(s->prompt);
    mem_free(s->keep);
    mem_free(s->ids.data);
    bytes_fini(&s->text);
    *s = (struct sequence){0};
}

static enum err ids_push(struct errctx *e, struct id_list *ids, uint32_t id)
{
    TRY(mem_grow(e, &ids->data, &ids->capacity, ids->count + 1, sizeof *ids->data, "tokens"));
    ids->data[ids->count++] = id;
    return ERR_OK;
}

static void sequence_end(struct generator *g, struct sequence *s, enum generator_finish why)
{
    s->finish = why;
    decoder_reset(g->decoder, s->slot);
    g->free_slots[g->free_count++] = s->slot;
    s->slot = -1;
    if (why == GENERATOR_CONTEXT)
        prog_note("prompt %" PRId64 ": stopped, the context of %" PRId64 " tokens is full",
                  s->number + 1, g->context);
}

/* Cuts the text before a stop string that the bytes from `old` on have completed. */
static bool sequence_stops(struct generator *g, struct sequence *s, size_t old)
{
    size_t place = stop_find(&g->cfg->stop, (const char *)s->text.data, old, s->text.len);
    if (place == SIZE_MAX) return false;
    s->text.len = place;
    sequence_end(g, s, GENERATOR_STOP);
    return true;
}

/* Takes the drawn token (last of ids) into the text and decides whether the sequence goes on. */
static enum err sequence_take(struct errctx *e, struct generator *g, struct sequence *s)
{
    uint32_t id = s->ids.data[s->ids.count - 1];
    size_t old = s->text.len;
    enum generator_finish why;
    s->logprob += s->token_logprob;
    g->stats.tokens++;
    if ((int64_t)id != g->end)
        TRY(tokenizer_decode_next(e, g->tokenizer, &s->decoder, id, &s->text));
    if (sequence_stops(g, s, old)) return ERR_OK;
    if ((int64_t)id == g->end)
        why = GENERATOR_END;
    else if ((int64_t)(s->ids.count - s->prompt_tokens) >= g->cfg->tokens)
        why = GENERATOR_LENGTH;
    else if (decoder_length(g->decoder, s->slot) >= g->context)
        why = GENERATOR_CONTEXT;
    else
        return ERR_OK;
    old = s->text.len;
    TRY(tokenizer_decode_finish(e, &s->decoder, &s->text));
    if (!sequence_stops(g, s, old)) sequence_end(g, s, why);
    return ERR_OK;
}

/* ---- drawing: one task is one sequence ---- */

static void draw_task(void *ctx, int64_t task, int thread)
{
    struct generator *g = ctx;
    struct sequence *s = g->active[task];
    const float *logits = g->logits + task * g->vocab;
    uint32_t id, t = (uint32_t)(s->ids.count - s->prompt_tokens);
    struct rng_key key = rng_key_make((uint64_t)g->cfg->seed, RNG_GENERATE);
    double u =
        rng_uniform(key, (uint32_t)s->hash, (uint32_t)(s->hash >> 32), (uint32_t)s->sample, t);
    if (sampler_draw(&s->failure, g->samplers[thread], logits, s->ids.data, s->ids.count, u, &id) !=
        ERR_OK)
        return;
    s->token_logprob = sampler_drawn_logprob(g->samplers[thread], logits, id);
    (void)ids_push(&s->failure, &s->ids, id);
}

/* Draws the next token of active[0 .. n) from logits. */
static enum err draw(struct errctx *e, struct generator *g, int64_t n)
{
    pool_run(model_kernels(g->model)->pool, draw_task, g, n);
    for (int64_t i = 0; i < n; i++) {
        struct sequence *s = g->active[i];
        if (s->failure.code != ERR_OK)
            return err_set(e, s->failure.code, "prompt %" PRId64 ": %s", s->number + 1,
                           s->failure.message);
        TRY(sequence_take(e, g, s));
    }
    return ERR_OK;
}

/* ---- starting sequences ---- */

static enum err check_prompt(struct errctx *e, const struct generator *g)
{
    size_t valid = utf8_valid_prefix(g->prompt.data, g->prompt.len);
    if (valid == g->prompt.len) return ERR_OK;
    return err_set(e, ERR_INPUT, "prompt %" PRId64 " is not valid UTF-8: byte %zu", g->prompts,
                   valid);
}

static enum err encode_prompt(struct errctx *e, struct generator *g, struct sequence *s)
{
    if (g->lead >= 0 && !g->cfg->chat) TRY(ids_push(e, &s->ids, (uint32_t)g->lead));
    TRY(tokenizer_encode(e, g->tokenizer, g->scratch, s->prompt, s->prompt_length, g->cfg->chat,
                         &s->ids, NULL));
    s->prompt_tokens = s->ids.count;
    if (s->ids.count == 0)
        return err_set(e, ERR_INPUT,
                       "prompt %" PRId64
                       " is empty, and the tokenizer has no token that begins a text",
                       s->number + 1);
    if ((int64_t)s->ids.count > g->context)
        return err_set(e, ERR_INPUT, "prompt %" PRId64 " has %zu tokens, the context is %" PRId64,
                       s->number + 1, s->ids.count, g->context);
    return ERR_OK;
}

static enum err prepare_sequence(struct errctx *e, struct generator *g, struct sequence *s)
{
    *s = (struct sequence){.number = g->prompts - 1,
                           .sample = g->cfg->samples - g->samples_left--,
                           .prompt_length = g->prompt.len,
                           .keep_length = g->keep.len,
                           .hash = XXH3_64bits(g->prompt.data, g->prompt.len)};
    s->decoder.started = true; /* it goes on a text: no space is dropped */
    TRY(mem_strndup(e, &s->prompt, (const char *)g->prompt.data, g->prompt.len));
    if (g->has_keep) TRY(mem_strndup(e, &s->keep, (const char *)g->keep.data, g->keep.len));
    return encode_prompt(e, g, s);
}

/* What s may have of what lies in a slot. */
static int64_t shared_with(const struct generator *g, const struct sequence *s, int64_t slot)
{
    const struct id_list *there = &g->cached[slot];
    const size_t most = s->ids.count < there->count ? s->ids.count : there->count;
    size_t n = 0;
    while (n < most && s->ids.data[n] == there->data[n]) n++;
    return decoder_shared(g->decoder, (int64_t)n, (int64_t)s->ids.count);
}

/* Gives s a free slot, and what another prompt has computed of its beginning. */
static void take_slot(struct generator *g, struct sequence *s)
{
    int64_t best = 0, from = -1, *last = &g->free_slots[--g->free_count];
    for (int64_t slot = 0; slot < g->batch && model_can_share(g->model); slot++) {
        const int64_t n = shared_with(g, s, slot);
        if (n <= best) continue;
        best = n;
        from = slot;
    }
    for (int64_t *at = g->free_slots; at < last; at++) { /* where it lies, if that is free */
        if (*at != from) continue;
        *at = *last;
        *last = from;
    }
    s->slot = *last;
    if (best > 0) decoder_copy(g->decoder, from, s->slot, best);
}

static enum err note_cached(struct errctx *e, struct generator *g, const struct sequence *s)
{
    struct id_list *there = &g->cached[s->slot];
    there->count = 0;
    TRY(mem_grow(e, &there->data, &there->capacity, s->ids.count, sizeof *there->data, "tokens"));
    memcpy(there->data, s->ids.data, s->ids.count * sizeof *there->data);
    there->count = s->ids.count;
    return ERR_OK;
}

/* Scores after the prompt of s: computed for its first sample, the others go on from there. */
static enum err compute_prompt(struct errctx *e, struct generator *g, const struct sequence *s)
{
    const int64_t n = (int64_t)s->ids.count, shared = decoder_length(g->decoder, s->slot);
    const size_t bytes = (size_t)g->vocab * sizeof *g->logits;
    if (g->prompt_logits && g->prompt_number == s->number) {
        decoder_copy(g->decoder, g->prompt_slot, s->slot, n);
        memcpy(g->logits, g->prompt_logits, bytes);
        return ERR_OK;
    }
    TRY(decoder_prompt(e, g->decoder, s->slot, n - shared, s->ids.data + shared, g->logits));
    if (g->prompt_logits) memcpy(g->prompt_logits, g->logits, bytes);
    g->stats.prompt_tokens += n;
    g->stats.shared += shared;
    g->prompt_slot = s->slot;
    g->prompt_number = s->number;
    return ERR_OK;
}

/* Puts it into the queue and draws its first token. */
static enum err start_sequence(struct errctx *e, struct generator *g,
                               const struct sequence *prepared)
{
    struct sequence *s = queue_at(g, g->count++);
    *s = *prepared;
    take_slot(g, s);
    TRY(compute_prompt(e, g, s));
    TRY(note_cached(e, g, s));
    g->active[0] = s;
    return draw(e, g, 1);
}

static enum err next_prompt(struct errctx *e, struct generator *g)
{
    struct generator_prompt p = {0};
    bool more;
    enum err r = g->io->next(e, g->io->ctx, &p, &more);
    if (g->idle.code != ERR_OK) return err_set(e, g->idle.code, "%s", g->idle.message);
    if (r != ERR_OK || !more) {
        g->no_more = true;
        return r;
    }
    g->prompt.len = g->keep.len = 0;
    g->has_keep = p.keep != NULL;
    TRY(bytes_reserve(e, &g->prompt, 1)); /* never NULL */
    TRY(bytes_append(e, &g->prompt, p.text, p.length));
    if (p.keep) TRY(bytes_append(e, &g->keep, p.keep, p.keep_length));
    g->samples_left = g->cfg->samples;
    g->prompts++;
    return check_prompt(e, g);
}

/* One more sequence; *started is false when there is no prompt any more. A prompt that cannot be
 * continued ends the input; the sequences before it go on to their ends. */
static enum err start_next(struct errctx *e, struct generator *g, bool *started)
{
    struct sequence s = {0};
    *started = false;
    if (g->samples_left == 0 && !g->no_more && next_prompt(&g->refused, g) != ERR_OK)
        g->no_more = true;
    if (g->idle.code != ERR_OK) return err_set(e, g->idle.code, "%s", g->idle.message);
    if (g->no_more && g->samples_left == 0) return ERR_OK;
    if (g->refused.code != ERR_OK || prepare_sequence(&g->refused, g, &s) != ERR_OK) {
        sequence_fini(&s);
        g->samples_left = 0;
        g->no_more = true;
        return ERR_OK;
    }
    *started = true;
    return start_sequence(e, g, &s);
}

/* Fills free slots while there is room in the queue and a prompt is at hand. */
static enum err fill(struct errctx *e, struct generator *g)
{
    bool started = true;
    while (started && g->free_count > 0 && g->count < g->capacity) {
        TRY(start_next(e, g, &started));
        if (g->count == 1)
            return ERR_OK; /* its first piece of text goes out before more prompts are computed */
    }
    return ERR_OK;
}

/* ---- stepping ---- */

static enum err step(struct errctx *e, struct generator *g)
{
    int64_t n = 0;
    for (size_t i = 0; i < g->count; i++) {
        struct sequence *s = queue_at(g, i);
        if (s->slot < 0) continue;
        g->active[n] = s;
        g->step_slots[n] = s->slot;
        g->step_ids[n++] = s->ids.data[s->ids.count - 1];
    }
    if (n == 0) return ERR_OK;
    TRY(decoder_step(e, g->decoder, n, g->step_slots, g->step_ids, g->logits));
    return draw(e, g, n);
}

static struct generator_result result_view(const struct sequence *s)
{
    return (struct generator_result){.prompt = s->prompt,
                                     .keep = s->keep,
                                     .prompt_length = s->prompt_length,
                                     .keep_length = s->keep_length,
                                     .number = s->number,
                                     .sample = s->sample,
                                     .text = s->text.len ? (const char *)s->text.data : "",
                                     .text_length = s->text.len,
                                     .ids = s->ids.data + s->prompt_tokens,
                                     .ids_count = s->ids.count - s->prompt_tokens,
                                     .prompt_tokens = s->prompt_tokens,
                                     .finish = s->finish,
                                     .logprob = s->logprob};
}

/* Hands out what is certain of the text. */
static enum err release(struct errctx *e, const struct generator *g, struct sequence *s,
                        const struct generator_result *r)
{
    size_t certain = r->text_length;
    if (s->slot >= 0) certain -= stop_held(&g->cfg->stop, r->text, r->text_length);
    if (certain <= s->released) return ERR_OK;
    TRY(g->io->piece(e, g->io->ctx, r, r->text + s->released, certain - s->released));
    s->released = certain;
    return ERR_OK;
}

static enum err emit(struct errctx *e, struct generator *g)
{
    while (g->count > 0) {
        struct sequence *s = queue_at(g, 0);
        const struct generator_result r = result_view(s);
        TRY(release(e, g, s, &r));
        if (s->slot >= 0) return ERR_OK;
        TRY(g->io->done(e, g->io->ctx, &r));
        sequence_fini(s);
        g->first = (g->first + 1) % g->capacity;
        g->count--;
    }
    return ERR_OK;
}

/* While input is waited for: what has been begun is finished. */
static void work_while_waiting(void *ctx)
{
    struct generator *g = ctx;
    while (g->count > 0 && step(&g->idle, g) == ERR_OK && emit(&g->idle, g) == ERR_OK) continue;
}

static enum err generator_loop(struct errctx *e, struct generator *g)
{
    g->io->waits(g->io->ctx, work_while_waiting, g);
    do {
        TRY(fill(e, g));
        TRY(emit(e, g));
        TRY(step(e, g));
        TRY(emit(e, g));
    } while (g->count > 0 || g->samples_left > 0 || !g->no_more);
    return g->refused.code == ERR_OK ? ERR_OK
                                     : err_set(e, g->refused.code, "%s", g->refused.message);
}

/* ---- opening and closing ---- */

enum err generator_context(struct errctx *e, const struct generator_cfg *cfg,
                           const struct model_config *c, int64_t *context)
{
    if (!c->causal)
        return err_set(
            e, ERR_USAGE,
            "an encoder model fills in masks and cannot continue a text: generate needs a "
            "causal model");
    if (cfg->context > c->context)
        return err_set(e, ERR_USAGE, "--context %" PRId64 " is more than the model's %" PRId64,
                       cfg->context, c->context);
    *context = cfg->context > 0 ? cfg->context : c->context;
    return ERR_OK;
}

static enum err check_use(struct errctx *e, struct generator *g)
{
    const struct tokenizer_spec *spec = model_tokenizer(g->model);
    TRY(generator_context(e, g->cfg, model_config_of(g->model), &g->context));
    if (!spec) return err_set(e, ERR_INPUT, "the model has no tokenizer");
    g->vocab = model_config_of(g->model)->vocab;
    g->end = tokenizer_spec_special(spec, "eos");
    g->lead = tokenizer_spec_special(spec, "bos");
    if (g->lead < 0) g->lead = g->end;
    for (size_t i = 0; i < g->cfg->stop.count; i++) {
        const char *stop = g->cfg->stop.items[i];
        size_t n = strlen(stop);
        if (n == 0 || utf8_valid_prefix((const uint8_t *)stop, n) != n)
            return err_set(e, ERR_USAGE, "--stop '%s': %s", stop,
                           n ? "not UTF-8" : "an empty text stands everywhere");
    }
    return ERR_OK;
}

static enum err open_samplers(struct errctx *e, struct generator *g, const struct sampler_cfg *cfg)
{
    const struct tokenizer_spec *spec = model_tokenizer(g->model);
    g->threads = pool_threads(model_kernels(g->model)->pool);
    TRY(mem_new(e, &g->samplers, (size_t)g->threads, sizeof *g->samplers, "samplers"));
    for (int t = 0; t < g->threads; t++) {
        TRY(sampler_new(e, model_kernels(g->model), cfg, g->vocab, &g->samplers[t]));
        for (int64_t v = 0; v < g->vocab; v++)
            if (v >= spec->vocab || (spec->flags[v] & TOKEN_UNUSED))
                sampler_exclude(g->samplers[t], (uint32_t)v);
    }
    return ERR_OK;
}

static enum err generator_open(struct errctx *e, struct generator *g,
                               const struct sampler_cfg *sampler)
{
    size_t batch, numbers;
    TRY(check_use(e, g));
    TRY(open_samplers(e, g, sampler));
    TRY(tokenizer_new(e, model_tokenizer(g->model), &g->tokenizer));
    TRY(tokenizer_scratch_new(e, g->tokenizer, &g->scratch));
    g->batch = g->cfg->batch;
    if (g->io->prompts > 0 && g->io->prompts <= g->batch / g->cfg->samples)
        g->batch = g->io->prompts * g->cfg->samples;
    batch = (size_t)g->batch;
    TRY(decoder_new(e, g->model, g->batch, g->context, &g->decoder));
    if (!size_mul(batch, (size_t)g->vocab, &numbers)) return err_memory(e, "scores", UINT64_MAX);
    TRY(mem_new(e, &g->logits, numbers, sizeof *g->logits, "scores"));
    g->prompt_number = -1;
    if (g->cfg->samples > 1)
        TRY(mem_new(e, &g->prompt_logits, (size_t)g->vocab, sizeof *g->logits, "scores"));
    g->capacity = 4 * batch;
    TRY(mem_new(e, &g->queue, g->capacity, sizeof *g->queue, "sequences"));
    TRY(mem_new(e, &g->free_slots, batch, sizeof *g->free_slots, "sequences"));
    TRY(mem_new(e, &g->active, batch, sizeof(struct sequence *), "sequences"));
    TRY(mem_new(e, &g->cached, batch, sizeof *g->cached, "sequences"));
    TRY(mem_new(e, &g->step_slots, batch, sizeof *g->step_slots, "sequences"));
    TRY(mem_new(e, &g->step_ids, batch, sizeof *g->step_ids, "sequences"));
    for (int64_t s = g->batch; s-- > 0;) g->free_slots[g->free_count++] = s;
    return ERR_OK;
}

static void generator_close(struct generator *g)
{
    for (size_t i = 0; g->queue && i < g->capacity; i++) sequence_fini(&g->queue[i]);
    for (int t = 0; g->samplers && t < g->threads; t++) sampler_free(g->samplers[t]);
    mem_free(g->samplers);
    tokenizer_scratch_free(g->scratch);
    tokenizer_free(g->tokenizer);
    if (g->decoder) decoder_free(g->decoder);
    mem_free(g->logits);
    mem_free(g->prompt_logits);
    for (int64_t s = 0; g->cached && s < g->batch; s++) mem_free(g->cached[s].data);
    mem_free(g->cached);
    mem_free(g->queue);
    mem_free(g->free_slots);
    mem_free(g->active);
    mem_free(g->step_slots);
    mem_free(g->step_ids);
    bytes_fini(&g->prompt);
    bytes_fini(&g->keep);
}

enum err generator_run(struct errctx *e, struct model *m, const struct generator_cfg *cfg,
                       const struct sampler_cfg *sampler, const struct generator_io *io,
                       struct generator_stats *stats)
{
    struct generator g = {.model = m, .cfg = cfg, .io = io};
    double started = prog_seconds();
    enum err r = generator_open(e, &g, sampler);
    if (r == ERR_OK) r = generator_loop(e, &g);
    *stats = g.stats;
    stats->prompts = g.prompts;
    stats->seconds = prog_seconds() - started;
    generator_close(&g);
    return r;
}
