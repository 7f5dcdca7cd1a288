/* SPDX-License-Identifier: Apache-2.0 */
/* quantize.c: a model with its matrices in fewer bits, from which eval and generate compute as they
 * are.
 *
 *     graft quantize --type q4_0 base.model -o small.model
 *
 * What is quantised and how is common/model/quantise_model.c. */
#include "common/flow/stage.h"
#include "common/model/quantise_model.h"

struct opts {
    struct common common;
    struct quantise_cfg quantise;
};
static struct opts opts = {.common = COMMON_READING, .quantise = QUANTISE_CFG};

static struct opt_set sets[] = {
    {"Quantising", quantise_opts, &opts.quantise}, {"Common", common_output, &opts.common},
    {"Common", common_level, &opts.common},        {"Common", common_threads, &opts.common},
    {"Common", common_chatter, &opts.common},      OPT_SET_END};

static enum err quantise(struct errctx *e, struct stage *stage, struct pool *pool)
{
    TRY(quantise_plan(e, &opts.quantise, stream_reader_name(stage->input),
                      stream_reader_begin(stage->input), &stage->begin));
    TRY(stage_output(e, stage, &stage->begin));
    return quantise_tensors(e, pool, stage->input, &stage->begin, stage->output);
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    struct pool *pool;
    if (operands->count > 1) return err_set(e, ERR_USAGE, "give one model");
    enum err r = stage_open(e, &stage, p, operands, &opts.common, STREAM_MODEL);
    if (r == ERR_OK) {
        r = pool_new(e, common_thread_count(&opts.common), &pool);
        if (r == ERR_OK) {
            r = quantise(e, &stage, pool);
            pool_free(pool);
        }
    }
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {.name = "quantize",
                           .summary = "store a model's matrices in fewer bits",
                           .synopsis = "--type TYPE [OPTION ...] [MODEL]",
                           .needs_input = true,
                           .sets = sets,
                           .run = run};
    return prog_main(&p, argc, argv);
}
