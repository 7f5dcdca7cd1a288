/* SPDX-License-Identifier: Apache-2.0 */
/* trainlog.h: what a run tells while it goes: JSON lines into --log, a line of progress on a
 * terminal. Wall clock, memory and energy stand here and nowhere else.
 *
 *   {"step":7,"rows":812,"tokens":229376,"loss":5.31,"norm":0.82,"rate":7e-05,"tokens_per_second":
 *    8800.1,"seconds":26.1,"memory":512000000,"energy":310.2,"energy_source":"rapl"}
 *   {"step":100,"validation":{"loss":4.9,"bits_per_byte":1.9,"top1":0.2},"best":true}
 *
 * The log is written line by line as it happens. A resumed run cuts it back to where its checkpoint
 * was made, so that every step stands in it once. */
#ifndef GRAFT_TRAIN_TRAINLOG_H
#define GRAFT_TRAIN_TRAINLOG_H

#include "common/train/goal.h"
#include "common/train/checkpoint.h"
#include "common/train/energy.h"

struct trainlog {
    int fd; /* -1: no log */
    const char *path;
    int64_t offset; /* bytes written, of a regular file */
    struct energy energy;
    double started;                       /* clock of this session */
    int64_t first_step;                   /* done before it */
    double seconds_before, joules_before; /* of the sessions before */
};

struct trainlog_step {
    double loss, norm, rate, tokens_per_second;
};

/* Opens path (NULL: none). `from` is the offset to go on from, 0 for a new run. */
enum err trainlog_open(struct errctx *e, struct trainlog *l, const char *path,
                       const struct train_state *from) MUST_USE;
void trainlog_close(struct trainlog *l);
/* Brings seconds, joules and log_bytes of the state up to now. */
void trainlog_account(struct trainlog *l, struct train_state *s);

enum err trainlog_step(struct errctx *e, struct trainlog *l, const struct train_state *s,
                       const struct trainlog_step *step) MUST_USE;
enum err trainlog_validation(struct errctx *e, struct trainlog *l, const struct train_state *s,
                             const struct judgement *j, bool best) MUST_USE;
/* {"step":7,"event":"...","message":"..."}: an end before the end. */
enum err trainlog_event(struct errctx *e, struct trainlog *l, const struct train_state *s,
                        const char *event, const char *message) MUST_USE;

/* "step 120/1000  loss 5.123  rate 9.8e-04  8.8k tokens/s  3:12 left"; horizon and total tokens -1
 * when not known. */
void trainlog_progress(const struct trainlog *l, const struct train_state *s,
                       const struct trainlog_step *step, int64_t steps, int64_t tokens);

#endif
