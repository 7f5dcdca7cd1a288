/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tokenizer.c: any bytes as a tokenizer file and a text for it:
 *
 *     u16 n, meta (msgpack, n bytes), u8 count, count * tensor, text
 *     tensor = u8 name, u8 dtype, u8 dims, dims * u16, data
 *
 * made into a sound stream of kind tokenizer. Laws: a tokenizer that is accepted compiles, encodes
 * every text to ids it has, and decodes them; written again, by itself or into a model, it is the
 * same. */
#include <string.h>

#include "common/text/tokenizer_run.h"
#include "common/text/utf8.h"
#include "formats/stream.h"
#include "formats/tokenizer.h"
#include "tests/fuzz/fuzz.h"

enum { TENSORS = 6, DIMS = 2, ELEMENTS = 1 << 16, TEXT = 4096 };

struct tensor {
    int64_t elements;
    const uint8_t *data;
    size_t bytes;
};

/* Declares the next tensor of the input; what it lacks of its data is zero. */
static void take_tensor(struct errctx *e, struct fuzz_input *in, struct stream_begin *b,
                        struct tensor *t)
{
    static const char *const names[] = {"vocab.bytes", "vocab.start", "vocab.flags",
                                        "merges",      "scores",      "other"};
    static const enum dtype dtypes[] = {DTYPE_U8, DTYPE_U64, DTYPE_U32, DTYPE_F32, DTYPE_U16};
    const char *name = names[fuzz_number(in, 1) % ARRAY_LEN(names)];
    enum dtype type = dtypes[fuzz_number(in, 1) % ARRAY_LEN(dtypes)];
    int dims = (int)(fuzz_number(in, 1) % (DIMS + 1));
    int64_t shape[DIMS] = {0};
    t->elements = 1;
    for (int i = 0; i < dims; i++) {
        shape[i] = fuzz_number(in, 2);
        t->elements *= shape[i];
    }
    if (t->elements > ELEMENTS) {
        shape[0] = dims > 1 ? 0 : ELEMENTS;
        t->elements = dims > 1 ? 0 : ELEMENTS;
    }
    t->data = fuzz_bytes(in, (size_t)t->elements * dtype_size(type), &t->bytes);
    (void)!stream_begin_tensor(e, b, name, type, dims, shape);
}

static void write_tensors(struct errctx *e, struct stream_writer *w, const struct stream_begin *b,
                          const struct tensor *tensors)
{
    for (int64_t i = 0; e->code == ERR_OK && i < b->tensors_count; i++) {
        struct bytes full = {0};
        size_t need = (size_t)tensors[i].elements * dtype_size(b->tensors[i].dtype);
        if (bytes_append(e, &full, tensors[i].data, tensors[i].bytes) == ERR_OK &&
            bytes_reserve(e, &full, need + 1) == ERR_OK) {
            memset(full.data + full.len, 0, need - full.len);
            if (need) (void)!stream_writer_tensor(e, w, i, full.data, tensors[i].elements);
        }
        bytes_fini(&full);
    }
}

/* The stream of the input; false when it cannot be one. */
static bool make_stream(struct fuzz_input *in, const char *path)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_begin b;
    struct stream_writer *w = NULL;
    struct stream_writer_cfg cfg = {.level = -100};
    struct tensor tensors[TENSORS];
    size_t n;
    const uint8_t *meta = fuzz_bytes(in, fuzz_number(in, 2), &n);
    stream_begin_init(&b, STREAM_TOKENIZER);
    mp_fini(&b.meta);
    mp_map_init(&b.meta);
    struct mp_value v;
    if (mp_decode(&e, meta, n, &v) == ERR_OK) {
        if (v.type == MP_MAP)
            b.meta = v;
        else
            mp_fini(&v);
    }
    uint32_t count = fuzz_number(in, 1) % (TENSORS + 1);
    for (uint32_t i = 0; e.code == ERR_OK && i < count; i++) take_tensor(&e, in, &b, &tensors[i]);
    if (e.code == ERR_OK) (void)!stream_writer_open(&e, NULL, path, &b, &cfg, &w);
    if (e.code == ERR_OK) write_tensors(&e, w, &b, tensors);
    if (e.code == ERR_OK)
        (void)!stream_writer_commit(&e, w);
    else
        stream_writer_abort(w);
    stream_begin_fini(&b);
    return e.code == ERR_OK;
}

static void use(const struct tokenizer *t, int64_t vocab, const struct fuzz_input *in)
{
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_scratch *s;
    struct bytes text = {0}, back = {0};
    struct id_list ids = {0};
    struct offset_list ends = {0};
    fuzz_demand(tokenizer_scratch_new(&e, t, &s) == ERR_OK, "scratch can be had");
    fuzz_demand(utf8_append_replaced(&e, in->data, in->n < TEXT ? in->n : TEXT, &text) == ERR_OK,
                "text can be made valid");
    (void)!tokenizer_encode(&e, t, s, (const char *)text.data, text.len, true, &ids, &ends);
    fuzz_demand_outcome(&e, false);
    for (size_t i = 0; i < ids.count; i++) {
        fuzz_demand(ids.data[i] < vocab, "every id is in the vocabulary");
        fuzz_demand(ends.data[i] <= text.len && (i == 0 || ends.data[i] >= ends.data[i - 1]),
                    "ids end in order within the text");
    }
    if (e.code == ERR_OK)
        fuzz_demand(tokenizer_decode(&e, t, ids.data, ids.count, true, &back) == ERR_OK,
                    "what was encoded can be decoded");
    mem_free(ids.data);
    mem_free(ends.data);
    bytes_fini(&text);
    bytes_fini(&back);
    tokenizer_scratch_free(s);
}

/* ---- written again ---- */

/* A tokenizer stream of the specification, or a model that holds it among other tensors. */
static const char *write_again(const struct tokenizer_spec *spec, bool model)
{
    static const int64_t two = 2;
    struct errctx e = ERRCTX_INIT;
    struct stream_begin b;
    struct stream_writer *w;
    struct stream_writer_cfg cfg = {.level = -100};
    const char *path = fuzz_file(NULL, 0);
    int64_t first = 0;
    if (model) {
        stream_begin_init(&b, STREAM_MODEL);
        (void)!stream_begin_tensor(&e, &b, "before", DTYPE_U8, 1, &two);
        (void)!tokenizer_spec_declare(&e, spec, "tokenizer.", &b, &first);
        (void)!stream_begin_tensor(&e, &b, "tokenizer.other", DTYPE_U8, 1, &two);
    } else {
        (void)!tokenizer_spec_begin(&e, spec, &b);
    }
    fuzz_demand(e.code == ERR_OK, "what was accepted can be declared");
    fuzz_demand(stream_writer_open(&e, NULL, path, &b, &cfg, &w) == ERR_OK, "and written");
    if (model) (void)!stream_writer_tensor(&e, w, 0, "ab", 2);
    (void)!tokenizer_spec_write(&e, spec, w, first);
    if (model) (void)!stream_writer_tensor(&e, w, b.tensors_count - 1, "cd", 2);
    fuzz_demand(stream_writer_commit(&e, w) == ERR_OK, "to its end");
    stream_begin_fini(&b);
    return path;
}

static void demand_same_again(const struct tokenizer_spec *spec, bool model)
{
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_spec again;
    uint8_t a[16], b[16];
    const char *path = write_again(spec, model);
    if (tokenizer_spec_load(&e, NULL, path, &again) != ERR_OK) fuzz_demand(false, e.message);
    tokenizer_spec_id(spec, a);
    tokenizer_spec_id(&again, b);
    fuzz_demand(memcmp(a, b, sizeof a) == 0, "what is read again is the same tokenizer");
    fuzz_demand(tokenizer_spec_is_encoder(spec) == tokenizer_spec_is_encoder(&again) &&
                    tokenizer_spec_special(spec, "eos") == tokenizer_spec_special(&again, "eos"),
                "and is used in the same way");
    tokenizer_spec_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = {data, n};
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_spec spec;
    struct tokenizer *t;
    const char *path = fuzz_file(NULL, 0);
    if (!make_stream(&in, path)) return 0;
    if (tokenizer_spec_load(&e, NULL, path, &spec) == ERR_OK) {
        demand_same_again(&spec, false);
        demand_same_again(&spec, true);
        if (tokenizer_new(&e, &spec, &t) == ERR_OK) {
            use(t, spec.vocab, &in);
            tokenizer_free(t);
        }
        tokenizer_spec_fini(&spec);
    }
    fuzz_demand_outcome(&e, false);
    return 0;
}
