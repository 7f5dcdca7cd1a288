/* SPDX-License-Identifier: Apache-2.0 */
/* trainer_cfg.c: the options of a run, and what becomes of them when its input is known. */
#include "common/train/trainer_cfg.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/prog.h"

#define FIELD(f) offsetof(struct trainer_cfg, f)

const struct opt trainer_table[] = {
    {"batch-tokens", 0, OPT_INT, FIELD(batch_tokens), "N", "tokens of a step, at most", 0, 1, 1e12},
    {"steps", 0, OPT_INT, FIELD(steps), "N",
     "stop after so many steps; the schedule ends there; 0: train on all rows", 0, 0, 1e15},
    {"horizon", 0, OPT_INT, FIELD(horizon), "N",
     "step at which the schedule ends (default: --steps, or what the input expects)",
     OPT_NO_DEFAULT, 0, 1e15},
    {"stop-after", 0, OPT_INT, FIELD(stop_after), "N",
     "stop after so many steps without changing the schedule; 0: no", OPT_UNRECORDED, 0, 1e15},
    {"drain", 0, OPT_FLAG, FIELD(drain), NULL,
     "after an early stop read the input to its end; otherwise record how far it was read",
     OPT_UNRECORDED},
    {"dropout", 0, OPT_REAL, FIELD(dropout), "P", "chance of an activation to be dropped", 0, 0,
     0.99},
    {"grain", 0, OPT_INT, FIELD(grain), "N", "tokens that are summed as one piece", 0, 32, 1 << 20},
    {"micro-tokens", 0, OPT_INT, FIELD(micro_tokens), "N",
     "tokens computed at once: memory, not results", OPT_UNRECORDED, 1, 1 << 30},
    {"recompute", 0, OPT_FLAG, FIELD(recompute), NULL,
     "keep only what enters each layer, compute the rest again: less memory, same bytes",
     OPT_UNRECORDED},
    {"checkpoint", 0, OPT_STRING, FIELD(checkpoint), "FILE",
     "save the state here; when it exists, go on from it", OPT_UNRECORDED | OPT_PATH},
    {"checkpoint-every", 0, OPT_INT, FIELD(checkpoint_every), "STEPS",
     "save it so often; 0: by time alone", OPT_UNRECORDED, 0, 1e15},
    {"checkpoint-minutes", 0, OPT_REAL, FIELD(checkpoint_minutes), "M",
     "save it so often; 0: by steps alone", OPT_UNRECORDED, 0, 1e6},
    {"val", 0, OPT_STRING, FIELD(val), "FILE", "tokens to judge the model on as it trains",
     OPT_PATH},
    {"val-every", 0, OPT_INT, FIELD(val_every), "STEPS",
     "judge it so often; 0: at the start and the end", 0, 0, 1e15},
    {"val-rows", 0, OPT_INT, FIELD(val_rows), "N", "judge it on the first N rows; 0: all", 0, 0,
     1e18},
    {"patience", 0, OPT_INT, FIELD(patience), "N",
     "stop after so many judgements without gain; 0: never", 0, 0, 1e15},
    {"keep-best", 0, OPT_FLAG, FIELD(keep_best), NULL,
     "the result is the model that was judged best, not the last one"},
    {"snapshots", 0, OPT_STRING, FIELD(snapshots), "WHEN:DIR",
     "keep models along the way: log2:DIR at steps 1, 2, 4, 8, ..., N:DIR every N steps",
     OPT_UNRECORDED | OPT_PATH},
    {"spike", 0, OPT_REAL, FIELD(spike), "X",
     "stop when the loss is X times its running mean and above the first; 0: never", OPT_UNRECORDED,
     0, 1e9},
    OPT_END};

/* ---- what is settled before a run ---- */

static enum err check_values(struct errctx *e, const struct trainer_cfg *c)
{
    if (!c->val && (c->keep_best || c->patience || c->val_rows))
        return err_set(e, ERR_USAGE, "--%s needs --val",
                       c->keep_best  ? "keep-best"
                       : c->patience ? "patience"
                                     : "val-rows");
    if (c->patience && !c->val_every) return err_set(e, ERR_USAGE, "--patience needs --val-every");
    if (!c->checkpoint && c->checkpoint_every)
        return err_set(e, ERR_USAGE, "--checkpoint-every needs --checkpoint");
    if (!c->drain && !c->steps && !c->stop_after && !c->patience)
        return err_set(e, ERR_USAGE, "--no-drain needs --steps, --stop-after or --patience");
    return ERR_OK;
}

enum err trainer_check_options(struct errctx *e, const struct opt_set *sets,
                               const struct trainer_cfg *cfg, const struct adamw_cfg *adamw)
{
    const struct {
        const char *name;
        bool used;
        const char *needs;
    } checks[] = {
        {"val-every", cfg->val != NULL, "--val"},
        {"decay-part", adamw->schedule == SCHEDULE_WSD, "--schedule wsd"},
        {"lr-min", adamw->schedule != SCHEDULE_CONSTANT, "a schedule that goes down"},
        {"horizon", adamw->schedule != SCHEDULE_CONSTANT, "a schedule that goes down"},
        {"checkpoint-minutes", cfg->checkpoint != NULL, "--checkpoint"},
    };
    for (size_t i = 0; i < ARRAY_LEN(checks); i++)
        if (!checks[i].used && opts_given(sets, checks[i].name))
            return err_set(e, ERR_USAGE, "--%s needs %s", checks[i].name, checks[i].needs);
    return check_values(e, cfg);
}

bool trainer_needs_length(const struct trainer_cfg *cfg, const struct adamw_cfg *adamw)
{
    return adamw->schedule != SCHEDULE_CONSTANT && cfg->steps == 0 && cfg->horizon == 0;
}

/* An option was recorded as it was given; what it came to is what the result depends on. */
static enum err record_settled(struct errctx *e, struct run *run, const char *name, int64_t number)
{
    for (size_t i = 0; i < run->step.options_count; i++) {
        struct lineage_option *o = &run->step.options[i];
        char *value;
        if (strcmp(o->name, name) != 0) continue;
        TRY(mem_printf(e, &value, "%" PRId64, number));
        mem_free(o->value);
        o->value = value;
    }
    return ERR_OK;
}

/* Longest row of a tokens stream, when its begin says so, else 0. */
static int64_t input_length(const struct stream_begin *input)
{
    const struct mp_value *v = mp_get(&input->meta, "length");
    return v && v->type == MP_UINT && v->as.u <= INT64_MAX ? (int64_t)v->as.u : 0;
}

enum { FEW_ROWS = 4 };

/* A tenth of the steps, as a short run has no use for a hundred steps of slow rates. */
static int64_t settled_warmup(const struct adamw_cfg *c, int64_t horizon)
{
    if (c->warmup >= 0) return c->warmup;
    return horizon == 0 || horizon / 10 > WARMUP_MOST ? WARMUP_MOST : horizon / 10;
}

/* Steps that the rows of the input will make: batches are nearly full, and a batch has a row at
 * least. Where they hold so few rows that much of them may stay empty, nobody can say. */
static int64_t expected_steps(const struct trainer_cfg *cfg, const struct stream_begin *input)
{
    const struct stream_expect *x = &input->expect;
    const int64_t length = cfg->length, batch = cfg->batch_tokens;
    int64_t steps = (x->tokens - 1) / batch + 1;
    if (x->rows <= 0) return steps;
    if (steps > x->rows) steps = x->rows;
    int64_t fit = length > 0 && batch > length ? batch / length : 1; /* rows in any batch */
    int64_t most = (x->rows - 1) / fit + 1;
    if (length > 0 && fit < FEW_ROWS && most - steps > steps / 10)
        prog_warn("a batch of at most %" PRId64 " tokens holds few rows of up to %" PRId64
                  ": the rate comes down by step %" PRId64 ", the rows may last to step %" PRId64
                  ": give a larger --batch-tokens, or --horizon",
                  batch, length, steps, most);
    return steps;
}

enum err trainer_settle(struct errctx *e, struct trainer_cfg *cfg, struct adamw_cfg *adamw,
                        const struct stream_begin *input, struct run *run)
{
    cfg->length = input_length(input);
    if (cfg->horizon == 0) cfg->horizon = cfg->steps;
    /* A constant schedule has no end: what a stream says of its length must change nothing. */
    bool ends = adamw->schedule != SCHEDULE_CONSTANT;
    if (ends && cfg->horizon == 0 && input->expect.tokens >= 0) /* none: found out by reading */
        cfg->horizon = expected_steps(cfg, input);
    if (ends && cfg->horizon == 0)
        return err_set(e, ERR_USAGE,
                       "the rate goes down towards an end that is not known: a pipe does not say "
                       "how long it is (but graft shuffle's does); give --steps N, or --schedule "
                       "constant");
    adamw->warmup = settled_warmup(adamw, cfg->horizon);
    if (cfg->horizon > 0 && adamw->warmup >= cfg->horizon)
        prog_warn("the rate rises over %" PRId64 " steps, but step %" PRId64 " is the last"
                  ": give --warmup",
                  adamw->warmup, cfg->horizon);
    TRY(record_settled(e, run, "warmup", adamw->warmup));
    return record_settled(e, run, "horizon", cfg->horizon);
}

static int64_t round_up(int64_t n)
{
    return (n + KERNEL_STEP - 1) / KERNEL_STEP * KERNEL_STEP;
}

int64_t trainer_micro_limit(const struct trainer_cfg *cfg, int64_t context)
{
    const int64_t length = cfg->length;
    int64_t longest = length > 0 && length < context && !cfg->val ? length : context;
    int64_t most = cfg->micro_tokens < cfg->batch_tokens ? cfg->micro_tokens : cfg->batch_tokens;
    if (most < cfg->grain) most = cfg->grain;
    return round_up(most > longest ? most : longest);
}

void trainer_fit(struct model_use *use, const struct model_config *c)
{
    const struct trainer_cfg *cfg = use->fit_ctx;
    const int64_t most = trainer_micro_limit(cfg, c->context);
    use->training = true;
    use->recompute = cfg->recompute;
    use->tokens = batch_padded(most, cfg->grain, most);
    use->learned = cfg->batch_tokens > most ? cfg->batch_tokens : most;
    use->dropout = cfg->dropout;
    use->seed = (uint64_t)cfg->seed;
}

enum err trainer_plan(struct errctx *e, const struct trainer_cfg *cfg,
                      const struct model_config *model, const struct model_use *use,
                      struct plan *plan)
{
    struct param_table table;
    TRY(param_table_build_adapted(e, model, use->adapter, use->heads, &table));
    param_table_train(&table, use->trains, use->trains_ctx);
    const uint64_t flat = (uint64_t)table.trained * sizeof(float);
    param_table_fini(&table);
    TRY(plan_add(e, plan, "optimiser: mean and square of the gradient", 2 * flat, false));
    return cfg->keep_best ? plan_add(e, plan, "best weights so far", flat, false) : ERR_OK;
}
