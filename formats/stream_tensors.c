/* SPDX-License-Identifier: Apache-2.0 */
/* stream_tensors.c: whole streams at once: all tensors into memory, or a glance at a stream without
 * its data. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/stream.h"
#include "formats/stream_begin.h"
#include "formats/stream_map.h"

/* ------------------------------------------------------------------ tensors */

/* Memory for a tensor comes with its first piece: a begin may promise what the file does not hold.
 */
static enum err take_piece(struct errctx *e, struct stream_tensors *t,
                           const struct stream_tensor_piece *p)
{
    const struct stream_field *f = &t->begin.tensors[p->tensor];
    if (p->first == 0)
        TRY(mem_new_aligned(e, &t->data[p->tensor],
                            dtype_offset(f->dtype, stream_field_elements(f)), 1, f->name));
    memcpy(t->data[p->tensor] + dtype_offset(f->dtype, p->first), p->data, p->bytes);
    return ERR_OK;
}

static enum err load(struct errctx *e, struct stream_reader *r, struct stream_tensors *t)
{
    enum stream_event event;
    struct stream_rows rows;
    struct stream_tensor_piece piece;
    TRY(stream_begin_copy(e, stream_reader_begin(r), &t->begin));
    size_t n = (size_t)t->begin.tensors_count;
    if (t->begin.columns_count)
        return err_set(e, ERR_INPUT, "'%s': a stream of kind %s has no tensors",
                       stream_reader_name(r), stream_kind_name(t->begin.kind));
    TRY(mem_new(e, &t->data, n, sizeof *t->data, "tensors"));
    for (;;) {
        TRY(stream_reader_next(e, r, &event, &rows, &piece));
        if (event == STREAM_EVENT_END) break;
        TRY(take_piece(e, t, &piece));
    }
    for (size_t i = 0; i < n; i++)
        if (!t->data[i]) TRY(mem_new_aligned(e, &t->data[i], 0, 1, "an empty tensor"));
    t->summary = *stream_reader_summary(r);
    return lineage_copy(e, stream_reader_lineage(r), &t->lineage);
}

enum err stream_tensors_read(struct errctx *e, struct stream_reader *r, struct stream_tensors *out)
{
    *out = (struct stream_tensors){0};
    stream_begin_init(&out->begin, STREAM_MODEL);
    enum err code = load(e, r, out);
    if (code != ERR_OK) stream_tensors_fini(out);
    return code;
}

enum err stream_tensors_load(struct errctx *e, struct run *run, const char *role, const char *path,
                             enum stream_kind kind, struct stream_tensors *out)
{
    struct stream_reader_cfg cfg = STREAM_READER_CFG;
    struct stream_reader *r;
    cfg.kind = kind;
    TRY(stream_reader_open(e, run, role, path, &cfg, &r));
    enum err code = stream_tensors_read(e, r, out);
    stream_reader_close(r);
    return code;
}

const void *stream_tensors_get(const struct stream_tensors *t, const char *name,
                               const struct stream_field **field)
{
    int64_t i = stream_begin_find_tensor(&t->begin, name);
    if (i < 0) return NULL;
    if (field) *field = &t->begin.tensors[i];
    return t->data[i];
}

void stream_tensors_fini(struct stream_tensors *t)
{
    for (int64_t i = 0; t->data && i < t->begin.tensors_count; i++) mem_free(t->data[i]);
    mem_free(t->data);
    stream_begin_fini(&t->begin);
    lineage_fini(&t->lineage);
    *t = (struct stream_tensors){0};
}

/* ------------------------------------------------------------------ a glance */

/* Asked before opening: a FIFO that is opened, closed and opened again loses its writer. */
static bool is_file(const char *path)
{
    struct stat st;
    bool standard = !path || !strcmp(path, "-");
    int failed = standard ? fstat(STDIN_FILENO, &st) : stat(path, &st);
    if (failed || !S_ISREG(st.st_mode)) return false;
    return !standard || lseek(STDIN_FILENO, 0, SEEK_CUR) == 0;
}

static enum err glance_file(struct errctx *e, const char *path, struct stream_begin *begin,
                            struct stream_summary *s, struct lineage *lineage)
{
    struct infile in;
    struct stream_map m;
    TRY(infile_open(e, path, &in));
    enum err code = stream_map_read(e, &in, &m);
    uint64_t size = in.size;
    infile_close(&in);
    TRY(code);
    *s = (struct stream_summary){.segments = m.count,
                                 .rows = m.rows,
                                 .tensors = m.begin.tensors_count,
                                 .bytes = m.bytes,
                                 .compressed = size};
    if (m.count == 1) memcpy(s->id, m.segments[0].last.id, 16);
    code = stream_begin_copy(e, &m.begin, begin);
    for (int64_t i = 0; code == ERR_OK && i < m.count; i++)
        code = lineage_merge(e, &m.segments[i].last.lineage, lineage);
    stream_map_fini(&m);
    return code;
}

static enum err glance_pipe(struct errctx *e, const char *path, struct stream_begin *begin,
                            struct stream_summary *s, struct lineage *lineage)
{
    struct stream_reader *r;
    TRY(stream_reader_open(e, NULL, "input", path, NULL, &r));
    enum err code = stream_reader_drain(e, r);
    if (code == ERR_OK) {
        *s = *stream_reader_summary(r);
        code = stream_begin_copy(e, stream_reader_begin(r), begin);
    }
    if (code == ERR_OK) code = lineage_merge(e, stream_reader_lineage(r), lineage);
    stream_reader_close(r);
    return code;
}

enum err stream_glance(struct errctx *e, const char *path, struct stream_begin *begin,
                       struct stream_summary *summary, struct lineage *lineage)
{
    *lineage = (struct lineage){0};
    stream_begin_init(begin, STREAM_TOKENS);
    enum err code = is_file(path) ? glance_file(e, path, begin, summary, lineage)
                                  : glance_pipe(e, path, begin, summary, lineage);
    if (code != ERR_OK) {
        stream_begin_fini(begin);
        lineage_fini(lineage);
    }
    return code;
}
