/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.c: which steps are kept, and the lineage of what is made before its input has ended. */
#include "common/train/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/base/opts.h"

enum err snapshots_parse(struct errctx *e, const char *text, struct snapshots *s)
{
    const char *colon = strchr(text, ':');
    char number[32];
    *s = (struct snapshots){0};
    if (!colon || colon[1] == '\0' || (size_t)(colon - text) >= sizeof number) goto bad;
    snprintf(number, sizeof number, "%.*s", (int)(colon - text), text);
    if (strcmp(number, "log2") != 0 && (!opts_parse_size(number, &s->every) || s->every < 1))
        goto bad;
    s->directory = colon + 1;
    if (mkdir(s->directory, 0777) != 0 && errno != EEXIST)
        return err_errno(e, "cannot make the directory '%s'", s->directory);
    return ERR_OK;
bad:
    return err_set(e, ERR_USAGE, "--snapshots '%s': neither log2:DIR nor N:DIR", text);
}

bool snapshots_due(const struct snapshots *s, int64_t step)
{
    if (!s->directory || step < 1) return false;
    return s->every ? step % s->every == 0 : (step & (step - 1)) == 0;
}

enum err snapshots_save(struct errctx *e, const struct snapshots *s, int64_t step,
                        const struct model *m, const char *extension, model_saver *save,
                        struct run *run)
{
    char *path;
    TRY(mem_printf(e, &path, "%s/step-%08" PRId64 ".%s", s->directory, step, extension));
    enum err r =
        save(e, m, run, path, STREAM_LEVEL_DEFAULT, pool_threads(model_kernels(m)->pool), NULL);
    mem_free(path);
    return r;
}

/* ---- lineage so far ---- */

static const struct lineage_input *input_of_slot(const struct run *run, size_t slot)
{
    for (size_t i = 0; i < run->step.inputs_count; i++)
        if (run->step.inputs[i].slot == slot) return &run->step.inputs[i];
    return NULL;
}

static enum err copy_slot(struct errctx *e, const struct run *run, size_t from, int64_t rows,
                          const uint8_t digest[16], struct run *out)
{
    const struct run_slot *s = &run->slots[from];
    const struct lineage_input *in = input_of_slot(run, from);
    size_t slot;
    if (s->done && !in) return ERR_OK; /* cancelled */
    TRY(run_input_open(e, out, s->role, s->name, &slot));
    if (!in) return run_input_done(e, out, slot, digest, NULL, rows, true);
    TRY(run_input_done(e, out, slot, in->content, NULL, in->rows, in->partial));
    memcpy(out->step.inputs[out->step.inputs_count - 1].step, in->step, sizeof in->step);
    return ERR_OK;
}

static enum err copy_run(struct errctx *e, const struct run *run, int64_t rows,
                         const uint8_t digest[16], struct run *out)
{
    const struct lineage_step *s = &run->step;
    for (size_t i = 0; i < s->options_count; i++)
        TRY(run_option(e, out, s->options[i].name, s->options[i].value));
    TRY(run_numeric(e, out, s->mode, s->cpu));
    TRY(lineage_merge(e, &run->ancestors, &out->ancestors));
    for (size_t i = 0; i < run->slots_count; i++) TRY(copy_slot(e, run, i, rows, digest, out));
    return ERR_OK;
}

enum err run_so_far(struct errctx *e, const struct run *run, int64_t rows, const uint8_t digest[16],
                    struct run *out)
{
    TRY(run_init(e, out, run->step.program, run->step.version));
    enum err r = copy_run(e, run, rows, digest, out);
    if (r != ERR_OK) run_fini(out);
    return r;
}
