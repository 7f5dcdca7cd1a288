/* SPDX-License-Identifier: Apache-2.0 */
/* stage.c: a run over streams, from opening to the folded close status. */
#include "common/flow/stage.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"

struct stream_reader_cfg stage_reader_cfg(const struct common *o, enum stream_kind kind)
{
    struct stream_reader_cfg cfg = STREAM_READER_CFG;
    cfg.kind = kind;
    cfg.threads = common_thread_count(o);
    cfg.progress = o->progress;
    return cfg;
}

struct stream_writer_cfg stage_writer_cfg(const struct common *o)
{
    struct stream_writer_cfg cfg = STREAM_WRITER_CFG;
    if (o->level != OPT_UNSET) cfg.level = (int)o->level;
    cfg.threads = common_thread_count(o);
    return cfg;
}

enum err stage_open_run(struct errctx *e, struct stage *s, const struct prog *p,
                        const struct common *o)
{
    *s = (struct stage){.prog = p, .common = o, .started = prog_seconds()};
    TRY(run_init(e, &s->run, p->name, GRAFT_VERSION));
    return opts_record(e, p->sets, run_option, &s->run);
}

static enum err open_input(struct errctx *e, struct stage *s, const char *path)
{
    struct stream_reader_cfg cfg = stage_reader_cfg(s->common, s->kind);
    return stream_reader_open(e, &s->run, "input", path, &cfg, &s->input);
}

enum err stage_open(struct errctx *e, struct stage *s, const struct prog *p,
                    const struct opt_list *operands, const struct common *o, enum stream_kind kind)
{
    TRY(stage_open_run(e, s, p, o));
    s->operands = operands;
    s->kind = kind;
    TRY(open_input(e, s, operands->count ? operands->items[0] : NULL));
    s->next = 1;
    return stream_begin_copy(e, stream_reader_begin(s->input), &s->begin);
}

enum err stage_next_input(struct errctx *e, struct stage *s, bool *more)
{
    const struct stream_summary *done = stream_reader_summary(s->input);
    *more = s->next < s->operands->count;
    if (!*more) return ERR_OK;
    s->rows_before += done->rows;
    s->bytes_read += done->compressed;
    stream_reader_close(s->input);
    s->input = NULL;
    TRY(open_input(e, s, s->operands->items[s->next++]));
    return stream_begin_match(e, &s->begin, s->operands->items[0], stream_reader_begin(s->input),
                              stream_reader_name(s->input));
}

enum err stage_next(struct errctx *e, struct stage *s, enum stream_event *event,
                    struct stream_rows *rows, struct stream_tensor_piece *piece)
{
    bool more = true;
    do {
        TRY(stream_reader_next(e, s->input, event, rows, piece));
        if (*event == STREAM_EVENT_ROWS) rows->first += s->rows_before;
        if (*event == STREAM_EVENT_END) TRY(stage_next_input(e, s, &more));
    } while (*event == STREAM_EVENT_END && more);
    return ERR_OK;
}

enum err stage_drain(struct errctx *e, struct stage *s, bool stop)
{
    if (stop) return stream_reader_stop(e, s->input);
    for (bool more = true; more;) {
        TRY(stream_reader_drain(e, s->input));
        TRY(stage_next_input(e, s, &more));
    }
    return ERR_OK;
}

static enum err next_rows(struct errctx *e, void *ctx, enum stream_event *event,
                          struct stream_rows *rows)
{
    return stage_next(e, ctx, event, rows, NULL);
}

static enum err drain_rows(struct errctx *e, void *ctx, bool stop)
{
    return stage_drain(e, ctx, stop);
}

struct row_source stage_rows(struct stage *s)
{
    return (struct row_source){
        .name = s->operands->count > 1 ? "the input" : stream_reader_name(s->input),
        .begin = &s->begin,
        .next = next_rows,
        .drain = drain_rows,
        .ctx = s,
    };
}

enum err stage_output(struct errctx *e, struct stage *s, const struct stream_begin *begin)
{
    struct stream_writer_cfg cfg = stage_writer_cfg(s->common);
    return stream_writer_open(e, &s->run, s->common->output, begin, &cfg, &s->output);
}

/* A device or a FIFO is left alone: to open and close it would be seen at its other end. */
enum err stage_output_check(struct errctx *e, const struct stage *s)
{
    const char *path = s->common->output;
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

/* minimap2's habit: the last line says what the run cost. */
static void account(const struct stage *s)
{
    char in[32], out[32], memory[32];
    prog_note("%" PRId64 " rows out, %s in, %s out; %.3f s real, %.3f s CPU; peak memory %s",
              s->rows_written, prog_format_bytes((double)s->bytes_read, in),
              prog_format_bytes((double)s->bytes_written, out), prog_seconds() - s->started,
              prog_cpu_seconds(), prog_format_bytes((double)prog_peak_memory(), memory));
}

enum err stage_close(struct errctx *e, struct stage *s, enum err r)
{
    if (s->output && r == ERR_OK) r = stream_writer_finish(e, s->output);
    if (s->output && r == ERR_OK) {
        s->rows_written += stream_writer_summary(s->output)->rows;
        s->bytes_written += stream_writer_summary(s->output)->compressed;
        r = stream_writer_commit(e, s->output);
    } else {
        stream_writer_abort(s->output);
    }
    s->output = NULL;
    if (s->input) {
        if (r == ERR_OK) s->bytes_read += stream_reader_summary(s->input)->compressed;
        stream_reader_close(s->input);
        s->input = NULL;
    }
    stream_begin_fini(&s->begin);
    run_fini(&s->run);
    if (r == ERR_OK) account(s);
    return r;
}
