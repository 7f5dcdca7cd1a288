/* SPDX-License-Identifier: Apache-2.0 */
/* export.c: graft's models in the files of other programs.
 *
 *     graft export --to hf tuned.model -o tuned/
 *     graft export --to gguf --type q8_0 tuned.model -o tuned.gguf
 *
 * What those files are is known to common/convert and formats. */
#include "common/convert/model_export.h"
#include "common/flow/stage.h"

struct opts {
    struct common common;
    int to, type;
    int64_t shard_size;
};
static struct opts opts = {.common = COMMON, .shard_size = (int64_t)50000000000};

static const enum dtype types[] = {DTYPE_NONE, DTYPE_F32,  DTYPE_F16, DTYPE_BF16,
                                   DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q4_1};
enum { FIRST_OF_BLOCKS = 4 };

static const struct opt table[] = {
    {"to", 0, OPT_CHOICE, offsetof(struct opts, to), "hf|gguf",
     "what is written: a folder of transformers, or a file of llama.cpp"},
    {"type", 0, OPT_CHOICE, offsetof(struct opts, type), "keep|f32|f16|bf16|q8_0|q4_0|q4_1",
     "of the weights; keep leaves them as they are, but what is quantised becomes F32 in a folder; "
     "the last three are GGUF's"},
    {"shard-size", 0, OPT_INT, offsetof(struct opts, shard_size), "BYTES",
     "of a folder: the most in one file of weights, unless one tensor is larger", 0, 1, 9e18},
    OPT_END};

static struct opt_set sets[] = {{"Exporting", table, &opts},
                                {"Common", common_output, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err check(struct errctx *e, const struct opt_list *operands)
{
    if (operands->count > 1) return err_set(e, ERR_USAGE, "give one model to export");
    if (!opts.common.output)
        return err_set(e, ERR_USAGE, "-o %s is missing", opts.to == EXPORT_HF ? "FOLDER" : "FILE");
    if (opts.to == EXPORT_HF && opts.type >= FIRST_OF_BLOCKS)
        return err_set(e, ERR_USAGE, "--type %s: folders of transformers have no such weights",
                       dtype_name(types[opts.type]));
    return ERR_OK;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    struct model_export x = {0};
    const struct export_cfg cfg = {(enum export_to)opts.to, types[opts.type],
                                   (uint64_t)opts.shard_size};
    const char *path = operands->count ? operands->items[0] : NULL;
    TRY(check(e, operands));
    enum err r = stage_open_run(e, &stage, p, &opts.common);
    if (r == ERR_OK) r = model_export_open(e, &stage.run, path, &cfg, &x);
    if (r == ERR_OK)
        r = cfg.to == EXPORT_HF ? model_export_folder(e, &x, opts.common.output)
                                : model_export_gguf(e, &x, opts.common.output);
    if (x.reader) stage.bytes_read += stream_reader_summary(x.reader)->compressed;
    model_export_close(&x);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    static const struct prog p = {.name = "export",
                                  .summary = "put a model into the files of other programs",
                                  .synopsis = "[OPTION ...] -o FOLDER|FILE [MODEL]",
                                  .needs_input = true,
                                  .sets = sets,
                                  .run = run};
    return prog_main(&p, argc, argv);
}
