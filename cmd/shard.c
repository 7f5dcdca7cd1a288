/* SPDX-License-Identifier: Apache-2.0 */
/* shard.c: one stream divided into files, by named split, by rows or by size.
 *
 *     graft shard --split train=0.98,val=0.02 -o data/ corpus.tokens
 *
 * The rules are common/flow/sharding.c. */
#include "common/flow/sharding.h"
#include "common/flow/stage.h"

struct opts {
    struct common common;
    struct sharding_cfg shard;
};
static struct opts opts = {.common = COMMON_READING, .shard = SHARDING_CFG};

static struct opt_set sets[] = {
    {"Dividing", sharding_opts, &opts.shard}, {"Common", common_seed, &opts.common},
    {"Common", common_threads, &opts.common}, {"Common", common_level, &opts.common},
    {"Common", common_chatter, &opts.common}, OPT_SET_END};

static enum err read_rows(struct errctx *e, struct stage *stage, struct sharding *s)
{
    for (;;) {
        enum stream_event event;
        struct stream_rows rows;
        struct stream_tensor_piece piece;
        TRY(stage_next(e, stage, &event, &rows, &piece));
        if (event == STREAM_EVENT_END)
            return sharding_finish(e, s, &stage->rows_written, &stage->bytes_written);
        TRY(sharding_add(e, s, &rows));
    }
}

/* What would be ignored is refused. */
static enum err check_options(struct errctx *e)
{
    bool numbered = !opts.shard.split,
         by_hash = opts.shard.count == OPT_UNSET && opts.shard.size == OPT_UNSET;
    TRY(sharding_cfg_check(e, &opts.shard));
    if (!numbered && opts_given(sets, "prefix"))
        return err_set(e, ERR_USAGE, "--prefix names numbered parts; --split names its own");
    if (!by_hash && opts_given(sets, "seed"))
        return err_set(e, ERR_USAGE, "--seed changes nothing: parts by count or size go in order");
    if (!opts.shard.stratify && opts_given(sets, "memory"))
        return err_set(e, ERR_USAGE, "--memory is for --stratify: else no rows are held");
    return ERR_OK;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    struct sharding *s = NULL;
    const struct stream_writer_cfg writer = stage_writer_cfg(&opts.common);
    opts.shard.seed = opts.common.seed;
    TRY(check_options(e));
    enum err r = stage_open(e, &stage, p, operands, &opts.common, STREAM_ANY);
    if (r == ERR_OK)
        r = sharding_new(e, &opts.shard, &stage.run, &stage.begin, stream_reader_name(stage.input),
                         &writer, &s);
    if (r == ERR_OK) r = read_rows(e, &stage, s);
    sharding_free(s);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {
        .name = "shard",
        .summary = "divide a stream by count, size or named split",
        .synopsis = "{--split NAME=F,... | --parts N | --count N | --size BYTES} -o DIR "
                    "[OPTION ...] [FILE ...]",
        .needs_input = true,
        .sets = sets,
        .run = run,
    };
    return prog_main(&p, argc, argv);
}
