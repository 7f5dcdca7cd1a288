/* SPDX-License-Identifier: Apache-2.0 */
/* belt.c: one mutex, one condition for each of the three hands, and three counters.
 *
 *     emptied <= worked-in-order <= taken <= filled <= emptied + slots
 *
 * A slot holds a frame of a megabyte, so a lock per step costs nothing that can be measured. */
#include "formats/belt.h"

#include <stdint.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/mem.h"

struct worker {
    struct belt *belt;
    int number;
    pthread_t thread;
};

struct belt {
    pthread_mutex_t lock;
    pthread_cond_t room, work_there,
        done; /* for the filler (and drain), the workers, the emptier */
    belt_work_fn *work;
    void *ctx;
    int64_t slots;
    int64_t filled, taken, emptied; /* slots so far; slot number = count % slots */
    bool *worked;                   /* by slot */
    int busy;                       /* workers at work */
    bool stopped, quitting, blocked, answered;
    struct worker *workers;
    int workers_count;
};

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct belt *b = w->belt;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->quitting && (b->stopped || b->taken == b->filled))
            pthread_cond_wait(&b->work_there, &b->lock);
        if (b->quitting) break;
        int slot = (int)(b->taken++ % b->slots);
        b->busy++;
        pthread_mutex_unlock(&b->lock);
        b->work(b->ctx, slot, w->number);
        pthread_mutex_lock(&b->lock);
        b->busy--;
        b->worked[slot] = true;
        pthread_cond_broadcast(&b->done);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

enum err belt_thread(struct errctx *e, pthread_t *thread, void *(*fn)(void *), void *arg)
{
    if (fault_here(FAULT_THREAD)) return err_errno(e, "cannot start a thread");
    int failed = pthread_create(thread, NULL, fn, arg);
    if (failed) return err_set(e, ERR_IO, "cannot start a thread: %s", strerror(failed));
    return ERR_OK;
}

enum err belt_new(struct errctx *e, int slots, int workers, belt_work_fn *work, void *ctx,
                  struct belt **out)
{
    struct belt *b;
    *out = NULL;
    TRY(mem_new(e, &b, 1, sizeof *b, "a frame queue"));
    b->work = work;
    b->ctx = ctx;
    b->slots = slots;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->room, NULL);
    pthread_cond_init(&b->work_there, NULL);
    pthread_cond_init(&b->done, NULL);
    enum err code = mem_new(e, &b->worked, (size_t)slots, sizeof *b->worked, "a frame queue");
    if (code == ERR_OK)
        code = mem_new(e, &b->workers, (size_t)workers, sizeof *b->workers, "a frame queue");
    for (int i = 0; code == ERR_OK && i < workers; i++) {
        b->workers[i] = (struct worker){.belt = b, .number = i};
        code = belt_thread(e, &b->workers[i].thread, worker_main, &b->workers[i]);
        if (code == ERR_OK) b->workers_count++;
    }
    if (code != ERR_OK) {
        belt_free(b);
        return code;
    }
    *out = b;
    return ERR_OK;
}

void belt_free(struct belt *b)
{
    if (!b) return;
    pthread_mutex_lock(&b->lock);
    b->quitting = true;
    pthread_cond_broadcast(&b->work_there);
    pthread_mutex_unlock(&b->lock);
    for (int i = 0; i < b->workers_count; i++) pthread_join(b->workers[i].thread, NULL);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->room);
    pthread_cond_destroy(&b->work_there);
    pthread_cond_destroy(&b->done);
    mem_free(b->worked);
    mem_free(b->workers);
    mem_free(b);
}

int belt_fill(struct belt *b)
{
    pthread_mutex_lock(&b->lock);
    while (!b->stopped && b->filled == b->emptied + b->slots) pthread_cond_wait(&b->room, &b->lock);
    int slot = b->stopped ? BELT_STOPPED : (int)(b->filled % b->slots);
    pthread_mutex_unlock(&b->lock);
    return slot;
}

void belt_filled(struct belt *b)
{
    bool inline_work = b->workers_count == 0;
    int slot = (int)(b->filled % b->slots); /* only the filler changes it */
    if (inline_work) b->work(b->ctx, slot, 0);
    pthread_mutex_lock(&b->lock);
    b->filled++;
    b->worked[slot] = inline_work;
    if (inline_work) {
        b->taken++;
        pthread_cond_broadcast(&b->done);
    } else {
        pthread_cond_signal(&b->work_there);
    }
    pthread_mutex_unlock(&b->lock);
}

int belt_empty(struct belt *b)
{
    pthread_mutex_lock(&b->lock);
    int slot = (int)(b->emptied % b->slots);
    for (;;) {
        bool nothing = b->emptied == b->filled;
        if (b->stopped) {
            slot = BELT_STOPPED;
            break;
        }
        if (!nothing && b->worked[slot]) break;
        if (nothing && b->blocked && !b->answered) {
            b->answered = true;
            slot = BELT_POKED;
            break;
        }
        pthread_cond_wait(&b->done, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return slot;
}

void belt_emptied(struct belt *b)
{
    pthread_mutex_lock(&b->lock);
    b->worked[b->emptied % b->slots] = false;
    b->emptied++;
    pthread_cond_broadcast(&b->room);
    pthread_mutex_unlock(&b->lock);
}

void belt_poke(struct belt *b, bool blocked)
{
    pthread_mutex_lock(&b->lock);
    b->blocked = blocked;
    b->answered = false;
    if (blocked) pthread_cond_broadcast(&b->done);
    pthread_mutex_unlock(&b->lock);
}

void belt_drain(struct belt *b)
{
    pthread_mutex_lock(&b->lock);
    while (!b->stopped && b->emptied < b->filled) pthread_cond_wait(&b->room, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

void belt_stop(struct belt *b)
{
    pthread_mutex_lock(&b->lock);
    b->stopped = true;
    pthread_cond_broadcast(&b->room);
    pthread_cond_broadcast(&b->done);
    pthread_mutex_unlock(&b->lock);
}

void belt_reset(struct belt *b)
{
    pthread_mutex_lock(&b->lock);
    b->stopped = true;
    while (b->busy) pthread_cond_wait(&b->done, &b->lock);
    b->filled = b->taken = b->emptied = 0;
    b->blocked = b->answered = false;
    memset(b->worked, 0, (size_t)b->slots * sizeof *b->worked);
    b->stopped = false;
    pthread_mutex_unlock(&b->lock);
}
