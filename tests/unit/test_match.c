/* SPDX-License-Identifier: Apache-2.0 */
/* test_match.c: parameters out of tensors that are larger than the pieces they are read in: turned
 * around (GPT-2), as they stand, and made of parts of different types (Llama); and rows in rotary
 * pairs (GGUF): every number is the one that its place in the file holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/convert/source_open.h"
#include "kernels/values.h"
#include "tests/unit/scratch.h"

enum { C = 360, F = 1440, V = 800, MLP = 800 };

static char gguf[4096]; /* its path */

struct spec {
    const char *name;
    const char *dtype;
    int rows, columns; /* columns 0: a vector */
};

/* Element i of tensor t: a number that every type holds. */
static float value(size_t t, size_t i)
{
    return (float)((i * 7919 + t * 31) % 251) - 125;
}

static void put_values(FILE *f, const struct spec *s, size_t t)
{
    const size_t n = (size_t)s->rows * (size_t)(s->columns ? s->columns : 1);
    for (size_t i = 0; i < n; i++) {
        const float x = value(t, i);
        const uint16_t half = s->dtype[0] == 'B' ? f32_to_bf16(x) : f32_to_f16(x);
        if (strcmp(s->dtype, "F32") == 0)
            assert_int_equal(fwrite(&x, sizeof x, 1, f), 1);
        else
            assert_int_equal(fwrite(&half, sizeof half, 1, f), 1);
    }
}

static void put_model(const char *folder, const char *config, const struct spec *specs, size_t n)
{
    char path[256], header[8192] = "{", shape[32];
    size_t used = 1, at = 0;
    uint64_t length;
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(path, sizeof path, "%s/config.json", folder);
    FILE *f = fopen(path, "w");
    assert_true(f && fputs(config, f) >= 0 && fclose(f) == 0);
    for (size_t t = 0; t < n; t++) {
        const struct spec *s = &specs[t];
        const size_t bytes = (size_t)s->rows * (size_t)(s->columns ? s->columns : 1) *
                             (strcmp(s->dtype, "F32") == 0 ? 4 : 2);
        snprintf(shape, sizeof shape, s->columns ? "%d,%d" : "%d", s->rows, s->columns);
        used += (size_t)snprintf(
            header + used, sizeof header - used,
            "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", t ? "," : "",
            s->name, s->dtype, shape, at, at + bytes);
        at += bytes;
    }
    used += (size_t)snprintf(header + used, sizeof header - used, "}");
    assert_true(used < sizeof header);
    length = used;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(&length, sizeof length, 1, f), 1);
    assert_int_equal(fwrite(header, 1, used, f), used);
    for (size_t t = 0; t < n; t++) put_values(f, &specs[t], t);
    assert_int_equal(fclose(f), 0);
}

struct taken {
    enum dtype dtype;
    float *x;
    int64_t n, pieces;
};

static enum err take(struct errctx *e, void *ctx, const void *data, int64_t elements)
{
    struct taken *t = ctx;
    (void)e;
    values_to_f32(t->dtype, data, elements, t->x + t->n);
    t->n += elements;
    t->pieces++;
    return ERR_OK;
}

/* A part of a parameter: which tensor, and whether it stands there turned around. */
struct part {
    const char *param;
    size_t tensor;
    int64_t first; /* row of the parameter */
    bool turned;
};

static void check_parts(const struct matching *m, const struct spec *specs,
                        const struct part *parts, size_t count)
{
    struct errctx e = ERRCTX_INIT;
    for (size_t k = 0; k < count; k++) {
        const struct param *p = param_table_find(&m->params, parts[k].param);
        const struct spec *s = &specs[parts[k].tensor];
        assert_non_null(p);
        const int64_t i = p - m->params.items, columns = p->dims == 2 ? p->shape[1] : 1;
        const int64_t rows = parts[k].turned ? s->columns : s->rows;
        struct taken t = {.dtype = m->items[i].dtype,
                          .x = calloc((size_t)p->elements, sizeof(float))};
        int64_t bad = 0;
        assert_int_equal(matching_read(&e, m, i, take, &t, &bad), ERR_OK);
        assert_true(t.n == p->elements && bad == 0);
        if ((size_t)p->elements * dtype_size(t.dtype) > 1 << 20) assert_true(t.pieces > 1);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++) {
                const int64_t in_file = parts[k].turned ? c * rows + r : r * columns + c;
                const float x = t.x[(parts[k].first + r) * columns + c];
                if (x != value(parts[k].tensor, (size_t)in_file))
                    fail_msg("%s: row %d, column %d of %s", parts[k].param, (int)r, (int)c,
                             s->name);
            }
        free(t.x);
    }
}

static void check_model(const char *folder, const struct spec *specs, const struct part *parts,
                        size_t count)
{
    struct errctx e = ERRCTX_INIT;
    struct model_source s;
    model_source_init(&s, NULL);
    if (source_open(&e, &s, folder, SOURCE_FOLDER) != ERR_OK ||
        findings_raise(&e, &s.findings) != ERR_OK)
        fail_msg("%s", e.message);
    check_parts(&s.matching, specs, parts, count);
    model_source_close(&s);
}

static void turned_around(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        {"wte.weight", "F32", V, C},
        {"wpe.weight", "F32", 4, C},
        {"h.0.ln_1.weight", "F32", C, 0},
        {"h.0.ln_1.bias", "F32", C, 0},
        {"h.0.attn.c_attn.weight", "F32", C, 3 * C},
        {"h.0.attn.c_attn.bias", "F32", 3 * C, 0},
        {"h.0.attn.c_proj.weight", "F16", C, C},
        {"h.0.attn.c_proj.bias", "F32", C, 0},
        {"h.0.ln_2.weight", "F32", C, 0},
        {"h.0.ln_2.bias", "F32", C, 0},
        {"h.0.mlp.c_fc.weight", "F32", C, F},
        {"h.0.mlp.c_fc.bias", "F32", F, 0},
        {"h.0.mlp.c_proj.weight", "BF16", F, C},
        {"h.0.mlp.c_proj.bias", "F32", C, 0},
        {"ln_f.weight", "F32", C, 0},
        {"ln_f.bias", "F32", C, 0},
    };
    static const struct part parts[] = {
        {"embed.tokens.weight", 0, 0, false},         {"layers.0.attention.qkv.weight", 4, 0, true},
        {"layers.0.attention.qkv.bias", 5, 0, false}, {"layers.0.attention.out.weight", 6, 0, true},
        {"layers.0.mlp.up.weight", 10, 0, true},      {"layers.0.mlp.down.weight", 12, 0, true},
    };
    put_model("gpt2",
              "{\"model_type\":\"gpt2\",\"vocab_size\":800,\"n_positions\":4,\"n_embd\":360,"
              "\"n_layer\":1,\"n_head\":6}",
              specs, ARRAY_LEN(specs));
    check_model("gpt2", specs, parts, ARRAY_LEN(parts));
}

static void of_different_types(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        {"model.embed_tokens.weight", "F16", V, C},
        {"model.layers.0.input_layernorm.weight", "F32", C, 0},
        {"model.layers.0.self_attn.q_proj.weight", "BF16", C, C},
        {"model.layers.0.self_attn.k_proj.weight", "F16", C, C},
        {"model.layers.0.self_attn.v_proj.weight", "F32", C, C},
        {"model.layers.0.self_attn.o_proj.weight", "BF16", C, C},
        {"model.layers.0.post_attention_layernorm.weight", "F32", C, 0},
        {"model.layers.0.mlp.gate_proj.weight", "F16", MLP, C},
        {"model.layers.0.mlp.up_proj.weight", "BF16", MLP, C},
        {"model.layers.0.mlp.down_proj.weight", "F32", C, MLP},
        {"model.norm.weight", "F32", C, 0},
        {"lm_head.weight", "F32", V, C},
    };
    static const struct part parts[] = {
        {"embed.tokens.weight", 0, 0, false},
        {"layers.0.attention.qkv.weight", 2, 0, false},
        {"layers.0.attention.qkv.weight", 3, C, false},
        {"layers.0.attention.qkv.weight", 4, 2 * C, false},
        {"layers.0.attention.out.weight", 5, 0, false},
        {"layers.0.mlp.up.weight", 7, 0, false},
        {"layers.0.mlp.up.weight", 8, MLP, false},
        {"layers.0.mlp.down.weight", 9, 0, false},
        {"head.weight", 11, 0, false},
    };
    put_model("llama",
              "{\"model_type\":\"llama\",\"vocab_size\":800,\"max_position_embeddings\":4,"
              "\"hidden_size\":360,\"num_hidden_layers\":1,\"num_attention_heads\":6,"
              "\"intermediate_size\":800,\"hidden_act\":\"silu\"}",
              specs, ARRAY_LEN(specs));
    check_model("llama", specs, parts, ARRAY_LEN(parts));
}

/* llama.cpp's converter makes pairs (2 i, 2 i + 1) of what rotates together, where a model of
 * transformers has halves (i, D / 2 + i): rows of q and k come back to their places, of v stay. */
static void pairs_become_halves(void **state)
{
    (void)state;
    enum { WIDTH = 32, HEADS = 2, D = WIDTH / HEADS, Q = HEADS * D, K = D };
    struct errctx e = ERRCTX_INIT;
    struct model_source s;
    int64_t bad = 0;
    float *got = calloc((Q + 2 * K) * WIDTH, sizeof *got), *is = calloc(Q * WIDTH, sizeof *is);
    model_source_init(&s, NULL);
    if (source_open(&e, &s, gguf, SOURCE_GGUF) != ERR_OK) fail_msg("%s", e.message);
    const struct param *p = param_table_find(&s.matching.params, "layers.0.attention.qkv.weight");
    const int64_t i = p - s.matching.params.items;
    struct taken t = {.dtype = s.matching.items[i].dtype, .x = got};
    assert_int_equal(matching_read(&e, &s.matching, i, take, &t, &bad), ERR_OK);
    assert_int_equal(t.n, (Q + 2 * K) * WIDTH);
    static const char *const names[] = {"blk.0.attn_q.weight", "blk.0.attn_k.weight",
                                        "blk.0.attn_v.weight"};
    static const int rows[] = {Q, K, K};
    for (int part = 0, first = 0; part < 3; first += rows[part++]) {
        const struct tensor_entry *file = tensor_file_find(&s.tensors, names[part]);
        values_to_f32(file->dtype, file->data, rows[part] * WIDTH, is);
        for (int r = 0; r < rows[part]; r++) {
            const int in_head = r % D, half = in_head < D / 2;
            const int pair = half ? 2 * in_head : 2 * (in_head - D / 2) + 1;
            const int in_file = part == 2 ? r : r - in_head + pair;
            assert_memory_equal(got + (first + r) * WIDTH, is + in_file * WIDTH,
                                WIDTH * sizeof *is);
        }
    }
    free(got);
    free(is);
    model_source_close(&s);
}

static int enter(void **state)
{
    char folder[2048];
    if (!getcwd(folder, sizeof folder)) return -1;
    snprintf(gguf, sizeof gguf, "%s/tests/parity/gguf/llama.gguf", folder);
    return scratch_enter(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turned_around),
        cmocka_unit_test(of_different_types),
        cmocka_unit_test(pairs_become_halves),
    };
    return cmocka_run_group_tests(tests, enter, scratch_leave);
}
