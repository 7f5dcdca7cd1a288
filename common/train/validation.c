/* SPDX-License-Identifier: Apache-2.0 */
/* validation.c: one reader, begun again for each judgement. */
#include "common/train/validation.h"

#include <string.h>

/* The tables of a file give the id of one stream, not that of joined ones: those are read through.
 */
static enum err identify(struct errctx *e, struct validation *v)
{
    TRY(stream_reader_drain(e, v->reader));
    if (stream_reader_summary(v->reader)->segments > 1) {
        TRY(stream_reader_rewind(e, v->reader));
        TRY(stream_reader_check(e, v->reader));
    }
    memcpy(v->id, stream_reader_summary(v->reader)->id, sizeof v->id);
    return ERR_OK;
}

/* Where joined streams were not read to their end, there is no id to compare. */
static enum err check_id(struct errctx *e, const struct validation *v)
{
    static const uint8_t none[16];
    const uint8_t *id = stream_reader_summary(v->reader)->id;
    if (memcmp(id, v->id, sizeof v->id) == 0 || memcmp(id, none, sizeof none) == 0) return ERR_OK;
    return err_set(e, ERR_INPUT, "'%s' is not what it was when the run began",
                   stream_reader_name(v->reader));
}

enum err validation_open(struct errctx *e, struct validation *v, struct run *run, const char *path,
                         struct model *model, const struct goal *goal,
                         const struct evaluate_cfg *cfg)
{
    struct stream_reader_cfg reading = STREAM_READER_CFG;
    *v = (struct validation){.model = model, .goal = goal, .cfg = *cfg};
    reading.kind = STREAM_TOKENS;
    reading.threads = pool_threads(model_kernels(model)->pool);
    reading.spool = true;
    TRY(stream_reader_open(e, run, "val", path, &reading, &v->reader));
    return identify(e, v);
}

void validation_close(struct validation *v)
{
    stream_reader_close(v->reader);
    *v = (struct validation){0};
}

static enum err judge(struct errctx *e, struct validation *v, struct judgement *out)
{
    TRY(stream_reader_rewind(e, v->reader));
    TRY(v->goal->judge(e, v->goal->state, v->model, v->reader, &v->cfg, out));
    return check_id(e, v);
}

enum err validation_run(struct errctx *e, struct validation *v, struct judgement *out)
{
    return judge(e, v, out) == ERR_OK ? ERR_OK : err_prefix(e, "validation");
}
