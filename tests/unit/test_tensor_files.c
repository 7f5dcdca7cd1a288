/* SPDX-License-Identifier: Apache-2.0 */
/* test_tensor_files.c: files of tensors of other programs: the golden ones (tests/golden,
 * make_tensor_files.py) are read, and written again to the same bytes; cut or changed anywhere they
 * are bad input or another valid file; each rule of each format is broken once, and the message
 * says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/io.h"
#include "formats/gguf.h"
#include "formats/llama2c.h"
#include "formats/npy.h"
#include "formats/safetensors.h"
#include "tests/unit/scratch.h"

typedef enum err open_fn(struct errctx *, const char *, struct tensor_file *);

static struct golden {
    const char *name;
    open_fn *open;
    size_t count;
    struct bytes data;
} goldens[] = {
    {"tests/golden/tensors.safetensors", safetensors_open, 8, {0}},
    {"tests/golden/tensors.gguf", gguf_open, 12, {0}},
    {"tests/golden/tensors.npy", npy_open, 1, {0}},
    {"tests/golden/tensors.npz", npz_open, 2, {0}},
    {"tests/golden/llama2c.bin", llama2c_open, 23, {0}},
    {"tests/golden/aligned.gguf", gguf_open, 2, {0}},
};
enum { SAFETENSORS, GGUF, NPY, NPZ, LLAMA2C, ALIGNED };

static int setup(void **state)
{
    struct errctx e = ERRCTX_INIT;
    for (size_t i = 0; i < ARRAY_LEN(goldens); i++)
        if (io_slurp(&e, goldens[i].name, 1 << 20, &goldens[i].data) != ERR_OK) return -1;
    return scratch_enter(state);
}

static int teardown(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(goldens); i++) bytes_fini(&goldens[i].data);
    return scratch_leave(state);
}

static void put_file(const char *path, const void *data, size_t n)
{
    (void)unlink(
        path); /* a file that is cut to nothing and written again, ext4 puts on the disk at once */
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* The outcome of opening it: fine, or bad input with a message that names the file. */
static bool opens(open_fn *open, const char *path)
{
    struct errctx e = ERRCTX_INIT;
    struct tensor_file f;
    if (open(&e, path, &f) == ERR_OK) {
        uint64_t sum = 0;
        for (size_t i = 0; i < f.count; i++)
            for (size_t k = 0; k < f.entries[i].bytes; k++) sum += f.entries[i].data[k];
        assert_true(sum < UINT64_MAX);
        tensor_file_close(&f);
        return true;
    }
    if (e.code != ERR_INPUT) fail_msg("%d: %s", e.code, e.message);
    if (!strstr(e.message, path)) fail_msg("no file in: %s", e.message);
    return false;
}

static void refuses(open_fn *open, const char *path, const char *why)
{
    struct errctx e = ERRCTX_INIT;
    struct tensor_file f;
    if (open(&e, path, &f) == ERR_OK) fail_msg("accepted, not: %s", why);
    if (e.code != ERR_INPUT || !strstr(e.message, why)) fail_msg("%s\nis not: %s", e.message, why);
}

/* ------------------------------------------------------------------ what is right */

static void open_golden(int i, struct tensor_file *f)
{
    struct errctx e = ERRCTX_INIT;
    put_file("golden", goldens[i].data.data, goldens[i].data.len);
    if (goldens[i].open(&e, "golden", f) != ERR_OK) fail_msg("%s", e.message);
    assert_int_equal(f->count, goldens[i].count);
}

static void test_values_are_read(void **state)
{
    (void)state;
    struct tensor_file f;
    float x[2];
    double d;
    open_golden(SAFETENSORS, &f);
    const struct tensor_entry *t = tensor_file_find(&f, "b.f32");
    assert_true(t && t->dtype == DTYPE_F32 && t->dims == 2 && t->shape[0] == 3 && t->shape[1] == 4);
    assert_non_null(t = tensor_file_find(&f, "b.scalar"));
    memcpy(x, t->data, 4);
    assert_true(t->dims == 0 && x[0] == 3);
    assert_non_null(t = tensor_file_find(&f, "b.none"));
    assert_true(t->bytes == 0 && t->shape[1] == 3);
    assert_non_null(tensor_file_find(&f, "d.u8 \xc3\xa9\""));
    assert_null(tensor_file_find(&f, "b"));
    tensor_file_close(&f);
    open_golden(NPZ, &f);
    assert_non_null(t = tensor_file_find(&f, "second"));
    memcpy(&d, t->data, 8);
    assert_true(t->dtype == DTYPE_F64 && d == 1.5);
    tensor_file_close(&f);
    open_golden(LLAMA2C, &f);
    assert_non_null(t = tensor_file_find(&f, "layers.1.attention.wk.weight"));
    memcpy(x, t->data, 4);
    assert_true(t->shape[0] == 4 && t->shape[1] == 8 && x[0] == 80 + 16 + 128 + 32);
    assert_non_null(t = tensor_file_find(&f, "output.weight"));
    memcpy(x, t->data + t->bytes - 4, 4);
    assert_true(x[0] == (float)((goldens[LLAMA2C].data.len - 28) / 4 - 1));
    tensor_file_close(&f);
}

static void test_keys_of_gguf(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct tensor_file f;
    const struct mp_value *v;
    int64_t i;
    double d;
    open_golden(GGUF, &f);
    assert_int_equal(mp_get_int(&e, &f.meta, "x.int64", INT64_MIN, 0, &i), ERR_OK);
    assert_true(i == -((int64_t)1 << 40));
    assert_int_equal(mp_get_real(&e, &f.meta, "x.float64", &d), ERR_OK);
    assert_true(d == 0.1);
    assert_true(mp_get(&f.meta, "x.uint64")->as.u == (uint64_t)1 << 63);
    assert_string_equal(mp_get(&f.meta, "x.string")->as.bytes.data, "caf\xc3\xa9");
    assert_string_equal(mp_get(&f.types, "x.uint8")->as.bytes.data, "u8");
    assert_string_equal(mp_get(&f.types, "x.texts")->as.bytes.data, "[str]");
    v = mp_get(&f.meta, "x.nested");
    assert_true(v->type == MP_ARRAY && v->as.list.count == 2);
    assert_true(v->as.list.items[1].as.list.items[0].as.u == 3);
    v = mp_get(&f.types, "x.nested");
    assert_string_equal(v->as.list.items[0].as.bytes.data, "[i32]");
    const struct tensor_entry *t = tensor_file_find(&f, "q6_k");
    assert_true(t->dtype == DTYPE_Q6_K && t->shape[0] == 1 && t->shape[1] == 256);
    tensor_file_release(t, 0, t->bytes);
    assert_int_equal(t->data[5], 5);
    tensor_file_close(&f);
}

/* In the order of their places in the file. */
static int by_place(const void *a, const void *b)
{
    const struct tensor_entry *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static void test_written_again_is_the_same(void **state)
{
    (void)state;
    for (int i = SAFETENSORS; i <= GGUF; i++) {
        struct errctx e = ERRCTX_INIT;
        struct tensor_file f;
        struct tensor_out w;
        struct bytes again = {0};
        open_golden(i, &f);
        qsort(f.entries, f.count, sizeof *f.entries, by_place);
        if (i == GGUF)
            (void)!gguf_create(&e, "again", f.entries, f.count, &f.meta, &f.types, &w);
        else
            (void)!safetensors_create(&e, "again", f.entries, f.count, &f.meta, &w);
        for (size_t k = 0; e.code == ERR_OK && k < f.count; k++) {
            const struct tensor_entry *t = &f.entries[k];
            const size_t half = t->bytes / 2;
            (void)!tensor_out_write(&e, &w, t->data, half);
            (void)!tensor_out_write(&e, &w, t->data + half, t->bytes - half);
        }
        (void)!tensor_out_commit(&e, &w);
        if (e.code != ERR_OK) fail_msg("%s", e.message);
        assert_int_equal(io_slurp(&e, "again", 1 << 20, &again), ERR_OK);
        assert_int_equal(again.len, goldens[i].data.len);
        assert_memory_equal(again.data, goldens[i].data.data, again.len);
        bytes_fini(&again);
        tensor_file_close(&f);
    }
}

static void test_missing_bytes_are_not_committed(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct tensor_out w;
    const struct tensor_entry t = {.name = "w", .dtype = DTYPE_F32, .dims = 1, .shape = {2}};
    assert_int_equal(safetensors_create(&e, "short", &t, 1, NULL, &w), ERR_OK);
    assert_int_equal(tensor_out_write(&e, &w, "abcd", 4), ERR_OK);
    assert_int_equal(tensor_out_commit(&e, &w), ERR_IO);
    assert_null(fopen("short", "rb"));
    e = ERRCTX_INIT;
    const struct tensor_entry q = {.name = "w", .dtype = DTYPE_Q8_0, .dims = 1, .shape = {32}};
    assert_int_equal(safetensors_create(&e, "short", &q, 1, NULL, &w), ERR_USAGE);
    e = ERRCTX_INIT;
    const struct tensor_entry u = {.name = "w", .dtype = DTYPE_U32, .dims = 1, .shape = {32}};
    struct mp_value meta;
    mp_map_init(&meta);
    assert_int_equal(gguf_create(&e, "short", &u, 1, &meta, NULL, &w), ERR_USAGE);
}

/* ------------------------------------------------------------------ damage */

static void test_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(goldens); i++)
        for (size_t n = 0; n < goldens[i].data.len; n++) {
            put_file("cut", goldens[i].data.data, n);
            /* What pads the last tensor of a GGUF may be missing. */
            const size_t padding = i == GGUF ? 32 : i == ALIGNED ? 64 - 7 : 0;
            if (opens(goldens[i].open, "cut") && goldens[i].data.len - n >= padding)
                fail_msg("%s cut to %zu bytes is accepted", goldens[i].name, n);
        }
}

static void test_changed_anywhere(void **state)
{
    (void)state;
    static const uint8_t changes[] = {0x01, 0x80, 0xff};
    for (size_t i = 0; i < ARRAY_LEN(goldens); i++)
        for (size_t at = 0; at < goldens[i].data.len; at++)
            for (size_t k = 0; k < ARRAY_LEN(changes); k++) {
                goldens[i].data.data[at] ^= changes[k];
                put_file("changed", goldens[i].data.data, goldens[i].data.len);
                opens(goldens[i].open, "changed");
                goldens[i].data.data[at] ^= changes[k];
            }
}

/* ------------------------------------------------------------------ safetensors, rule by rule */

static void put_safetensors(const char *path, const char *header, size_t data)
{
    const uint64_t n = strlen(header);
    static const char zeros[64];
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(&n, 1, sizeof n, f);
    fwrite(header, 1, n, f);
    fwrite(zeros, 1, data, f);
    assert_int_equal(fclose(f), 0);
}

#define W(fields)   "{\"w\":{" fields "}}"
#define PLACE(a, b) "\"data_offsets\":[" #a "," #b "]"
#define F32_2       "\"dtype\":\"F32\",\"shape\":[2],"

static void test_rules_of_safetensors(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *why; /* NULL: it is right */
    } cases[] = {
        {W(F32_2 PLACE(0, 8)), 8, NULL},
        {W(F32_2 PLACE(0, 8)) "   ", 8, NULL},
        {"{}", 0, NULL},
        {"{\"__metadata__\":{\"a\":\"b\"}}", 0, NULL},
        {W(F32_2 PLACE(0, 8)) "\n", 8, "from '{' to '}'"},
        {" " W(F32_2 PLACE(0, 8)), 8, "from '{' to '}'"},
        {"[]", 0, "from '{' to '}'"},
        {"{\"w\":}", 0, "byte "},
        {"{\"__metadata__\":{\"a\":1}}", 0, "'a' is not a string"},
        {"{\"__metadata__\":[]}", 0, "not an object"},
        {"{\"a\":{" F32_2 PLACE(0, 8) "},\"a\":{" F32_2 PLACE(8, 16) "}}", 16, "duplicate"},
        {"{\"w\":1}", 0, "is not an object"},
        {W("\"dtype\":\"F8_E4M3\",\"shape\":[2]," PLACE(0, 2)), 2, "'F8_E4M3', which graft has no"},
        {W("\"dtype\":\"Q8_0\",\"shape\":[32]," PLACE(0, 34)), 34, "'Q8_0', which graft has no"},
        {W("\"dtype\":1,\"shape\":[2]," PLACE(0, 2)), 2, "dtype is not a string"},
        {W("\"shape\":[2]," PLACE(0, 2)), 2, "dtype is not a string"},
        {W("\"dtype\":\"F32\"," PLACE(0, 8)), 8, "shape is not a list"},
        {W("\"dtype\":\"F32\",\"shape\":[-2]," PLACE(0, 8)), 8, "shape[0]"},
        {W("\"dtype\":\"F32\",\"shape\":[2.0]," PLACE(0, 8)), 8, "shape[0]"},
        {W("\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1]," PLACE(0, 1)), 1, "at most 8"},
        {W("\"dtype\":\"F32\",\"shape\":[4611686018427387904,4]," PLACE(0, 8)), 8, "too large"},
        {W("\"dtype\":\"F32\",\"shape\":[2]"), 8, "not two numbers"},
        {W(F32_2 "\"data_offsets\":[0]"), 8, "not two numbers"},
        {W(F32_2 PLACE(-1, 7)), 8, "data_offsets[0]"},
        {W(F32_2 PLACE(8, 0)), 8, "before they begin"},
        {W(F32_2 PLACE(0, 12)), 12, "hold 12 bytes"},
        {W(F32_2 PLACE(0, 8)), 7, "ends behind the file"},
        {W(F32_2 PLACE(0, 8)), 9, "belong to no tensor"},
        {W(F32_2 PLACE(1, 9)), 9, "a gap"},
        {W(F32_2 "\"note\":1," PLACE(0, 8)), 8, "field 'note'"},
        {"{\"a\":{" F32_2 PLACE(0, 8) "},\"b\":{" F32_2 PLACE(4, 12) "}}", 12, "inside the one"},
        {"{\"\":{" F32_2 PLACE(0, 8) "}}", 8, "name has 0 bytes"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        put_safetensors("rule", cases[i].header, cases[i].data);
        if (cases[i].why)
            refuses(safetensors_open, "rule", cases[i].why);
        else if (!opens(safetensors_open, "rule"))
            fail_msg("refused: %s", cases[i].header);
    }
    put_file("rule", "\377\377\377\377\0\0\0\0{}", 10);
    refuses(safetensors_open, "rule", "a header of 4294967295 bytes");
    put_file("rule", "PK\3\4abcdefgh", 12);
    refuses(safetensors_open, "rule", "safetensors.torch");
    put_file("rule", "\x80\2}q\0.", 6);
    refuses(safetensors_open, "rule", "a PyTorch pickle");
}

static void test_shards(void **state)
{
    (void)state;
    static const struct {
        const char *map;
        const char *why;
    } cases[] = {
        {"\"a\":\"s1\",\"b\":\"s2\"", NULL},
        {"\"a\":\"../s1\",\"b\":\"s2\"", "'../s1', which is not a plain file name"},
        {"\"a\":\"/etc/passwd\"", "not a plain"},
        {"\"a\":\"..\"", "not a plain"},
        {"\"a\":1", "not a plain"},
        {"\"a\":\"s1\"", NULL},
        {"\"b\":\"s2\",\"b\":\"s1\"", "duplicate"},
        {"\"b\":\"s2\",\"c\":\"s1\"", "'c' is not in 's1'"},
        {"\"b\":\"s2\",\"a\":\"s2\"", "'a' is not in 's2'"},
        {"", "missing or empty"},
        {"\"a\":\"s1\",\"a2\":\"s3\"", "'a' is there twice"},
        {"\"a\":\"s9\"", "there is no file 's9'"},
        {"\"x\":\"s4\"", "'y' of 's4' is missing"},
    };
    char text[256];
    put_safetensors("s1", "{\"a\":{" F32_2 PLACE(0, 8) "}}", 8);
    put_safetensors("s2", "{\"b\":{" F32_2 PLACE(0, 8) "}}", 8);
    put_safetensors("s3", "{\"a\":{" F32_2 PLACE(0, 8) "}}", 8);
    put_safetensors("s4", "{\"x\":{" F32_2 PLACE(0, 8) "},\"y\":{" F32_2 PLACE(8, 16) "}}", 16);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(text, sizeof text, "{\"metadata\":{},\"weight_map\":{%s}}", cases[i].map);
        put_file("index.json", text, strlen(text));
        if (cases[i].why)
            refuses(safetensors_open, "index.json", cases[i].why);
        else
            assert_true(opens(safetensors_open, "index.json"));
    }
    struct errctx e = ERRCTX_INIT;
    const char *const files[] = {"s4", "s4"};
    const struct tensor_entry t[] = {
        {.name = "x", .dtype = DTYPE_F32, .dims = 1, .shape = {2}},
        {.name = "y", .dtype = DTYPE_F32, .dims = 1, .shape = {2}},
    };
    assert_int_equal(safetensors_write_index(&e, "made.json", t, 2, files), ERR_OK);
    assert_true(opens(safetensors_open, "made.json"));
}

/* ------------------------------------------------------------------ GGUF, rule by rule */

struct maker {
    uint8_t data[1024];
    size_t n;
};

static void add(struct maker *m, const void *data, size_t n)
{
    assert_true(m->n + n <= sizeof m->data);
    memcpy(m->data + m->n, data, n);
    m->n += n;
}
static void add_u32(struct maker *m, uint32_t v)
{
    add(m, &v, 4);
}
static void add_u64(struct maker *m, uint64_t v)
{
    add(m, &v, 8);
}
static void add_text(struct maker *m, const char *s)
{
    add_u64(m, strlen(s));
    add(m, s, strlen(s));
}
static void head(struct maker *m, uint64_t tensors, uint64_t keys)
{
    m->n = 0;
    add(m, "GGUF", 4);
    add_u32(m, 3);
    add_u64(m, tensors);
    add_u64(m, keys);
}
static void tensor(struct maker *m, const char *name, uint64_t size, uint32_t type, uint64_t offset)
{
    add_text(m, name);
    add_u32(m, 1);
    add_u64(m, size);
    add_u32(m, type);
    add_u64(m, offset);
}
static void space(struct maker *m, size_t align, size_t more)
{
    static const uint8_t zeros[256];
    add(m, zeros, (align - m->n % align) % align + more);
}
static void gguf_refuses(struct maker *m, const char *why)
{
    put_file("rule.gguf", m->data, m->n);
    refuses(gguf_open, "rule.gguf", why);
}

static void test_rules_of_gguf(void **state)
{
    (void)state;
    struct maker m;
    head(&m, 0, 0);
    m.data[4] = 1;
    gguf_refuses(&m, "version 1 of GGUF is not read");
    memcpy(m.data + 4, "\0\0\0\3", 4);
    gguf_refuses(&m, "big-endian");
    memcpy(m.data, "GGML", 4);
    gguf_refuses(&m, "does not begin with 'GGUF'");
    head(&m, 0, 2000);
    gguf_refuses(&m, "more keys");
    head(&m, 0, 1);
    add_text(&m, "");
    gguf_refuses(&m, "a key that is empty");
    head(&m, 0, 1);
    add_text(&m, "k");
    add_u32(&m, 13);
    gguf_refuses(&m, "key 'k': type 13");
    head(&m, 0, 1);
    add_text(&m, "k");
    add_u32(&m, 7);
    add(&m, "\2", 1);
    gguf_refuses(&m, "neither 0 nor 1");
    head(&m, 0, 1);
    add_text(&m, "k");
    add_u32(&m, 8);
    add_u64(&m, UINT64_MAX);
    gguf_refuses(&m, "a string that is longer");
    head(&m, 0, 1);
    add_text(&m, "k");
    add_u32(&m, 9);
    add_u32(&m, 4);
    add_u64(&m, (uint64_t)1 << 40);
    gguf_refuses(&m, "an array that is longer");
    head(&m, 0, 1);
    add_text(&m, "k");
    add_u32(&m, 9);
    for (int i = 0; i < 12; i++) {
        add_u32(&m, 9);
        add_u64(&m, 1);
    }
    add_u64(&m, 0);
    add_u64(&m, 0);
    gguf_refuses(&m, "nested too deeply");
    head(&m, 0, 2);
    for (int i = 0; i < 2; i++) {
        add_text(&m, "k");
        add_u32(&m, 4);
        add_u32(&m, 1);
    }
    gguf_refuses(&m, "there twice");
    head(&m, 1, 1);
    add_text(&m, "general.alignment");
    add_u32(&m, 4);
    add_u32(&m, 24);
    gguf_refuses(&m, "not a power of two");
    head(&m, 0, 1);
    add_text(&m, "split.count");
    add_u32(&m, 2);
    add(&m, "\3", 2);
    gguf_refuses(&m, "one of 3 parts");
}

static void test_rules_of_ggufs_tensors(void **state)
{
    (void)state;
    struct maker m;
    static const struct {
        const char *name;
        uint64_t size;
        uint32_t type;
        uint64_t offset;
        size_t data;
        const char *why;
    } cases[] = {
        {"w", 8, 0, 0, 32, NULL},
        {"w", 32, 8, 0, 34, NULL},
        {"w", 8, 10, 0, 32, "'w' is of type Q2_K, which graft does not read"},
        {"w", 8, 99, 0, 32, "type 99, which is not known"},
        {"w", 33, 8, 0, 68, "not whole blocks of 32"},
        {"w", (uint64_t)1 << 63, 0, 0, 32, "a dimension that is too large"},
        {"w", (uint64_t)1 << 62, 0, 0, 32, "too large"},
        {"w", 8, 0, 0, 31, "ends behind the file"},
        {"w", 8, 0, 32, 64, "a gap"},
        {"w", 8, 0, UINT64_MAX - 31, 32, "ends behind the file"},
        {"w", 8, 0, 0, 65, "belong to no tensor"},
        {"", 8, 0, 0, 32, "it is empty"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        head(&m, 1, 0);
        tensor(&m, cases[i].name, cases[i].size, cases[i].type, cases[i].offset);
        space(&m, 32, cases[i].data);
        put_file("rule.gguf", m.data, m.n);
        if (cases[i].why)
            refuses(gguf_open, "rule.gguf", cases[i].why);
        else
            assert_true(opens(gguf_open, "rule.gguf"));
    }
    head(&m, 2, 0);
    tensor(&m, "a", 8, 0, 0);
    tensor(&m, "b", 8, 0, 0);
    space(&m, 32, 64);
    gguf_refuses(&m, "inside the one before it");
    head(&m, 2, 0);
    tensor(&m, "a", 8, 0, 0);
    tensor(&m, "a", 8, 0, 32);
    space(&m, 32, 64);
    gguf_refuses(&m, "'a' is there twice");
    head(&m, (uint64_t)1 << 60, 0);
    gguf_refuses(&m, "the file ends here");
    head(&m, 1, 0);
    add_text(&m, "w");
    add_u32(&m, 5);
    gguf_refuses(&m, "more than 4 dimensions");
}

/* ------------------------------------------------------------------ NumPy and llama2.c */

static void test_rules_of_npy(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        const char *why;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", NULL},
        {"{\"shape\":(1,2),\"fortran_order\":False,\"descr\":\"<f4\"}\n", NULL},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2,)}", NULL},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2)}", "ascontiguousarray"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}", "'>f4' is of a type that graft "
                                                                    "does not read: big-endian"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "'|O'"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "records"},
        {"{'descr': '<f4', 'fortran_order': False}", "lacks"},
        {"{'descr': '<f4', 'descr': '<f4'}", "there twice"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "ends behind"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "say 4"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} 1", "behind the dictionary"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 2}", "not a tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "a dimension is wanted"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "too large"},
        {"{'descr': '<f4", "does not end"},
        {"[]", "no dictionary"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct maker m = {.n = 0};
        const uint16_t n = (uint16_t)strlen(cases[i].header);
        add(&m, "\x93NUMPY\1\0", 8);
        add(&m, &n, 2);
        add(&m, cases[i].header, n);
        add(&m, "12345678", 8);
        put_file("rule.npy", m.data, m.n);
        if (cases[i].why)
            refuses(npy_open, "rule.npy", cases[i].why);
        else
            assert_true(opens(npy_open, "rule.npy"));
    }
    put_file("rule.npy", "\x93NUMPY\4\0", 8);
    refuses(npy_open, "rule.npy", "version 4.0 is not read");
    put_file("rule.npz", "PK", 2);
    refuses(npz_open, "rule.npz", "no zip archive");
}

static void test_damaged_member(void **state)
{
    (void)state;
    struct bytes *b = &goldens[NPZ].data;
    const uint8_t *shape = memmem(b->data, b->len, "'shape'", 7);
    assert_non_null(shape);
    b->data[shape - b->data] ^= 1;
    put_file("rule.npz", b->data, b->len);
    b->data[shape - b->data] ^= 1;
    refuses(npz_open, "rule.npz", "check sum");
}

static void test_rules_of_llama2c(void **state)
{
    (void)state;
    struct bytes *b = &goldens[LLAMA2C].data;
    put_file("rule.bin", b->data, b->len - 4);
    refuses(llama2c_open, "rule.bin", "ends behind the file");
    put_file("rule.bin", "24ka\1\0\0\0aaaaaaaaaaaaaaaaaaaa", 28);
    refuses(llama2c_open, "rule.bin", "--version 0");
    const uint8_t heads = b->data[12];
    b->data[12] = 0;
    put_file("rule.bin", b->data, b->len);
    refuses(llama2c_open, "rule.bin", "n_heads is 0");
    b->data[12] = 3;
    put_file("rule.bin", b->data, b->len);
    refuses(llama2c_open, "rule.bin", "do not divide");
    b->data[12] = heads;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_read),
        cmocka_unit_test(test_keys_of_gguf),
        cmocka_unit_test(test_written_again_is_the_same),
        cmocka_unit_test(test_missing_bytes_are_not_committed),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_changed_anywhere),
        cmocka_unit_test(test_rules_of_safetensors),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_rules_of_gguf),
        cmocka_unit_test(test_rules_of_ggufs_tensors),
        cmocka_unit_test(test_rules_of_npy),
        cmocka_unit_test(test_damaged_member),
        cmocka_unit_test(test_rules_of_llama2c),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
