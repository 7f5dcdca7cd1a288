/* SPDX-License-Identifier: Apache-2.0 */
/* export.c: graft's models in the files of other programs.
 *
 *     graft export --to hf tuned.model -o tuned/
 *
 * What those files are is known to common/convert and formats. */
#include "common/convert/model_export.h"
#include "common/flow/stage.h"

struct opts {
    struct common common;
    int to, type;
};
static struct opts opts = {.common = COMMON};

static const enum dtype types[] = {DTYPE_NONE, DTYPE_F32, DTYPE_F16, DTYPE_BF16};

static const struct opt table[] = {
    {"to", 0, OPT_CHOICE, offsetof(struct opts, to), "hf",
     "what is written: a folder of transformers"},
    {"type", 0, OPT_CHOICE, offsetof(struct opts, type), "keep|f32|f16|bf16",
     "of the weights; keep leaves them as they are, but what is quantised becomes F32"},
    OPT_END};

static struct opt_set sets[] = {{"Exporting", table, &opts},
                                {"Common", common_output, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    struct model_export x = {0};
    const char *path = operands->count ? operands->items[0] : NULL;
    if (operands->count > 1) return err_set(e, ERR_USAGE, "give one model to export");
    if (!opts.common.output) return err_set(e, ERR_USAGE, "-o FOLDER is missing");
    enum err r = stage_open_run(e, &stage, p, &opts.common);
    if (r == ERR_OK) r = model_export_open(e, &stage.run, path, types[opts.type], &x);
    if (r == ERR_OK) r = model_export_folder(e, &x, opts.common.output);
    stage.bytes_read += x.stream.summary.compressed;
    model_export_close(&x);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    static const struct prog p = {.name = "export",
                                  .summary = "put a model into the files of other programs",
                                  .synopsis = "[OPTION ...] -o FOLDER [FILE]",
                                  .needs_input = true,
                                  .sets = sets,
                                  .run = run};
    return prog_main(&p, argc, argv);
}
