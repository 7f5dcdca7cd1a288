/* SPDX-License-Identifier: Apache-2.0 */
/* trainlog.c: jansson makes the lines; each goes out whole with one write. */
#include "common/train/trainlog.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/prog.h"
#include "formats/mp_json.h"

/* ---- the file ---- */

enum err trainlog_open(struct errctx *e, struct trainlog *l, const char *path,
                       const struct train_state *from)
{
    struct stat st;
    *l = (struct trainlog){.fd = -1,
                           .path = path,
                           .started = prog_seconds(),
                           .first_step = from->step,
                           .seconds_before = from->seconds,
                           .joules_before = from->joules};
    energy_init(&l->energy, ENERGY_POWERCAP);
    if (!path) return ERR_OK;
    l->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (l->fd < 0 || fstat(l->fd, &st) != 0) return err_errno(e, "cannot open '%s'", path);
    if (!S_ISREG(st.st_mode)) return ERR_OK;
    l->offset = from->log_bytes < st.st_size ? from->log_bytes : st.st_size;
    if (from->log_bytes > st.st_size)
        prog_warn("'%s' has lost lines: it is shorter than when the checkpoint was made", path);
    if (ftruncate(l->fd, l->offset) != 0 || lseek(l->fd, l->offset, SEEK_SET) < 0)
        return err_errno(e, "cannot cut '%s'", path);
    return ERR_OK;
}

void trainlog_close(struct trainlog *l)
{
    if (l->fd >= 0) close(l->fd);
    l->fd = -1;
}

void trainlog_account(struct trainlog *l, struct train_state *s)
{
    s->seconds = l->seconds_before + prog_seconds() - l->started;
    s->joules = l->joules_before + energy_read(&l->energy);
    s->log_bytes = l->offset;
}

static enum err write_line(struct errctx *e, struct trainlog *l, json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(line);
    if (!text) return err_memory(e, "a line of the log", 0);
    size_t n = strlen(text);
    text[n] = '\n'; /* in place of the final zero */
    enum err r = io_write_all(e, l->fd, text, n + 1, l->path);
    free(text);
    l->offset += (int64_t)n + 1;
    return r;
}

/* JSON has no NaN. */
static void set_real(json_t *o, const char *key, double v)
{
    json_object_set_new(o, key, isfinite(v) ? json_real(v) : json_null());
}

static json_t *line_new(const struct train_state *s)
{
    json_t *o = json_object();
    json_object_set_new(o, "step", json_integer(s->step));
    return o;
}

/* ---- lines ---- */

enum err trainlog_step(struct errctx *e, struct trainlog *l, const struct train_state *s,
                       const struct trainlog_step *step)
{
    if (l->fd < 0) return ERR_OK;
    json_t *o = line_new(s);
    json_object_set_new(o, "rows", json_integer(s->rows));
    json_object_set_new(o, "tokens", json_integer(s->tokens));
    set_real(o, "loss", step->loss);
    set_real(o, "norm", step->norm);
    set_real(o, "rate", step->rate);
    set_real(o, "tokens_per_second", step->tokens_per_second);
    set_real(o, "seconds", s->seconds);
    json_object_set_new(o, "memory", json_integer((json_int_t)prog_peak_memory()));
    set_real(o, "energy", l->energy.count ? s->joules : NAN);
    json_object_set_new(o, "energy_source", json_string(energy_source(&l->energy)));
    return write_line(e, l, o);
}

enum err trainlog_validation(struct errctx *e, struct trainlog *l, const struct train_state *s,
                             const struct judgement *j, bool best)
{
    if (l->fd < 0) return ERR_OK;
    json_t *o = line_new(s), *v = json_object();
    set_real(v, "loss", j->loss);
    for (int i = 0; i < j->count; i++) set_real(v, j->figures[i].name, j->figures[i].value);
    json_object_set_new(o, "validation", v);
    json_object_set_new(o, "best", json_boolean(best));
    return write_line(e, l, o);
}

enum err trainlog_event(struct errctx *e, struct trainlog *l, const struct train_state *s,
                        const char *event, const char *message)
{
    if (l->fd < 0) return ERR_OK;
    json_t *o = line_new(s);
    json_object_set_new(o, "event", json_string(event));
    json_object_set_new(o, "message", mp_json_text(message));
    return write_line(e, l, o);
}

/* ---- progress ---- */

/* Time left by steps or by tokens, whichever is known to end first. */
static double seconds_left(const struct train_state *s, double session, int64_t steps_session,
                           int64_t steps, int64_t tokens)
{
    double left = INFINITY;
    if (steps_session < 1) return left;
    double each = session / (double)steps_session;
    if (steps > 0) left = each * (double)(steps - s->step);
    if (tokens > 0 && s->tokens > 0) {
        double by_tokens = each * (double)s->step * ((double)tokens / (double)s->tokens - 1);
        if (by_tokens < left) left = by_tokens;
    }
    return left < 0 ? 0 : left;
}

void trainlog_progress(const struct trainlog *l, const struct train_state *s,
                       const struct trainlog_step *step, int64_t steps, int64_t tokens)
{
    char eta[32], total[32] = "";
    double session = prog_seconds() - l->started;
    if (steps > 0) snprintf(total, sizeof total, "/%" PRId64, steps);
    prog_format_duration(seconds_left(s, session, s->step - l->first_step, steps, tokens), eta);
    prog_progress("step %" PRId64 "%s  loss %.4f  rate %.2e  %.0f tokens/s  %s left", s->step,
                  total, step->loss, step->rate, step->tokens_per_second, eta);
}
