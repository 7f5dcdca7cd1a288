/* SPDX-License-Identifier: Apache-2.0 */
/* intake.c: the fetch thread and the decompressing workers of a stream reader. */
#include "formats/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "formats/belt.h"

/* Frames beyond those being worked on: so that a hand that is held up does not stop the others. */
enum { READ_AHEAD = 6, SPOOL_CHUNK = 1 << 20 };

struct intake {
    struct infile *in;
    struct frame_scanner scanner;
    struct belt *belt;
    struct intake_frame *frames; /* one per slot */
    int slots, threads;
    ZSTD_DCtx **contexts; /* one per worker, at least one */
    pthread_t fetcher;
    bool fetching;
    int wake[2]; /* a pipe that ends the fetch thread's wait for input */
    intake_flush_fn *flush;
    void *ctx;
    struct errctx flush_error; /* threads == 0: of a flush while scanning */
};

enum err intake_decompress(struct errctx *e, void *dctx, const uint8_t *packed, size_t n,
                           size_t raw_size, struct bytes *raw)
{
    raw->len = 0;
    TRY(bytes_reserve(e, raw, raw_size));
    size_t got = ZSTD_decompressDCtx(dctx, raw->data, raw_size, packed, n);
    if (ZSTD_isError(got))
        return err_set(e, ERR_INPUT, "damaged frame (zstd: %s)", ZSTD_getErrorName(got));
    if (got != raw_size) return err_set(e, ERR_INPUT, "damaged frame (its size is wrong)");
    raw->len = raw_size;
    return ERR_OK;
}

static void work(void *ctx, int slot, int worker)
{
    struct intake *in = ctx;
    struct intake_frame *f = &in->frames[slot];
    if (f->error.code != ERR_OK || f->frame.kind != FRAME_DATA) return;
    (void)!intake_decompress(&f->error, in->contexts[worker], f->packed.data, f->packed.len,
                             f->frame.raw_size, &f->raw);
}

/* Puts the next frame on the belt. False when there is no next one. */
static bool fetch(struct intake *in)
{
    int slot = belt_fill(in->belt);
    if (slot < 0) return false;
    struct intake_frame *f = &in->frames[slot];
    err_clear(&f->error);
    enum err code = frame_scan(&f->error, &in->scanner, &f->packed, &f->frame);
    bool last = code != ERR_OK || f->frame.kind == FRAME_EOF || f->frame.kind == FRAME_CUT ||
                f->frame.kind == FRAME_STOPPED;
    belt_filled(in->belt);
    return !last;
}

static void *fetch_main(void *arg)
{
    while (fetch(arg)) continue;
    return NULL;
}

/* Before a read of a pipe: true to go on. */
static bool wait_for_input(void *ctx)
{
    struct intake *in = ctx;
    struct pollfd p[3] = {
        {.fd = in->in->fd, .events = POLLIN},
        {.fd = in->wake[0], .events = POLLIN},
        {.fd = io_signal_descriptor(), .events = POLLIN}}; /* the read reports it */
    if (poll(p, 1, 0) != 0) return true;
    if (in->threads == 0) {
        if (in->flush) (void)!in->flush(&in->flush_error, in->ctx);
        return true;
    }
    belt_poke(in->belt, true);
    while (poll(p, 3, -1) < 0 && errno == EINTR) continue;
    belt_poke(in->belt, false);
    return !(p[1].revents & POLLIN);
}

static enum err make_contexts(struct errctx *e, struct intake *in)
{
    int n = in->threads > 0 ? in->threads : 1;
    TRY(mem_new(e, &in->contexts, (size_t)n, sizeof *in->contexts, "zstd"));
    for (int i = 0; i < n; i++) {
        in->contexts[i] = ZSTD_createDCtx();
        if (!in->contexts[i]) return err_memory(e, "zstd", 160 << 10);
    }
    return ERR_OK;
}

static enum err set_up(struct errctx *e, struct intake *in)
{
    TRY(frame_scanner_init(e, &in->scanner, in->in));
    in->scanner.wait = wait_for_input;
    in->scanner.wait_ctx = in;
    in->slots = in->threads > 0 ? in->threads + READ_AHEAD : 1;
    TRY(mem_new(e, &in->frames, (size_t)in->slots, sizeof *in->frames, "frames"));
    TRY(make_contexts(e, in));
    if (in->threads > 0 && pipe2(in->wake, O_CLOEXEC) != 0) {
        in->wake[0] = in->wake[1] = -1;
        return err_errno(e, "cannot create a pipe");
    }
    return belt_new(e, in->slots, in->threads, work, in, &in->belt);
}

enum err intake_new(struct errctx *e, struct infile *file, int threads, intake_flush_fn *flush,
                    void *ctx, struct intake **out)
{
    struct intake *in;
    *out = NULL;
    TRY(mem_new(e, &in, 1, sizeof *in, "a reader"));
    *in = (struct intake){.in = file, .threads = threads, .wake = {-1, -1}, .flush = flush};
    in->ctx = ctx;
    enum err code = set_up(e, in);
    if (code != ERR_OK) {
        intake_free(in);
        return code;
    }
    *out = in;
    return ERR_OK;
}

void intake_stop(struct intake *in)
{
    char c = 0;
    if (!in->fetching) return;
    belt_stop(in->belt);
    while (write(in->wake[1], &c, 1) < 0 && errno == EINTR) continue;
    pthread_join(in->fetcher, NULL);
    while (read(in->wake[0], &c, 1) < 0 && errno == EINTR) continue;
    in->fetching = false;
}

void intake_free(struct intake *in)
{
    if (!in) return;
    intake_stop(in);
    belt_free(in->belt);
    for (int i = 0; in->frames && i < in->slots; i++) {
        bytes_fini(&in->frames[i].packed);
        bytes_fini(&in->frames[i].raw);
    }
    mem_free(in->frames);
    for (int i = 0; in->contexts && (i == 0 || i < in->threads); i++)
        ZSTD_freeDCtx(in->contexts[i]);
    mem_free(in->contexts);
    if (in->wake[0] >= 0) {
        close(in->wake[0]);
        close(in->wake[1]);
    }
    frame_scanner_fini(&in->scanner);
    mem_free(in);
}

enum err intake_next(struct errctx *e, struct intake *in, struct intake_frame **out)
{
    if (in->threads == 0) {
        fetch(in);
        if (in->flush_error.code != ERR_OK) {
            *e = in->flush_error;
            return e->code;
        }
    } else if (!in->fetching) {
        TRY(belt_thread(e, &in->fetcher, fetch_main, in));
        in->fetching = true;
    }
    int slot = belt_empty(in->belt);
    while (slot == BELT_POKED) {
        if (in->flush) TRY(in->flush(e, in->ctx));
        slot = belt_empty(in->belt);
    }
    *out = &in->frames[slot];
    return ERR_OK;
}

void intake_done(struct intake *in)
{
    belt_emptied(in->belt);
}

const struct bytes *intake_seen(const struct intake *in, uint64_t *start)
{
    const struct frame_scanner *s = &in->scanner;
    if (s->segment_frames < 0) return NULL;
    *start = s->segment_start; /* not counted back: a frame may have been read in part */
    return &s->table;
}

enum err intake_rewind(struct errctx *e, struct intake *in)
{
    intake_stop(in);
    belt_reset(in->belt);
    TRY(infile_seek(e, in->in, 0));
    frame_scanner_rewind(&in->scanner);
    return ERR_OK;
}

enum err intake_spool(struct errctx *e, struct infile *in)
{
    int fd;
    uint8_t *buffer;
    size_t got;
    TRY(io_temporary(e, 0, &fd));
    enum err code = mem_new(e, &buffer, SPOOL_CHUNK, 1, "a copy of the input");
    do {
        if (code == ERR_OK) code = infile_read(e, in, buffer, SPOOL_CHUNK, &got);
        if (code == ERR_OK) code = io_temporary_write(e, fd, buffer, got);
    } while (code == ERR_OK && got > 0);
    mem_free(buffer);
    if (code != ERR_OK) {
        close(fd);
        return code;
    }
    if (in->owned) close(in->fd);
    in->fd = fd;
    in->owned = in->regular = true;
    in->size = in->offset;
    return infile_seek(e, in, 0);
}
