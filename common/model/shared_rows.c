/* SPDX-License-Identifier: Apache-2.0 */
/* shared_rows.c: where the keys and values of rows lie that share beginnings.
 *
 * Rows that follow one another in a batch, each beginning with tokens of the one before, have one
 * region of the cache. The region holds the keys and values of one whole row at a time: a row
 * leaves what it shares with the one before where it is and puts its own behind. So they take
 * turns, and the i-th rows of all regions have theirs together:
 *
 *     row 0  the cat sat        turn 0   region: the cat sat
 *     row 1  2 + slept on       turn 1   region: the cat slept on
 *     row 2  3 + in             turn 2   region: the cat slept in
 *     row 3  a dog              turn 0   region of its own
 *
 * A region is never longer than what its rows have of their own, all regions no longer than the
 * batch. */
#include "common/base/mem.h"
#include "common/model/parts.h"

static enum err reserve(struct errctx *e, struct shared_rows *s, int64_t rows)
{
    int32_t **const numbers[] = {&s->q_start, &s->q_len, &s->kv_start, &s->kv_len, &s->q_offset};
    const size_t want = (size_t)rows + 1;
    size_t have;
    if (rows < s->capacity) return ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        have = (size_t)s->capacity;
        TRY(mem_grow(e, numbers[i], &have, want, sizeof **numbers[i], "rows"));
    }
    have = (size_t)s->capacity;
    TRY(mem_grow(e, &s->cache_row, &have, want, sizeof *s->cache_row, "rows"));
    have = (size_t)s->capacity;
    TRY(mem_grow(e, &s->turn, &have, want, sizeof *s->turn, "rows"));
    s->capacity = rows + 1;
    return ERR_OK;
}

/* The row's turn, and where its region begins. */
struct region {
    int64_t turn, start, end; /* end: of all tokens so far that regions may need */
};
static void enter(const struct batch *b, int64_t row, struct region *r)
{
    if (b->row_before[row] > 0) {
        r->turn++;
    } else {
        r->turn = 0;
        r->start = r->end;
    }
    r->end += b->row_length[row];
}

static void put(const struct batch *b, int64_t row, int64_t start, int64_t place,
                struct shared_rows *s)
{
    const int32_t before = b->row_before[row];
    s->q_start[place] = b->row_start[row];
    s->q_len[place] = b->row_length[row];
    s->q_offset[place] = before;
    s->kv_start[place] = (int32_t)start;
    s->kv_len[place] = before + b->row_length[row];
    s->cache_row[place] = start + before;
}

enum err shared_rows_of(struct errctx *e, const struct batch *b, struct shared_rows *s)
{
    int64_t placed = 0;
    TRY(reserve(e, s, b->rows));
    for (s->turns = 0; placed < b->rows; s->turns++) {
        struct region r = {0};
        s->turn[s->turns] = placed;
        for (int64_t row = 0; row < b->rows; row++) {
            enter(b, row, &r);
            if (r.turn == s->turns) put(b, row, r.start, placed++, s);
        }
    }
    s->turn[s->turns] = placed;
    return ERR_OK;
}

void shared_rows_fini(struct shared_rows *s)
{
    void *const arrays[] = {s->q_start,  s->q_len,     s->kv_start, s->kv_len,
                            s->q_offset, s->cache_row, s->turn};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) mem_free(arrays[i]);
    *s = (struct shared_rows){0};
}
