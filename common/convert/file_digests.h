/* SPDX-License-Identifier: Apache-2.0 */
/* file_digests.h: XXH3-128 of the bytes of files, as lineage has it, by a thread of its own: large
 * files are digested while they are imported. */
#ifndef GRAFT_CONVERT_FILE_DIGESTS_H
#define GRAFT_CONVERT_FILE_DIGESTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"

struct file_digest {
    char *path;
    size_t slot; /* of the run's input */
    uint8_t digest[16];
};

struct file_digests { /* zero-initialised; must not move while it runs */
    struct file_digest *files;
    size_t count, capacity;
    struct errctx failed;
    pthread_t thread;
    bool running;
    atomic_bool stop;
};

enum err file_digests_add(struct errctx *e, struct file_digests *d, const char *path,
                          size_t slot) MUST_USE;
/* Begins with those that were added; where there is no thread to be had, does them at once. */
void file_digests_start(struct file_digests *d);
/* Waits for them. */
enum err file_digests_wait(struct errctx *e, struct file_digests *d) MUST_USE;
/* Stops what runs, and frees. */
void file_digests_fini(struct file_digests *d);
/* One file, now. */
enum err file_digest(struct errctx *e, const char *path, uint8_t digest[16]) MUST_USE;

#endif
