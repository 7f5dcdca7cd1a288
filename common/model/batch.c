/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c: rows laid end to end, and the cut into grains.
 *
 * A grain is closed by the row that does not fit, never by what comes after it in memory, so a
 * batch made of the rows of some grains has exactly these grains. */
#include "common/model/batch.h"

#include <string.h>

#include "common/base/mem.h"

static enum err grow(struct errctx *e, void *array, int64_t have, int64_t want, size_t size)
{
    size_t capacity = (size_t)have;
    return mem_grow(e, array, &capacity, (size_t)want, size, "batch");
}

static enum err reserve_tokens(struct errctx *e, struct batch *b, int64_t need)
{
    const int64_t have = b->capacity_tokens;
    if (need <= have) return ERR_OK;
    const int64_t want = need > 2 * have ? need : 2 * have;
    TRY(grow(e, &b->ids, have, want, sizeof *b->ids));
    TRY(grow(e, &b->position, have, want, sizeof *b->position));
    TRY(grow(e, &b->type, have, want, sizeof *b->type));
    TRY(grow(e, &b->target, have, want, sizeof *b->target));
    TRY(grow(e, &b->weight, have, want, sizeof *b->weight));
    TRY(grow(e, &b->ordinal, have, want, sizeof *b->ordinal));
    b->capacity_tokens = want;
    return ERR_OK;
}

static enum err reserve_rows(struct errctx *e, struct batch *b, int64_t need)
{
    const int64_t have = b->capacity_rows;
    if (need <= have) return ERR_OK;
    const int64_t want = need > 2 * have ? need : 2 * have;
    TRY(grow(e, &b->row_start, have, want, sizeof *b->row_start));
    TRY(grow(e, &b->row_length, have, want, sizeof *b->row_length));
    TRY(grow(e, &b->row_before, have, want, sizeof *b->row_before));
    TRY(grow(e, &b->row_ordinal, have, want, sizeof *b->row_ordinal));
    TRY(grow(e, &b->grain_start, have ? have + 1 : 0, want + 1, sizeof *b->grain_start));
    b->capacity_rows = want;
    return ERR_OK;
}

enum err batch_init(struct errctx *e, struct batch *b, int64_t capacity_tokens,
                    int64_t capacity_rows)
{
    *b = (struct batch){0};
    if (reserve_tokens(e, b, capacity_tokens > 0 ? capacity_tokens : 1) == ERR_OK)
        (void)!reserve_rows(e, b, capacity_rows > 0 ? capacity_rows : 1);
    if (e->code != ERR_OK) batch_fini(b);
    return e->code;
}

void batch_fini(struct batch *b)
{
    mem_free(b->ids);
    mem_free(b->position);
    mem_free(b->type);
    mem_free(b->target);
    mem_free(b->weight);
    mem_free(b->ordinal);
    mem_free(b->row_start);
    mem_free(b->row_length);
    mem_free(b->row_before);
    mem_free(b->row_ordinal);
    mem_free(b->grain_start);
    *b = (struct batch){0};
}

void batch_clear(struct batch *b)
{
    b->tokens = b->rows = b->grains = b->real = 0;
    b->scored = 0;
    b->shares = false;
}

int64_t batch_padded(int64_t tokens, int64_t grain, int64_t longest)
{
    /* Of two neighbouring grains the second holds a row that did not fit into the first: together
     * they are longer than `grain`, so there are at most 2 * tokens / grain + 1 of them, each
     * padded by less than a step. */
    if (tokens < longest) tokens = longest;
    const int64_t grains = 2 * tokens / (grain > 0 ? grain : 1) + 1;
    const int64_t most = tokens + (KERNEL_STEP - 1) * (grains < tokens ? grains : tokens);
    return (most + KERNEL_STEP - 1) / KERNEL_STEP * KERNEL_STEP;
}

static enum err pad(struct errctx *e, struct batch *b)
{
    const int64_t end = (b->tokens + KERNEL_STEP - 1) / KERNEL_STEP * KERNEL_STEP;
    TRY(reserve_tokens(e, b, end));
    for (int64_t i = b->tokens; i < end; i++) {
        b->ids[i] = -1;
        b->position[i] = 0;
        b->type[i] = 0;
        b->target[i] = -1;
        b->weight[i] = 0;
        b->ordinal[i] = 0;
    }
    b->tokens = end;
    b->grain_start[b->grains] = end;
    return ERR_OK;
}

static enum err append(struct errctx *e, struct batch *b, int64_t grain, int64_t before, int64_t n,
                       const uint32_t *ids, const uint8_t *types, const int32_t *targets,
                       const float *weights, int64_t ordinal)
{
    if (n <= 0) return err_set(e, ERR_INPUT, "row %lld: no tokens", (long long)ordinal);
    if (n > INT32_MAX - b->tokens - KERNEL_STEP)
        return err_set(e, ERR_INPUT, "row %lld: %lld tokens do not fit into a batch",
                       (long long)ordinal, (long long)n);
    TRY(reserve_rows(e, b, b->rows + 1));
    const bool open = b->grains > 0;
    if (!open || b->tokens - b->grain_start[b->grains - 1] + n > grain) {
        if (open) TRY(pad(e, b));
        b->grain_start[b->grains++] = b->tokens;
    }
    TRY(reserve_tokens(e, b, b->tokens + n));
    const int64_t at = b->tokens;
    for (int64_t i = 0; i < n; i++) {
        b->ids[at + i] = (int32_t)ids[i];
        b->position[at + i] = (int32_t)(before + i);
        b->type[at + i] = types ? types[i] : 0;
        b->target[at + i] = targets ? targets[i] : -1;
        b->weight[at + i] = !targets ? 0 : weights ? weights[i] : 1;
        b->ordinal[at + i] = (uint32_t)ordinal;
        if (b->target[at + i] >= 0) b->scored += (double)b->weight[at + i];
    }
    b->row_start[b->rows] = (int32_t)at;
    b->row_length[b->rows] = (int32_t)n;
    b->row_before[b->rows] = (int32_t)before;
    b->row_ordinal[b->rows] = ordinal;
    b->rows++;
    b->tokens += n;
    b->real += n;
    b->grain_start[b->grains] = b->tokens;
    return ERR_OK;
}

enum err batch_append(struct errctx *e, struct batch *b, int64_t grain, int64_t n,
                      const uint32_t *ids, const uint8_t *types, const int32_t *targets,
                      const float *weights, int64_t ordinal)
{
    return append(e, b, grain, 0, n, ids, types, targets, weights, ordinal);
}

enum err batch_append_after(struct errctx *e, struct batch *b, int64_t before, int64_t n,
                            const uint32_t *ids, const int32_t *targets, const float *weights,
                            int64_t ordinal)
{
    const int64_t last = b->rows - 1;
    if (last < 0 || before < 1 || before > b->row_before[last] + b->row_length[last])
        return err_set(e, ERR_USAGE, "BUG: a row that begins with %lld tokens of none",
                       (long long)before);
    b->shares = true;
    return append(e, b, INT32_MAX, before, n, ids, NULL, targets, weights, ordinal);
}

enum err batch_close(struct errctx *e, struct batch *b)
{
    return b->grains ? pad(e, b) : ERR_OK;
}

struct grid batch_grid(const struct batch *b)
{
    return (struct grid){.n = b->grains, .start = b->grain_start};
}

enum err batch_slice(struct errctx *e, const struct batch *b, int64_t first, int64_t count,
                     struct batch *out)
{
    const int64_t from = b->grain_start[first], to = b->grain_start[first + count], n = to - from;
    int64_t row = 0;
    batch_clear(out);
    while (row < b->rows && b->row_start[row] < from) row++;
    int64_t rows = 0;
    while (row + rows < b->rows && b->row_start[row + rows] < to) rows++;
    TRY(reserve_tokens(e, out, n));
    TRY(reserve_rows(e, out, rows > count ? rows : count));
    memcpy(out->ids, b->ids + from, (size_t)n * sizeof *b->ids);
    memcpy(out->position, b->position + from, (size_t)n * sizeof *b->position);
    memcpy(out->type, b->type + from, (size_t)n * sizeof *b->type);
    memcpy(out->target, b->target + from, (size_t)n * sizeof *b->target);
    memcpy(out->weight, b->weight + from, (size_t)n * sizeof *b->weight);
    memcpy(out->ordinal, b->ordinal + from, (size_t)n * sizeof *b->ordinal);
    for (int64_t i = 0; i < rows; i++) {
        out->row_start[i] = (int32_t)(b->row_start[row + i] - from);
        out->row_length[i] = b->row_length[row + i];
        out->row_before[i] = b->row_before[row + i];
        out->shares |= b->row_before[row + i] > 0;
        out->row_ordinal[i] = b->row_ordinal[row + i];
        out->real += b->row_length[row + i];
    }
    for (int64_t g = 0; g <= count; g++) out->grain_start[g] = b->grain_start[first + g] - from;
    for (int64_t i = 0; i < n; i++)
        if (out->target[i] >= 0) out->scored += (double)out->weight[i];
    out->tokens = n;
    out->rows = rows;
    out->grains = count;
    return ERR_OK;
}
