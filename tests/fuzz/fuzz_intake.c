/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_intake.c: any bytes as a stream that comes in pieces: u8 way (threads, spooled, frames read
 * before it begins anew), u16 piece, file. The next piece goes into the pipe when the reader says
 * that it would wait, so that every pause happens, and nothing is left to time. Laws: a pipe gives
 * the frames, the fault and the rows that the file gives to one thread; so does a pipe that was
 * spooled, and a reader that goes back to the start. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include "formats/intake.h"
#include "formats/stream.h"
#include "tests/fuzz/fuzz.h"

enum { PIPE_ROOM = 1 << 15, PIECES = 16 };

/* What stands still to be written to a pipe. */
struct feed {
    int ends[2];
    char path[32];
    const uint8_t *data;
    size_t n, piece;
};

static enum err feed_piece(struct errctx *e, void *ctx)
{
    struct feed *f = ctx;
    size_t k = f->piece < f->n ? f->piece : f->n;
    (void)e;
    if (f->ends[1] < 0) return ERR_OK;
    if (k > 0) fuzz_demand(write(f->ends[1], f->data, k) == (ssize_t)k, "a piece fits into a pipe");
    f->data += k;
    f->n -= k;
    if (f->n > 0) return ERR_OK;
    close(f->ends[1]);
    f->ends[1] = -1;
    return ERR_OK;
}

/* With a piece of all of it nothing is left to be asked for. */
static void feed_open(struct feed *f, const uint8_t *data, size_t n, size_t piece)
{
    struct errctx e = ERRCTX_INIT;
    *f = (struct feed){.data = data, .n = n, .piece = piece};
    fuzz_demand(pipe(f->ends) == 0, "a pipe can be had");
    snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->ends[0]);
    if (piece >= n) (void)!feed_piece(&e, f);
}

static void feed_close(struct feed *f)
{
    close(f->ends[0]);
    if (f->ends[1] >= 0) close(f->ends[1]);
}

/* ---- frames ---- */

/* All frames, the fault that ended them, and the table that they should have. */
struct seen {
    uint64_t frames, table;
    struct errctx error;
};

static void look_at(const struct intake_frame *f, XXH3_state_t *hash)
{
    const struct frame *at = &f->frame;
    XXH3_64bits_update(hash, &at->kind, sizeof at->kind);
    XXH3_64bits_update(hash, &at->offset, sizeof at->offset);
    if (at->kind != FRAME_DATA) return;
    XXH3_64bits_update(hash, &at->number, sizeof at->number);
    XXH3_64bits_update(hash, &f->packed.len, sizeof f->packed.len);
    XXH3_64bits_update(hash, f->packed.data, f->packed.len);
    fuzz_demand(f->raw.len == at->raw_size, "a frame has the size it promised");
    XXH3_64bits_update(hash, f->raw.data, f->raw.len);
}

static bool is_last(const struct intake_frame *f)
{
    return f->error.code != ERR_OK || (f->frame.kind != FRAME_DATA && f->frame.kind != FRAME_TABLE);
}

/* Up to `most` frames. */
static void walk(struct intake *in, uint32_t most, struct seen *s)
{
    struct errctx e = ERRCTX_INIT;
    XXH3_state_t hash;
    bool last = false;
    *s = (struct seen){.error = ERRCTX_INIT};
    XXH3_64bits_reset(&hash);
    while (!last && most-- > 0) {
        struct intake_frame *f;
        fuzz_demand(intake_next(&e, in, &f) == ERR_OK, "a frame or its fault can be had");
        fuzz_demand_outcome(&f->error, false);
        if (f->error.code == ERR_OK) look_at(f, &hash);
        s->error = f->error;
        last = is_last(f);
        intake_done(in);
    }
    s->frames = XXH3_64bits_digest(&hash);
}

static struct seen read_frames(struct infile *file, int threads, struct feed *feed, uint32_t before)
{
    struct errctx e = ERRCTX_INIT;
    struct intake *in;
    struct seen s;
    uint64_t start;
    fuzz_demand(intake_new(&e, file, threads, feed ? feed_piece : NULL, feed, &in) == ERR_OK,
                "a reader can be had");
    if (before > 0) {
        walk(in, before, &s);
        fuzz_demand(intake_rewind(&e, in) == ERR_OK, "a file can be read again");
    }
    walk(in, UINT32_MAX, &s);
    intake_stop(in);
    const struct bytes *table = intake_seen(in, &start);
    if (table) s.table = XXH3_64bits_withSeed(table->data, table->len, start + 1);
    intake_free(in);
    return s;
}

static void demand_same(const struct seen *a, const struct seen *b)
{
    fuzz_demand(a->frames == b->frames, "the same frames");
    /* Threads read on behind a frame that turns out to be damaged. */
    fuzz_demand(a->error.code != ERR_OK || a->table == b->table, "the same table");
    /* What it might be instead is told from the bytes that are there: of a pipe, the first ones. */
    static const char guessed[] = "not a graft stream";
    size_t n = strncmp(a->error.message, guessed, sizeof guessed - 1) == 0
                   ? sizeof guessed - 1
                   : sizeof a->error.message;
    fuzz_demand(a->error.code == b->error.code && !strncmp(a->error.message, b->error.message, n),
                "the same fault");
}

/* ---- rows ---- */

static enum err read_rows(const char *path, int threads, bool spool, int64_t *rows)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_reader_cfg cfg = {.kind = STREAM_ANY, .threads = threads, .spool = spool};
    struct stream_reader *r;
    enum stream_event event = STREAM_EVENT_ROWS;
    *rows = 0;
    if (stream_reader_open(&e, NULL, "input", path, &cfg, &r) == ERR_OK) {
        if (spool)
            fuzz_demand(stream_reader_rewind(&e, r) == ERR_OK, "what is spooled can be read again");
        while (e.code == ERR_OK && event != STREAM_EVENT_END)
            (void)!stream_reader_next(&e, r, &event, NULL, NULL);
        if (e.code == ERR_OK) *rows = stream_reader_summary(r)->rows;
        stream_reader_close(r);
    }
    fuzz_demand_outcome(&e, false);
    return e.code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = {data, n};
    struct errctx e = ERRCTX_INIT;
    struct infile file;
    struct feed feed;
    uint32_t way = fuzz_number(&in, 1), piece = fuzz_number(&in, 2);
    int threads = (int)(way % 4);
    bool spool = way / 4 % 2;
    if (in.n > PIPE_ROOM) in.n = PIPE_ROOM;
    if (piece < in.n / PIECES + 1) piece = (uint32_t)(in.n / PIECES + 1);
    const char *path = fuzz_file(in.data, in.n);

    fuzz_demand(infile_open(&e, path, &file) == ERR_OK, "the file can be opened");
    struct seen whole = read_frames(&file, 0, NULL, 0);
    infile_close(&file);
    fuzz_demand(infile_open(&e, path, &file) == ERR_OK, "the file can be opened");
    struct seen again = read_frames(&file, threads, NULL, 1 + way / 8 % 8);
    infile_close(&file);
    demand_same(&whole, &again);

    feed_open(&feed, in.data, in.n, spool ? in.n : piece);
    fuzz_demand(infile_open(&e, feed.path, &file) == ERR_OK && !file.regular, "a pipe is a pipe");
    if (spool) fuzz_demand(intake_spool(&e, &file) == ERR_OK, "a pipe can be spooled");
    struct seen piped = read_frames(&file, threads, spool ? NULL : &feed, 0);
    infile_close(&file);
    feed_close(&feed);
    demand_same(&whole, &piped);

    int64_t rows, rows_piped;
    enum err read = read_rows(path, 0, false, &rows);
    feed_open(&feed, in.data, in.n, in.n);
    enum err read_piped = read_rows(feed.path, threads, spool, &rows_piped);
    feed_close(&feed);
    fuzz_demand(read == read_piped && rows == rows_piped, "a pipe has the rows of the file");
    return 0;
}
