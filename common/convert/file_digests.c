/* SPDX-License-Identifier: Apache-2.0 */
/* file_digests.c: see file_digests.h. Files are read, not mapped: their pages need not stay. */
#include "common/convert/file_digests.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/base/fault.h"
#include "common/base/io.h"

enum { PIECE = 1 << 18 };

static enum err digest_all(struct errctx *e, struct infile *in, const atomic_bool *stop,
                           uint8_t *piece, uint8_t digest[16])
{
    size_t got = 1;
    XXH128_canonical_t id;
    XXH3_state_t *state = XXH3_createState();
    if (!state || XXH3_128bits_reset(state) != XXH_OK) (void)err_memory(e, "digest", PIECE);
    while (e->code == ERR_OK && got && !(stop && atomic_load(stop)) &&
           infile_read_full(e, in, piece, PIECE, &got) == ERR_OK)
        (void)XXH3_128bits_update(state, piece, got);
    if (e->code == ERR_OK) {
        XXH128_canonicalFromHash(&id, XXH3_128bits_digest(state));
        memcpy(digest, id.digest, sizeof id.digest);
    }
    XXH3_freeState(state);
    return e->code;
}

static enum err digest_file(struct errctx *e, const char *path, const atomic_bool *stop,
                            uint8_t digest[16])
{
    struct infile in;
    uint8_t *piece;
    TRY(infile_open(e, path, &in));
    if (mem_new_aligned(e, &piece, PIECE, 1, "digest") == ERR_OK) {
        (void)!digest_all(e, &in, stop, piece, digest);
        mem_free(piece);
    }
    infile_close(&in);
    return e->code;
}

enum err file_digest(struct errctx *e, const char *path, uint8_t digest[16])
{
    return digest_file(e, path, NULL, digest);
}

static void *work(void *ctx)
{
    struct file_digests *d = ctx;
    for (size_t i = 0; i < d->count && d->failed.code == ERR_OK; i++)
        (void)!digest_file(&d->failed, d->files[i].path, &d->stop, d->files[i].digest);
    return NULL;
}

enum err file_digests_add(struct errctx *e, struct file_digests *d, const char *path, size_t slot)
{
    TRY(mem_grow(e, &d->files, &d->capacity, d->count + 1, sizeof *d->files, "files"));
    struct file_digest *f = &d->files[d->count];
    *f = (struct file_digest){.slot = slot};
    TRY(mem_strdup(e, &f->path, path));
    d->count++;
    return ERR_OK;
}

void file_digests_start(struct file_digests *d)
{
    if (d->count == 0) return;
    d->running = !fault_here(FAULT_THREAD) && pthread_create(&d->thread, NULL, work, d) == 0;
    if (!d->running) (void)work(d);
}

static void join(struct file_digests *d)
{
    if (d->running) pthread_join(d->thread, NULL);
    d->running = false;
}

enum err file_digests_wait(struct errctx *e, struct file_digests *d)
{
    join(d);
    if (d->failed.code != ERR_OK) err_set(e, d->failed.code, "%s", d->failed.message);
    return e->code;
}

void file_digests_fini(struct file_digests *d)
{
    atomic_store(&d->stop, true);
    join(d);
    for (size_t i = 0; i < d->count; i++) mem_free(d->files[i].path);
    mem_free(d->files);
    d->files = NULL;
    d->count = d->capacity = 0;
}
