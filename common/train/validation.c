/* SPDX-License-Identifier: Apache-2.0 */
/* validation.c: spools, opens, judges. */
#include "common/train/validation.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"

static const char *readable(const struct validation *v)
{
    return v->spool >= 0 ? v->path : v->source;
}

static enum err copy_bytes(struct errctx *e, struct infile *from, int to)
{
    uint8_t *data;
    size_t got, size = 1 << 20;
    TRY(mem_new(e, &data, size, 1, "a copy of the validation stream"));
    do {
        if (infile_read(e, from, data, size, &got) == ERR_OK && got > 0)
            (void)!io_temporary_write(e, to, data, got);
    } while (e->code == ERR_OK && got > 0);
    mem_free(data);
    return e->code;
}

static enum err spool(struct errctx *e, struct validation *v)
{
    struct infile f;
    TRY(infile_open(e, v->source, &f));
    if (!f.regular && io_temporary(e, 0, &v->spool) == ERR_OK) {
        snprintf(v->path, sizeof v->path, "/proc/self/fd/%d", v->spool);
        snprintf(v->name, sizeof v->name, "%s%s",
                 io_is_descriptor_name(v->source) ? "val pipe " : "", f.name);
        (void)!copy_bytes(e, &f, v->spool);
    }
    infile_close(&f);
    return e->code;
}

static enum err open_reader(struct errctx *e, const struct validation *v, struct stream_reader **r)
{
    struct stream_reader_cfg cfg = STREAM_READER_CFG;
    cfg.kind = STREAM_TOKENS;
    cfg.name = v->spool >= 0 ? v->name : NULL;
    cfg.threads = pool_threads(model_kernels(v->model)->pool);
    return stream_reader_open(e, NULL, "val", readable(v), &cfg, r);
}

/* By hand, because a spooled pipe has another name than what was given. */
static enum err record(struct errctx *e, struct validation *v, struct run *run,
                       struct stream_reader *r)
{
    size_t slot;
    TRY(run_input_open(e, run, "val", v->source, &slot));
    TRY(stream_reader_drain(e, r));
    const struct stream_summary *s = stream_reader_summary(r);
    memcpy(v->id, s->id, sizeof v->id);
    return run_input_done(e, run, slot, s->id, stream_reader_lineage(r), s->rows, false);
}

enum err validation_open(struct errctx *e, struct validation *v, struct run *run, const char *path,
                         struct model *model, const struct objective_cfg *objective,
                         const struct evaluate_cfg *cfg)
{
    struct stream_reader *r;
    *v = (struct validation){
        .model = model, .objective = *objective, .cfg = *cfg, .source = path, .spool = -1};
    TRY(spool(e, v));
    TRY(open_reader(e, v, &r));
    enum err code = record(e, v, run, r);
    stream_reader_close(r);
    return code;
}

void validation_close(struct validation *v)
{
    if (v->source && v->spool >= 0) close(v->spool);
    *v = (struct validation){.spool = -1};
}

static enum err judge(struct errctx *e, struct validation *v, struct stream_reader *r,
                      struct evaluate_result *out)
{
    struct evaluation *n;
    TRY(evaluation_new(e, v->model, &v->objective, &v->cfg, &n));
    enum err code = evaluation_read(e, n, r);
    if (code == ERR_OK) code = evaluation_finish(e, n, out);
    evaluation_free(n);
    if (code == ERR_OK && memcmp(stream_reader_summary(r)->id, v->id, sizeof v->id) != 0)
        code = err_set(e, ERR_INPUT, "'%s' is not what it was when the run began", v->source);
    return code;
}

enum err validation_run(struct errctx *e, struct validation *v, struct evaluate_result *out)
{
    struct stream_reader *r;
    TRY(open_reader(e, v, &r));
    enum err code = judge(e, v, r, out);
    stream_reader_close(r);
    return code == ERR_OK ? ERR_OK : err_prefix(e, "validation");
}
