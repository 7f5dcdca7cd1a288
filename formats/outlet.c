/* SPDX-License-Identifier: Apache-2.0 */
/* outlet.c: the compressing workers and the write thread of a stream writer. */
#include "formats/outlet.h"

#include <pthread.h>
#include <xxhash.h>
#include <zstd.h>

#include "formats/belt.h"
#include "formats/frame.h"

/* Frames beyond those being worked on, as in intake.c. */
enum { WRITE_BEHIND = 6 };

struct outgoing {
    struct bytes raw, packed;
    size_t raw_size;
    bool ready; /* packed is there already */
    struct errctx error;
};

struct outlet {
    struct outfile *out;
    struct belt *belt;       /* NULL while it rests */
    struct outgoing *frames; /* one per slot */
    int slots, threads, level;
    ZSTD_CCtx **contexts; /* one per worker, at least one */
    pthread_t writer;
    bool writing;
    int slot; /* being filled */
    pthread_mutex_t lock;
    struct errctx failed; /* the first error of the write thread, under the lock */
    struct bytes table;
    XXH3_state_t *seal;
};

static void work(void *ctx, int slot, int worker)
{
    struct outlet *o = ctx;
    struct outgoing *f = &o->frames[slot];
    if (f->ready) return;
    size_t bound = ZSTD_compressBound(f->raw.len);
    f->raw_size = f->raw.len;
    f->packed.len = 0;
    if (bytes_reserve(&f->error, &f->packed, bound) != ERR_OK) return;
    size_t n = ZSTD_compress2(o->contexts[worker], f->packed.data, bound, f->raw.data, f->raw.len);
    if (ZSTD_isError(n))
        err_set(&f->error, ERR_MEMORY, "cannot compress: %s", ZSTD_getErrorName(n));
    else
        f->packed.len = n;
}

/* Bytes that are part of what the seal covers. */
static enum err write_sealed(struct errctx *e, struct outlet *o, const void *data, size_t n,
                             size_t raw_size)
{
    XXH3_64bits_update(o->seal, data, n);
    TRY(frame_table_add(e, &o->table, n, raw_size));
    return outfile_write(e, o->out, data, n);
}

/* Writes the next frame in order. False when there will be no more. */
static bool write_next(struct outlet *o)
{
    int slot = belt_empty(o->belt);
    if (slot < 0) return false;
    struct outgoing *f = &o->frames[slot];
    pthread_mutex_lock(&o->lock);
    bool failed = o->failed.code != ERR_OK;
    pthread_mutex_unlock(&o->lock);
    /* After a failure frames are taken off the belt all the same: nobody waits in vain. */
    if (!failed && f->error.code == ERR_OK)
        (void)!write_sealed(&f->error, o, f->packed.data, f->packed.len, f->raw_size);
    if (!failed && f->error.code != ERR_OK) {
        pthread_mutex_lock(&o->lock);
        o->failed = f->error;
        pthread_mutex_unlock(&o->lock);
    }
    belt_emptied(o->belt);
    return true;
}

static void *write_main(void *arg)
{
    while (write_next(arg)) continue;
    return NULL;
}

static enum err check(struct errctx *e, struct outlet *o)
{
    pthread_mutex_lock(&o->lock);
    if (o->failed.code != ERR_OK) err_set(e, o->failed.code, "%s", o->failed.message);
    pthread_mutex_unlock(&o->lock);
    return e->code;
}

static enum err make_contexts(struct errctx *e, struct outlet *o)
{
    int n = o->threads > 0 ? o->threads : 1;
    TRY(mem_new(e, &o->contexts, (size_t)n, sizeof *o->contexts, "zstd"));
    for (int i = 0; i < n; i++) {
        ZSTD_CCtx *c = o->contexts[i] = ZSTD_createCCtx();
        if (!c) return err_memory(e, "zstd", 1 << 20);
        if (ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, o->level)) ||
            ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1)))
            return err_set(e, ERR_USAGE, "zstd has no level %d", o->level);
    }
    return ERR_OK;
}

/* Slots, contexts, threads. */
static enum err acquire(struct errctx *e, struct outlet *o)
{
    o->slots = o->threads > 0 ? o->threads + WRITE_BEHIND : 1;
    o->slot = -1;
    TRY(mem_new(e, &o->frames, (size_t)o->slots, sizeof *o->frames, "frames"));
    TRY(make_contexts(e, o));
    TRY(belt_new(e, o->slots, o->threads, work, o, &o->belt));
    if (o->threads == 0) return ERR_OK;
    TRY(belt_thread(e, &o->writer, write_main, o));
    o->writing = true;
    return ERR_OK;
}

static void stop(struct outlet *o)
{
    if (!o->writing) return;
    belt_stop(o->belt);
    pthread_join(o->writer, NULL);
    o->writing = false;
}

static void release(struct outlet *o)
{
    stop(o);
    belt_free(o->belt);
    o->belt = NULL;
    for (int i = 0; o->frames && i < o->slots; i++) {
        bytes_fini(&o->frames[i].raw);
        bytes_fini(&o->frames[i].packed);
    }
    mem_free(o->frames);
    o->frames = NULL;
    for (int i = 0; o->contexts && (i == 0 || i < o->threads); i++) ZSTD_freeCCtx(o->contexts[i]);
    mem_free(o->contexts);
    o->contexts = NULL;
}

static enum err set_up(struct errctx *e, struct outlet *o)
{
    o->seal = XXH3_createState();
    if (!o->seal) return err_memory(e, "a hash", 1024);
    XXH3_64bits_reset(o->seal);
    TRY(write_sealed(e, o, frame_magic, FRAME_MAGIC_BYTES, 0));
    return acquire(e, o);
}

enum err outlet_new(struct errctx *e, struct outfile *out, int level, int threads,
                    struct outlet **result)
{
    struct outlet *o;
    *result = NULL;
    TRY(mem_new(e, &o, 1, sizeof *o, "a writer"));
    o->out = out;
    o->threads = threads;
    o->level = level;
    pthread_mutex_init(&o->lock, NULL);
    enum err code = set_up(e, o);
    if (code != ERR_OK) {
        outlet_free(o);
        return code;
    }
    *result = o;
    return ERR_OK;
}

void outlet_free(struct outlet *o)
{
    if (!o) return;
    release(o);
    bytes_fini(&o->table);
    XXH3_freeState(o->seal);
    pthread_mutex_destroy(&o->lock);
    mem_free(o);
}

/* A free slot, kept until it is put. */
static enum err take_slot(struct errctx *e, struct outlet *o, struct outgoing **f)
{
    TRY(check(e, o));
    if (!o->belt) TRY(acquire(e, o));
    if (o->slot < 0) o->slot = belt_fill(o->belt);
    *f = &o->frames[o->slot];
    (*f)->error = ERRCTX_INIT;
    (*f)->ready = false;
    return ERR_OK;
}

static enum err hand_over(struct errctx *e, struct outlet *o)
{
    o->slot = -1;
    belt_filled(o->belt);
    if (o->threads > 0) return ERR_OK;
    write_next(o);
    return check(e, o);
}

enum err outlet_buffer(struct errctx *e, struct outlet *o, struct bytes **raw)
{
    struct outgoing *f;
    TRY(take_slot(e, o, &f));
    f->raw.len = 0;
    *raw = &f->raw;
    return ERR_OK;
}

enum err outlet_put(struct errctx *e, struct outlet *o)
{
    const struct outgoing *f = &o->frames[o->slot];
    if (f->raw.len == 0 || f->raw.len > FRAME_RAW_LIMIT)
        return err_set(e, ERR_IO, "BUG: a frame of %zu bytes", f->raw.len);
    return hand_over(e, o);
}

enum err outlet_put_packed(struct errctx *e, struct outlet *o, struct bytes *packed,
                           size_t raw_size)
{
    struct outgoing *f;
    TRY(take_slot(e, o, &f));
    struct bytes swap = f->packed;
    f->packed = *packed;
    *packed = swap;
    f->raw_size = raw_size;
    f->ready = true;
    return hand_over(e, o);
}

enum err outlet_flush(struct errctx *e, struct outlet *o)
{
    if (o->belt) belt_drain(o->belt);
    return check(e, o);
}

enum err outlet_rest(struct errctx *e, struct outlet *o)
{
    TRY(outlet_flush(e, o));
    release(o);
    o->threads = 0;
    return ERR_OK;
}

static enum err write_tail(struct errctx *e, struct outlet *o, struct bytes *table)
{
    uint8_t seal[FRAME_SEAL_BYTES];
    frame_seal(XXH3_64bits_digest(o->seal), seal);
    TRY(write_sealed(e, o, seal, sizeof seal, 0));
    TRY(frame_table_encode(e, &o->table, table));
    return outfile_write(e, o->out, table->data, table->len);
}

enum err outlet_finish(struct errctx *e, struct outlet *o)
{
    struct bytes table = {0};
    TRY(outlet_flush(e, o));
    release(o);
    enum err code = write_tail(e, o, &table);
    bytes_fini(&table);
    return code;
}
