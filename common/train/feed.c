/* SPDX-License-Identifier: Apache-2.0 */
/* feed.c: records in, rows out, with a running digest. */
#include "common/train/feed.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "common/base/prog.h"
#include "common/flow/join.h"

enum err feed_init(struct errctx *e, struct feed *f, const struct row_source *source)
{
    *f = (struct feed){.source = source};
    TRY(tokens_layout_find(e, source->begin, source->name, &f->layout));
    f->digest = XXH3_createState();
    if (!f->digest) return err_memory(e, "a digest", 0);
    XXH3_128bits_reset(f->digest);
    return ERR_OK;
}

void feed_fini(struct feed *f)
{
    if (f->digest) XXH3_freeState(f->digest);
    *f = (struct feed){0};
}

/* Makes f->rows hold a row that is not used yet, if there is one. */
static enum err feed_fill(struct errctx *e, struct feed *f)
{
    enum stream_event event;
    while (!f->ended && f->next == f->rows.n) {
        f->next = f->rows.n = 0;
        TRY(f->source->next(e, f->source->ctx, &event, &f->rows));
        if (event == STREAM_EVENT_END) {
            f->ended = true;
            f->rows.n = 0;
        }
    }
    return ERR_OK;
}

enum err feed_peek(struct errctx *e, struct feed *f, struct tokens_row *row, bool *more)
{
    TRY(feed_fill(e, f));
    *more = !f->ended;
    if (!*more) return ERR_OK;
    if (tokens_row_view(e, &f->layout, &f->rows, f->next, row) != ERR_OK)
        return err_prefix(e, "'%s'", f->source->name);
    return ERR_OK;
}

static void digest_cell(struct feed *f, int64_t column)
{
    const struct stream_field *field = &f->source->begin->columns[column];
    const uint8_t *data = f->rows.data[column];
    const int64_t *start = f->rows.start[column];
    size_t size = dtype_size(field->dtype);
    if (start) {
        uint64_t n = (uint64_t)(start[f->next + 1] - start[f->next]);
        XXH3_128bits_update(f->digest, &n, sizeof n);
        XXH3_128bits_update(f->digest, data + (size_t)start[f->next] * size, n * size);
        return;
    }
    for (int d = 0; d < field->dims; d++) size *= (size_t)field->shape[d];
    XXH3_128bits_update(f->digest, data + (size_t)f->next * size, size);
}

void feed_take(struct feed *f, const struct tokens_row *row)
{
    for (int64_t c = 0; c < f->rows.columns_count; c++) digest_cell(f, c);
    f->tokens += row->n;
    f->used++;
    f->next++;
}

void feed_digest(const struct feed *f, uint8_t digest[16])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(f->digest));
    memcpy(digest, canonical.digest, 16);
}

enum err feed_skip(struct errctx *e, struct feed *f, int64_t rows, const uint8_t digest[16])
{
    uint8_t found[16];
    while (f->used < rows) {
        struct tokens_row row;
        bool more;
        TRY(feed_peek(e, f, &row, &more));
        if (!more)
            return err_set(e, ERR_INPUT,
                           "'%s': ends after row %" PRId64 ", but the checkpoint has used %" PRId64
                           " rows: not the stream it was made from",
                           f->source->name, f->used, rows);
        feed_take(f, &row);
        if (f->used % 4096 == 0)
            prog_progress("reading again what the checkpoint has used: row %" PRId64 " of %" PRId64,
                          f->used, rows);
    }
    feed_digest(f, found);
    if (memcmp(found, digest, 16) != 0)
        return err_set(e, ERR_INPUT,
                       "'%s': the first %" PRId64 " rows are not those the checkpoint has used "
                       "(remove the checkpoint to start anew)",
                       f->source->name, rows);
    return ERR_OK;
}

enum err feed_drain(struct errctx *e, struct feed *f, bool stop)
{
    if (f->ended) return ERR_OK;
    f->ended = true;
    return f->source->drain(e, f->source->ctx, stop);
}

static enum err count_rows(struct errctx *e, struct stream_reader *r, struct stream_expect *found)
{
    int64_t ids = stream_begin_find_column(stream_reader_begin(r), "ids");
    *found = (struct stream_expect){0, 0};
    for (;;) {
        enum stream_event event;
        struct stream_rows rows;
        struct stream_tensor_piece piece;
        TRY(stream_reader_next(e, r, &event, &rows, &piece));
        if (event == STREAM_EVENT_END) return ERR_OK;
        found->rows += rows.n;
        if (ids >= 0 && rows.start[ids])
            found->tokens += rows.start[ids][rows.n] - rows.start[ids][0];
    }
}

static enum err count_file(struct errctx *e, const char *path, int threads,
                           struct stream_expect *found)
{
    struct stream_reader_cfg cfg = {.kind = STREAM_TOKENS, .threads = threads};
    struct stream_reader *r;
    struct stat st;
    *found = (struct stream_expect){-1, -1};
    if (strcmp(path, "-") == 0 || stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return ERR_OK;
    TRY(stream_reader_open(e, NULL, "input", path, &cfg, &r));
    enum err code = count_rows(e, r, found);
    stream_reader_close(r);
    return code;
}

enum err feed_expect(struct errctx *e, const struct opt_list *operands, int threads, bool count,
                     struct stream_begin *begin)
{
    struct stream_expect sum = {0, 0}, one;
    TRY(join_expect(e, operands, begin, &begin->expect));
    if (!count || begin->expect.tokens >= 0 || operands->count == 0) return ERR_OK;
    for (size_t i = 0; i < operands->count && sum.tokens >= 0; i++) {
        TRY(count_file(e, operands->items[i], threads, &one));
        sum.rows = one.rows < 0 ? -1 : sum.rows + one.rows;
        sum.tokens = one.tokens < 0 ? -1 : sum.tokens + one.tokens;
    }
    begin->expect = sum;
    return ERR_OK;
}
