/* SPDX-License-Identifier: Apache-2.0 */
/* verify.c: checks that streams are whole and sound, and can copy what is whole of one that is not.
 *
 *     graft verify data/train.tokens && scp data/train.tokens cluster:
 *
 * What was found is said by common/flow/verdict.c. */
#include "common/flow/stage.h"
#include "common/flow/verdict.h"

struct opts {
    struct common common;
    bool fast, salvage;
};
static struct opts opts = {.common = COMMON_READING};

static const struct opt table[] = {
    {"fast", 0, OPT_FLAG, offsetof(struct opts, fast), NULL,
     "check seals and tables only: that no byte changed since they were written"},
    {"salvage", 0, OPT_FLAG, offsetof(struct opts, salvage), NULL,
     "copy what is whole of one damaged file to -o, and say what was lost"},
    OPT_END};

static struct opt_set sets[] = {{"Checking", table, &opts},
                                {"Common", common_output, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_json, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

/* Everything: checksums, lengths, counts, ids. */
static enum err read_through(struct errctx *e, const char *path, struct stream_summary *s,
                             enum stream_kind *kind)
{
    struct stream_reader_cfg cfg = stage_reader_cfg(&opts.common, STREAM_ANY);
    struct stream_reader *r;
    TRY(stream_reader_open(e, NULL, "input", path, &cfg, &r));
    enum err code = stream_reader_check(e, r);
    *s = *stream_reader_summary(r);
    *kind = stream_reader_begin(r)->kind;
    stream_reader_close(r);
    return code;
}

/* One file. Damage is an answer, not a failure: *sound. */
static enum err verify(struct errctx *e, struct stage *stage, const char *path, bool *sound)
{
    struct errctx found = ERRCTX_INIT;
    struct verdict v = {.name = path ? path : "-", .fast = opts.fast, .message = found.message};
    enum err r = opts.fast ? stream_check_seals(&found, path, &v.summary)
                           : read_through(&found, path, &v.summary, &v.kind);
    *sound = r == ERR_OK;
    stage->bytes_read += v.summary.compressed;
    if (r != ERR_OK && r != ERR_INPUT) {
        *e = found;
        return r;
    }
    if (opts.common.json) return verdict_print_json(e, &v, stdout);
    if (!*sound || !opts.common.quiet) verdict_print(&v, stdout);
    return ERR_OK;
}

static enum err verify_all(struct errctx *e, struct stage *stage, const struct opt_list *operands)
{
    size_t n = operands->count ? operands->count : 1, damaged = 0;
    for (size_t i = 0; i < n; i++) {
        bool sound;
        TRY(verify(e, stage, operands->count ? operands->items[i] : NULL, &sound));
        damaged += !sound;
    }
    return damaged ? err_set(e, ERR_NO, "%zu of %zu damaged", damaged, n) : ERR_OK;
}

static enum err salvage(struct errctx *e, struct stage *stage, const char *path)
{
    struct stream_writer_cfg cfg = stage_writer_cfg(&opts.common);
    struct salvage s;
    TRY(stream_salvage(e, &stage->run, path, opts.common.output, &cfg, &s));
    stage->rows_written = s.rows;
    verdict_warn_of_losses(path, &s);
    return ERR_OK;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    if (!opts.salvage && opts.common.output) return err_set(e, ERR_USAGE, "-o goes with --salvage");
    if (!opts.salvage && opts.common.level != OPT_UNSET)
        return err_set(e, ERR_USAGE, "-z goes with --salvage");
    if (opts.salvage && (operands->count != 1 || opts.fast || opts.common.json))
        return err_set(e, ERR_USAGE, "--salvage takes one file, and neither --fast nor --json");
    enum err r = stage_open_run(e, &stage, p, &opts.common);
    if (r == ERR_OK)
        r = opts.salvage ? salvage(e, &stage, operands->items[0]) : verify_all(e, &stage, operands);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {.name = "verify",
                           .summary = "check that streams are whole and sound",
                           .synopsis = "[--fast] [--json] [FILE ...]\n--salvage -o OUT FILE",
                           .needs_input = true,
                           .sets = sets,
                           .run = run};
    return prog_main(&p, argc, argv);
}
