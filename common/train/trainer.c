/* SPDX-License-Identifier: Apache-2.0 */
/* trainer.c: the loop. What a run has done is `struct train_state`, and it changes only when a step
 * is complete: whatever goes wrong in between, weights, moments and state still belong together
 * and can be saved. */
#include "common/train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/train/checkpoint.h"
#include "common/train/snapshot.h"
#include "common/train/trainlog.h"
#include "common/train/validation.h"

/* ---- the run ---- */

struct trainer {
    const struct trainer_job *job;
    const struct trainer_cfg *cfg;
    struct model *m;
    struct kernels *k;
    struct train_state s;
    const struct goal *goal;
    struct feed feed;
    struct adamw adamw;
    struct batch batch; /* the micro-batch that is being filled */
    int64_t limit;      /* real tokens of one */
    struct checkpoint ck;
    struct buf best;
    struct trainlog log;
    struct validation val;
    struct snapshots snapshots;
    int64_t saved_step; /* of the checkpoint on disk */
    double saved_time;
    bool running, save_failed;
};

/* One batch on its way to a step. */
struct pass {
    int64_t first_row, rows, tokens;
    double loss, scored; /* sums */
    double started;
};

static enum err interrupted(struct errctx *e)
{
    return err_set(e, ERR_IO, "stopped by signal %d", io_pending_signal());
}

/* Forward, loss, backward over what is in the micro-batch: gradients are summed. */
static enum err compute(struct errctx *e, struct trainer *t, struct pass *p)
{
    if (t->batch.rows == 0) return ERR_OK;
    if (t->batch.scored != 0) {
        TRY(batch_close(e, &t->batch));
        TRY(model_forward(e, t->m, &t->batch, (uint32_t)(t->s.step + 1)));
        TRY(t->goal->learn(e, t->goal->state, t->m, &t->batch, &p->loss));
        TRY(model_backward(e, t->m, &t->batch));
    }
    batch_clear(&t->batch);
    return ERR_OK;
}

static enum err check_row(struct errctx *e, const struct trainer *t, const struct tokens_row *row)
{
    int64_t context = model_config_of(t->m)->context;
    const char *name = t->feed.source->name;
    if (row->n > context)
        return err_set(e, ERR_INPUT,
                       "'%s': row %" PRId64 " has %" PRId64
                       " tokens, the model's context is %" PRId64
                       ": cut the documents with 'graft tokenize --length %" PRId64 "'",
                       name, t->feed.used, row->n, context, context);
    if (row->n > t->limit)
        return err_set(e, ERR_INPUT,
                       "'%s': row %" PRId64 " has %" PRId64 " tokens, the stream promises at most "
                       "%" PRId64,
                       name, t->feed.used, row->n, t->cfg->length);
    return ERR_OK;
}

/* Puts a row into the micro-batch, which is computed first when the row opens a grain for which
 * there may be no room: a micro-batch is whole grains. The last grain holds what the batch lacks at
 * most, so that a batch that fits is computed at once. */
static enum err add_row(struct errctx *e, struct trainer *t, const struct tokens_row *row,
                        struct pass *p)
{
    const struct batch *b = &t->batch;
    int64_t grain = t->cfg->grain, most = t->cfg->batch_tokens - p->tokens; /* still to come */
    double scored;
    TRY(check_row(e, t, row));
    if (row->n == 0) return ERR_OK;
    if (most > grain) most = grain;
    bool opens = b->grains > 0 && b->tokens - b->grain_start[b->grains - 1] + row->n > grain;
    if (opens && b->real + (row->n > most ? row->n : most) > t->limit) TRY(compute(e, t, p));
    const struct goal_row at = {.layout = &t->feed.layout,
                                .row = row,
                                .rows = &t->feed.rows,
                                .place = t->feed.next,
                                .ordinal = t->feed.used};
    TRY(t->goal->append(e, t->goal->state, &at, grain, &t->batch, &scored));
    p->scored += scored;
    p->tokens += row->n;
    return ERR_OK;
}

/* Reads one batch and computes its gradient. p->rows is 0 at the end of the rows. */
static enum err gather(struct errctx *e, struct trainer *t, struct pass *p)
{
    *p = (struct pass){.first_row = t->feed.used, .started = prog_seconds()};
    t->k->zero(t->k, model_gradients(t->m));
    batch_clear(&t->batch);
    for (;;) {
        struct tokens_row row;
        bool more;
        if (io_pending_signal()) return interrupted(e);
        TRY(feed_peek(e, &t->feed, &row, &more));
        if (!more || (p->tokens > 0 && p->tokens + row.n > t->cfg->batch_tokens)) break;
        TRY(add_row(e, t, &row, p));
        feed_take(&t->feed, &row);
        p->rows++;
    }
    return compute(e, t, p);
}

/* A loss that says that something went wrong: the step is not made. */
static enum err check_loss(struct errctx *e, const struct trainer *t, const struct pass *p,
                           double loss, double norm)
{
    int64_t step = t->s.step + 1, last = p->first_row + p->rows - 1;
    if (!isfinite(loss) || !isfinite(norm))
        return err_set(e, ERR_IO,
                       "step %" PRId64 ", rows %" PRId64 " to %" PRId64
                       ": the %s is not a finite number (a lower --lr may help)",
                       step, p->first_row, last, isfinite(loss) ? "gradient" : "loss");
    if (t->cfg->spike > 0 && t->s.step > 0 && loss > t->s.loss_first &&
        loss > t->cfg->spike * t->s.loss_mean)
        return err_set(e, ERR_IO,
                       "step %" PRId64 ", rows %" PRId64 " to %" PRId64
                       ": the loss has jumped to %.4g from %.4g (a lower --lr may help; --spike "
                       "says what a jump is)",
                       step, p->first_row, last, loss, t->s.loss_mean);
    return ERR_OK;
}

/* The rows of a batch are done, and with `step` the model has learned from them. */
static void advance(struct trainer *t, bool step, double loss)
{
    t->s.rows = t->feed.used;
    t->s.tokens = t->feed.tokens;
    feed_digest(&t->feed, t->s.digest);
    if (!step) return;
    t->s.loss_mean = t->s.step > 0 ? 0.95 * t->s.loss_mean + 0.05 * loss : loss;
    if (t->s.step == 0) t->s.loss_first = loss;
    t->s.loss_last = loss;
    t->s.step++;
}

static enum err make_step(struct errctx *e, struct trainer *t, const struct pass *p)
{
    model_finish_gradients(t->m);
    double loss = p->loss / p->scored;
    double norm = adamw_norm(&t->adamw, t->m) / p->scored;
    TRY(check_loss(e, t, p, loss, norm));
    double rate = schedule_rate(t->job->adamw, t->s.step + 1, t->cfg->horizon);
    double scale = adamw_clip(t->job->adamw, norm) / p->scored;
    adamw_step(&t->adamw, t->m, t->s.step + 1, rate, scale);
    advance(t, true, loss);
    struct trainlog_step line = {loss, norm, rate, 0};
    line.tokens_per_second = (double)p->tokens / (prog_seconds() - p->started);
    trainlog_account(&t->log, &t->s);
    TRY(trainlog_step(e, &t->log, &t->s, &line));
    int64_t last = t->cfg->stop_after ? t->cfg->stop_after : t->cfg->steps;
    trainlog_progress(&t->log, &t->s, &line, last, t->job->input->begin->expect.tokens);
    return ERR_OK;
}

/* ---- between steps ---- */

static enum err judge(struct errctx *e, struct trainer *t, double *loss, bool *best)
{
    struct judgement r;
    model_set_dropout(t->m, false);
    TRY(validation_run(e, &t->val, &r));
    model_set_dropout(t->m, true);
    *loss = r.loss;
    *best = t->s.val_best_step < 0 || *loss < t->s.val_best;
    return trainlog_validation(e, &t->log, &t->s, &r, *best);
}

static enum err validate(struct errctx *e, struct trainer *t)
{
    double loss;
    bool best;
    TRY(judge(e, t, &loss, &best));
    if (t->s.val_last_step < 0) t->s.val_first = loss;
    t->s.val_last = loss;
    t->s.val_last_step = t->s.step;
    t->s.val_worse = best ? 0 : t->s.val_worse + 1;
    if (best) {
        t->s.val_best = loss;
        t->s.val_best_step = t->s.step;
        if (t->cfg->keep_best) adamw_keep(&t->adamw, t->m, t->best);
    }
    t->s.stopped_early = t->cfg->patience > 0 && t->s.val_worse >= t->cfg->patience;
    return ERR_OK;
}

/* Saves what is done so far under a lineage of its own. */
static enum err save(struct errctx *e, struct trainer *t, bool snapshot)
{
    struct run so_far;
    TRY(run_so_far(e, t->job->run, t->s.rows, t->s.digest, &so_far));
    trainlog_account(&t->log, &t->s);
    enum err r = snapshot ? snapshots_save(e, &t->snapshots, t->s.step, t->m, t->job->extension,
                                           t->job->save, &so_far)
                          : checkpoint_save(e, &t->ck, &so_far, &t->s);
    run_fini(&so_far);
    if (snapshot) return r;
    t->save_failed = r != ERR_OK;
    t->saved_step = t->s.step;
    t->saved_time = prog_seconds();
    return r;
}

static bool checkpoint_due(const struct trainer *t)
{
    const struct trainer_cfg *c = t->cfg;
    if (!c->checkpoint || t->s.step == 0 || t->s.step == t->saved_step) return false;
    if (c->checkpoint_every && t->s.step % c->checkpoint_every == 0) return true;
    return c->checkpoint_minutes > 0 &&
           prog_seconds() - t->saved_time >= 60 * c->checkpoint_minutes;
}

/* What is due after step s.step, or before the first. A resumed run does here what it had not come
 * to before. */
static enum err between_steps(struct errctx *e, struct trainer *t)
{
    bool due = t->s.step == 0 || (t->cfg->val_every && t->s.step % t->cfg->val_every == 0);
    if (t->cfg->val && due && t->s.val_last_step < t->s.step) TRY(validate(e, t));
    if (snapshots_due(&t->snapshots, t->s.step)) TRY(save(e, t, true));
    return checkpoint_due(t) ? save(e, t, false) : ERR_OK;
}

static bool is_done(const struct trainer *t)
{
    const struct trainer_cfg *c = t->cfg;
    return t->s.stopped_early || (c->steps && t->s.step >= c->steps) ||
           (c->stop_after && t->s.step >= c->stop_after);
}

static enum err loop(struct errctx *e, struct trainer *t)
{
    for (;;) {
        struct pass p;
        TRY(between_steps(e, t));
        if (is_done(t)) return ERR_OK;
        TRY(gather(e, t, &p));
        if (p.rows == 0) return ERR_OK;
        if (p.scored > 0)
            TRY(make_step(e, t, &p));
        else
            advance(t, false, 0);
    }
}

/* ---- the end ---- */

/* The last judgement is not part of the state: a run that goes on from here would not make it. */
static enum err conclude(struct errctx *e, struct trainer *t)
{
    if (t->s.rows == 0 && t->feed.ended)
        return err_set(e, ERR_INPUT, "'%s': no rows: there is nothing to train on",
                       t->feed.source->name);
    if (t->s.step == 0 && t->feed.ended)
        return err_set(e, ERR_INPUT, "'%s': none of its %" PRId64 " rows has a token to predict",
                       t->feed.source->name, t->s.rows);
    if (t->feed.ended && t->s.step < t->cfg->horizon &&
        t->job->adamw->schedule != SCHEDULE_CONSTANT && !t->s.stopped_early)
        prog_warn("the rows ended with step %" PRId64 " of %" PRId64
                  ": the rate had not come down to its end",
                  t->s.step, t->cfg->horizon);
    if (t->cfg->checkpoint && t->saved_step != t->s.step) TRY(save(e, t, false));
    bool last_is_best = t->s.val_best_step == t->s.step;
    if (t->cfg->val && t->s.val_last_step < t->s.step) {
        TRY(judge(e, t, &t->s.val_last, &last_is_best));
        t->s.val_last_step = t->s.step;
        if (last_is_best) {
            t->s.val_best = t->s.val_last;
            t->s.val_best_step = t->s.step;
        }
    }
    if (t->cfg->keep_best && !last_is_best) adamw_put_back(&t->adamw, t->m, t->best);
    return feed_drain(e, &t->feed, !t->cfg->drain);
}

/* After a failure: saves the last complete step, unless its weights are no numbers themselves, and
 * adds to the message where the user stands. */
static void rescue(struct errctx *e, struct trainer *t)
{
    struct errctx own = ERRCTX_INIT;
    size_t used = strlen(e->message), room = sizeof e->message - used;
    if (!t->running || t->save_failed) return;
    (void)!trainlog_event(&own, &t->log, &t->s, io_pending_signal() ? "signal" : "error",
                          e->message);
    if (!t->cfg->checkpoint || t->s.step == 0) return;
    double sum = t->k->sumsq(t->k, model_params(t->m)->elements, model_weights(t->m));
    if (isfinite(sum) && t->saved_step != t->s.step) (void)!save(&own, t, false);
    if (own.code == ERR_OK && t->saved_step > 0)
        snprintf(e->message + used, room, "; step %" PRId64 " is saved in '%s'%s", t->saved_step,
                 t->cfg->checkpoint, io_pending_signal() ? ": run the same again to go on" : "");
}

/* ---- opening and closing ---- */

static enum err check_tokenizer(struct errctx *e, const struct trainer *t)
{
    const struct tokenizer_spec *spec = model_tokenizer(t->m);
    const struct tokens_layout *l = &t->feed.layout;
    uint8_t id[16];
    char a[33], b[33];
    if (spec) tokenizer_spec_id(spec, id);
    if (spec && memcmp(id, l->tokenizer, sizeof id) != 0)
        return err_set(e, ERR_INPUT,
                       "'%s' was made with the tokenizer %.12s, the model '%s' has %.12s: tokenize "
                       "with 'graft tokenize -m %s'",
                       t->feed.source->name, id_format(l->tokenizer, a), t->job->model_name,
                       id_format(id, b), t->job->model_name);
    if (l->vocab > model_config_of(t->m)->vocab)
        return err_set(
            e, ERR_INPUT, "'%s' has a vocabulary of %" PRId64 ", the model '%s' one of %" PRId64,
            t->feed.source->name, l->vocab, t->job->model_name, model_config_of(t->m)->vocab);
    return ERR_OK;
}

static enum err open_parts(struct errctx *e, struct trainer *t)
{
    const struct model_config *c = model_config_of(t->m);
    const struct trainer_cfg *cfg = t->cfg;
    TRY(feed_init(e, &t->feed, t->job->input));
    TRY(check_tokenizer(e, t));
    TRY(t->goal->open(e, t->goal->state, t->m, t->job->input->begin, t->feed.source->name,
                      (uint64_t)cfg->seed));
    t->limit = trainer_micro_limit(cfg, c->context);
    TRY(batch_init(e, &t->batch, batch_padded(t->limit, cfg->grain, t->limit), t->limit));
    TRY(adamw_init(e, &t->adamw, t->job->adamw, t->m));
    if (cfg->keep_best) TRY(adamw_keep_new(e, &t->adamw, &t->best));
    if (cfg->snapshots) TRY(snapshots_parse(e, cfg->snapshots, &t->snapshots));
    if (!cfg->val) return ERR_OK;
    struct evaluate_cfg judge = EVALUATE_CFG;
    judge.micro_tokens = t->limit;
    judge.grain = cfg->grain;
    judge.rows = cfg->val_rows;
    judge.bootstrap = 0;
    judge.seed = cfg->seed;
    return validation_open(e, &t->val, t->job->run, cfg->val, t->m, t->goal, &judge);
}

/* Goes on from the checkpoint, or starts anew. */
static enum err resume(struct errctx *e, struct trainer *t)
{
    bool found = false;
    t->s = (struct train_state){.val_best_step = -1, .val_last_step = -1};
    feed_digest(&t->feed, t->s.digest);
    if (t->cfg->checkpoint) {
        t->ck = (struct checkpoint){.path = t->cfg->checkpoint,
                                    .run = t->job->run,
                                    .model = t->m,
                                    .adamw = &t->adamw,
                                    .best = t->best,
                                    .lock = -1};
        memcpy(t->ck.val, t->val.id, sizeof t->ck.val);
        TRY(checkpoint_lock(e, &t->ck));
        TRY(checkpoint_load(e, &t->ck, &t->s, &found));
    }
    if (t->cfg->stop_after && t->s.step > t->cfg->stop_after)
        return err_set(e, ERR_USAGE,
                       "the checkpoint '%s' is at step %" PRId64 ", past --stop-after %" PRId64,
                       t->cfg->checkpoint, t->s.step, t->cfg->stop_after);
    if (found) {
        prog_note("going on from step %" PRId64 " of '%s'", t->s.step, t->cfg->checkpoint);
        TRY(feed_skip(e, &t->feed, t->s.rows, t->s.digest));
    }
    t->saved_step = t->s.step;
    t->saved_time = prog_seconds();
    return trainlog_open(e, &t->log, t->cfg->log, &t->s);
}

static void close_parts(struct trainer *t)
{
    prog_progress_done();
    trainlog_close(&t->log);
    checkpoint_unlock(&t->ck);
    validation_close(&t->val);
    if (buf_present(t->best)) t->k->free(t->k, t->best);
    adamw_fini(&t->adamw);
    batch_fini(&t->batch);
    t->goal->close(t->goal->state);
    feed_fini(&t->feed);
}

enum err trainer_run(struct errctx *e, const struct trainer_job *job, struct trainer_result *result)
{
    struct trainer t = {.job = job,
                        .cfg = job->cfg,
                        .goal = job->goal,
                        .m = job->model,
                        .k = model_kernels(job->model),
                        .log = {.fd = -1},
                        .ck = {.lock = -1}};
    enum err r = open_parts(e, &t);
    if (r == ERR_OK) r = resume(e, &t);
    t.running = r == ERR_OK;
    if (r == ERR_OK) r = loop(e, &t);
    if (r == ERR_OK) r = conclude(e, &t);
    if (r != ERR_OK) rescue(e, &t);
    bool stepped = t.s.step > 0, judged = t.s.val_last_step >= 0;
    *result = (struct trainer_result){.steps = t.s.step,
                                      .rows = t.s.rows,
                                      .tokens = t.s.tokens,
                                      .loss_first = stepped ? t.s.loss_first : NAN,
                                      .loss_last = stepped ? t.s.loss_last : NAN,
                                      .val_first = judged ? t.s.val_first : NAN,
                                      .val_last = judged ? t.s.val_last : NAN,
                                      .val_best = judged ? t.s.val_best : NAN,
                                      .val_best_step = t.s.val_best_step};
    close_parts(&t);
    return r;
}

void trainer_note(const struct trainer_result *r)
{
    prog_note("%" PRId64 " steps, %" PRId64 " rows, %" PRId64 " tokens; loss %.4f to %.4f",
              r->steps, r->rows, r->tokens, r->loss_first, r->loss_last);
    if (!isnan(r->val_first))
        prog_note("validation loss %.4f to %.4f, best %.4f at step %" PRId64, r->val_first,
                  r->val_last, r->val_best, r->val_best_step);
}
