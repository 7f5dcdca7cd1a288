/* SPDX-License-Identifier: Apache-2.0 */
/* cmd.c: common options, and a run over streams from opening to the folded close status. */
#include "cmd/cmd.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/pool.h"

#define COMMON_FIELD(f) offsetof(struct common, f)

const struct opt common_output[] = {
    {"output", 'o', OPT_STRING, COMMON_FIELD(output), "FILE",
     "write to this file, complete or not at all, instead of standard output",
     OPT_UNRECORDED | OPT_PATH},
    OPT_END};

const struct opt common_threads[] = {{"threads", 'j', OPT_INT, COMMON_FIELD(threads), "N",
                                      "threads (default: the processors this process may use)",
                                      OPT_UNRECORDED | OPT_NO_DEFAULT, 0, 1024},
                                     OPT_END};

const struct opt common_level[] = {
    {"level", 'z', OPT_INT, COMMON_FIELD(level), "N",
     "compression level; 0 stores almost plainly (default: 1 for tokens, 0 for what is not)",
     OPT_UNRECORDED, 0, 22},
    OPT_END};

const struct opt common_seed[] = {{"seed", 0, OPT_INT, COMMON_FIELD(seed), "N",
                                   "the random numbers: the same seed, the same result"},
                                  OPT_END};

const struct opt common_log[] = {{"log", 0, OPT_STRING, COMMON_FIELD(log), "FILE",
                                  "write metrics here as JSON lines", OPT_UNRECORDED | OPT_PATH},
                                 OPT_END};

const struct opt common_json[] = {{"json", 0, OPT_FLAG, COMMON_FIELD(json), NULL,
                                   "print JSON lines instead of text", OPT_UNRECORDED},
                                  OPT_END};

const struct opt common_plan[] = {{"plan", 0, OPT_FLAG, COMMON_FIELD(plan), NULL,
                                   "print what is needed of memory, and do nothing",
                                   OPT_UNRECORDED},
                                  OPT_END};

const struct opt common_chatter[] = {{"quiet", 'q', OPT_FLAG, COMMON_FIELD(quiet), NULL,
                                      "no warnings and no progress", OPT_UNRECORDED},
                                     {"verbose", 'v', OPT_FLAG, COMMON_FIELD(verbose), NULL,
                                      "say more, and account for the run at the end",
                                      OPT_UNRECORDED},
                                     OPT_END};

int cmd_threads(const struct common *o)
{
    return o->threads > 0 ? (int)o->threads : pool_processors();
}

struct stream_reader_cfg cmd_reader_cfg(const struct common *o, enum stream_kind kind)
{
    struct stream_reader_cfg cfg = STREAM_READER_CFG;
    cfg.kind = kind;
    cfg.threads = cmd_threads(o);
    cfg.progress = o->progress;
    return cfg;
}

struct stream_writer_cfg cmd_writer_cfg(const struct common *o)
{
    struct stream_writer_cfg cfg = STREAM_WRITER_CFG;
    if (o->level != OPT_UNSET) cfg.level = (int)o->level;
    cfg.threads = cmd_threads(o);
    return cfg;
}

enum err cmd_open_run(struct errctx *e, struct cmd *c, const struct prog *p, const struct common *o)
{
    *c = (struct cmd){.prog = p, .common = o, .started = prog_seconds()};
    TRY(run_init(e, &c->run, p->name, GRAFT_VERSION));
    return opts_record(e, p->sets, run_option, &c->run);
}

static enum err open_input(struct errctx *e, struct cmd *c, const char *path)
{
    struct stream_reader_cfg cfg = cmd_reader_cfg(c->common, c->kind);
    return stream_reader_open(e, &c->run, "input", path, &cfg, &c->input);
}

enum err cmd_open(struct errctx *e, struct cmd *c, const struct prog *p,
                  const struct opt_list *operands, const struct common *o, enum stream_kind kind)
{
    TRY(cmd_open_run(e, c, p, o));
    c->operands = operands;
    c->kind = kind;
    TRY(open_input(e, c, operands->count ? operands->items[0] : NULL));
    c->next = 1;
    return stream_begin_copy(e, stream_reader_begin(c->input), &c->begin);
}

enum err cmd_next_input(struct errctx *e, struct cmd *c, bool *more)
{
    const struct stream_summary *done = stream_reader_summary(c->input);
    *more = c->next < c->operands->count;
    if (!*more) return ERR_OK;
    c->rows_before += done->rows;
    c->bytes_read += done->compressed;
    stream_reader_close(c->input);
    c->input = NULL;
    TRY(open_input(e, c, c->operands->items[c->next++]));
    return stream_begin_match(e, &c->begin, c->operands->items[0], stream_reader_begin(c->input),
                              stream_reader_name(c->input));
}

enum err cmd_next(struct errctx *e, struct cmd *c, enum stream_event *event,
                  struct stream_rows *rows, struct stream_tensor_piece *piece)
{
    bool more = true;
    do {
        TRY(stream_reader_next(e, c->input, event, rows, piece));
        if (*event == STREAM_EVENT_ROWS) rows->first += c->rows_before;
        if (*event == STREAM_EVENT_END) TRY(cmd_next_input(e, c, &more));
    } while (*event == STREAM_EVENT_END && more);
    return ERR_OK;
}

enum err cmd_drain(struct errctx *e, struct cmd *c, bool stop)
{
    if (stop) return stream_reader_stop(e, c->input);
    for (bool more = true; more;) {
        TRY(stream_reader_drain(e, c->input));
        TRY(cmd_next_input(e, c, &more));
    }
    return ERR_OK;
}

enum err cmd_output(struct errctx *e, struct cmd *c, const struct stream_begin *begin)
{
    struct stream_writer_cfg cfg = cmd_writer_cfg(c->common);
    return stream_writer_open(e, &c->run, c->common->output, begin, &cfg, &c->output);
}

/* A device or a FIFO is left alone: to open and close it would be seen at its other end. */
enum err cmd_output_check(struct errctx *e, const struct cmd *c)
{
    const char *path = c->common->output;
    struct stat st;
    struct outfile f;
    if (!path || strcmp(path, "-") == 0) {
        if (!isatty(STDOUT_FILENO)) return ERR_OK;
        return err_set(e, ERR_USAGE, "a stream is not for the terminal: use -o FILE, or a pipe");
    }
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return ERR_OK;
    TRY(outfile_open(e, path, &f));
    outfile_abort(&f);
    return ERR_OK;
}

enum err cmd_check_overwrite(struct errctx *e, const char *option, const char *written,
                             const char *const *used, size_t count, const struct opt_list *operands)
{
    for (size_t i = 0; written && i < count + operands->count; i++) {
        const char *other = i < count ? used[i] : operands->items[i - count];
        if (io_same_file(written, other))
            return err_set(e, ERR_USAGE, "%s '%s' would overwrite a file this run uses", option,
                           other);
    }
    return ERR_OK;
}

/* minimap2's habit: the last line says what the run cost. */
static void account(const struct cmd *c)
{
    char in[32], out[32], memory[32];
    prog_note("%" PRId64 " rows out, %s in, %s out; %.3f s real, %.3f s CPU; peak memory %s",
              c->rows_written, prog_format_bytes((double)c->bytes_read, in),
              prog_format_bytes((double)c->bytes_written, out), prog_seconds() - c->started,
              prog_cpu_seconds(), prog_format_bytes((double)prog_peak_memory(), memory));
}

enum err cmd_close(struct errctx *e, struct cmd *c, enum err r)
{
    if (c->output && r == ERR_OK) r = stream_writer_finish(e, c->output);
    if (c->output && r == ERR_OK) {
        c->rows_written += stream_writer_summary(c->output)->rows;
        c->bytes_written += stream_writer_summary(c->output)->compressed;
        r = stream_writer_commit(e, c->output);
    } else {
        stream_writer_abort(c->output);
    }
    c->output = NULL;
    if (c->input) {
        if (r == ERR_OK) c->bytes_read += stream_reader_summary(c->input)->compressed;
        stream_reader_close(c->input);
        c->input = NULL;
    }
    stream_begin_fini(&c->begin);
    run_fini(&c->run);
    if (r == ERR_OK) account(c);
    return r;
}
