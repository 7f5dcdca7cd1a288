/* SPDX-License-Identifier: Apache-2.0 */
/* goal_language.c: tokens of the text itself are what is learned: see objective.h for which. */
#include "common/train/goal.h"

static enum err open(struct errctx *e, void *state, struct model *m,
                     const struct stream_begin *input, const char *input_name, uint64_t seed)
{
    struct language_goal *g = state;
    (void)input;
    (void)input_name;
    return objective_new(e, &g->cfg, model_config_of(m)->causal, model_tokenizer(m), seed,
                         &g->objective);
}

static void close(void *state)
{
    struct language_goal *g = state;
    objective_free(g->objective);
    g->objective = NULL;
}

static enum err append(struct errctx *e, void *state, const struct goal_row *row, int64_t grain,
                       struct batch *b, double *scored)
{
    struct language_goal *g = state;
    return objective_append(e, g->objective, row->layout, row->row, row->ordinal, grain, b, scored);
}

static enum err learn(struct errctx *e, void *state, struct model *m, const struct batch *b,
                      double *loss)
{
    (void)state;
    return model_loss(e, m, b, true, NULL, NULL, loss);
}

static enum err judge(struct errctx *e, void *state, struct model *m, struct stream_reader *rows,
                      const struct evaluate_cfg *cfg, struct judgement *out)
{
    static const enum evaluate_metric figures[] = {METRIC_BITS_PER_BYTE, METRIC_TOP1};
    const struct language_goal *g = state;
    struct evaluate_result result;
    struct evaluation *n;
    TRY(evaluation_new(e, m, &g->cfg, cfg, &n));
    enum err code = evaluation_read(e, n, rows);
    if (code == ERR_OK) code = evaluation_finish(e, n, &result);
    evaluation_free(n);
    TRY(code);
    *out = (struct judgement){.loss = result.metric[METRIC_LOSS].value};
    for (size_t i = 0; i < ARRAY_LEN(figures); i++)
        out->figures[out->count++] = (struct judgement_figure){evaluate_metric_name(figures[i]),
                                                               result.metric[figures[i]].value};
    return ERR_OK;
}

struct goal goal_language(struct language_goal *state)
{
    return (struct goal){.state = state,
                         .open = open,
                         .close = close,
                         .append = append,
                         .learn = learn,
                         .judge = judge};
}
