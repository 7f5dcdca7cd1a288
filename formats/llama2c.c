/* SPDX-License-Identifier: Apache-2.0 */
/* llama2c.c: see llama2c.h. The sizes follow from the header, and so must the file's. */
#include "formats/llama2c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, SEQUENCE, FIELDS };
enum { LIMIT = 1 << 24, LAYERS_LIMIT = 1 << 16 };

static const char *const fields[FIELDS] = {"dim",        "hidden_dim", "n_layers",   "n_heads",
                                           "n_kv_heads", "vocab_size", "max_seq_len"};

struct llama2c {
    struct errctx *e;
    struct tensor_file *f;
    int64_t n[FIELDS];
    bool shared;
    uint64_t at;
};

static enum err read_header(struct llama2c *c)
{
    const struct tensor_map *m = &c->f->files[0];
    int32_t v[FIELDS];
    if (m->bytes < sizeof v)
        return err_set(c->e, ERR_INPUT, "byte %zu: the file ends in its header of %zu bytes",
                       m->bytes, sizeof v);
    if (!memcmp(m->data, "24ka", 4))
        return err_set(c->e, ERR_INPUT,
                       "byte 0: a later form of llama2.c's file; export it with --version 0");
    memcpy(v, m->data, sizeof v);
    c->shared = v[VOCAB] > 0;
    for (int i = 0; i < FIELDS; i++) {
        c->n[i] = i == VOCAB && v[i] < 0 ? -(int64_t)v[i] : v[i];
        if (c->n[i] < 1 || c->n[i] > (i == LAYERS ? LAYERS_LIMIT : LIMIT))
            return err_set(c->e, ERR_INPUT, "byte %d: %s is %" PRId32 "; is this llama2.c's file?",
                           i * 4, fields[i], v[i]);
    }
    if (c->n[DIM] % (2 * c->n[HEADS]) || c->n[HEADS] % c->n[KV_HEADS])
        return err_set(c->e, ERR_INPUT,
                       "byte 12: %" PRId64 " heads and %" PRId64
                       " for keys do not divide a width of %" PRId64 " in even sizes",
                       c->n[HEADS], c->n[KV_HEADS], c->n[DIM]);
    c->at = sizeof v;
    return ERR_OK;
}

/* One tensor, or one of each layer: NAME or layers.I.NAME. columns 0: a vector. */
static enum err add(struct llama2c *c, bool of_layers, const char *name, int64_t rows,
                    int64_t columns)
{
    const int64_t shape[2] = {rows, columns};
    char full[96];
    for (int64_t i = 0; i < (of_layers ? c->n[LAYERS] : 1); i++) {
        if (of_layers)
            snprintf(full, sizeof full, "layers.%" PRId64 ".%s.weight", i, name);
        else
            snprintf(full, sizeof full, "%s", name);
        TRY(tensor_file_add(c->e, c->f, 0, full, strlen(full), DTYPE_F32, columns ? 2 : 1, shape,
                            c->at));
        c->at += c->f->entries[c->f->count - 1].bytes;
    }
    return ERR_OK;
}

static enum err add_all(struct llama2c *c)
{
    const int64_t dim = c->n[DIM], hidden = c->n[HIDDEN], head = dim / c->n[HEADS];
    const int64_t kv = head * c->n[KV_HEADS];
    TRY(add(c, false, "tok_embeddings.weight", c->n[VOCAB], dim));
    TRY(add(c, true, "attention_norm", dim, 0));
    TRY(add(c, true, "attention.wq", dim, dim));
    TRY(add(c, true, "attention.wk", kv, dim));
    TRY(add(c, true, "attention.wv", kv, dim));
    TRY(add(c, true, "attention.wo", dim, dim));
    TRY(add(c, true, "ffn_norm", dim, 0));
    TRY(add(c, true, "feed_forward.w1", hidden, dim));
    TRY(add(c, true, "feed_forward.w2", dim, hidden));
    TRY(add(c, true, "feed_forward.w3", hidden, dim));
    TRY(add(c, false, "norm.weight", dim, 0));
    TRY(add(c, false, "freqs_cos", c->n[SEQUENCE], head / 2));
    TRY(add(c, false, "freqs_sin", c->n[SEQUENCE], head / 2));
    if (!c->shared) TRY(add(c, false, "output.weight", c->n[VOCAB], dim));
    const size_t bytes = c->f->files[0].bytes;
    if (c->at != bytes)
        return err_set(c->e, ERR_INPUT,
                       "byte %" PRIu64 ": the tensors end here, but the file has %zu bytes", c->at,
                       bytes);
    return tensor_file_sort(c->e, c->f);
}

static enum err read_file(struct llama2c *c)
{
    TRY(read_header(c));
    for (int i = 0; i < FIELDS; i++) TRY(mp_set_int(c->e, &c->f->meta, fields[i], c->n[i]));
    TRY(mp_set_bool(c->e, &c->f->meta, "shared_classifier", c->shared));
    return add_all(c);
}

enum err llama2c_open(struct errctx *e, const char *path, struct tensor_file *f)
{
    struct llama2c c = {.e = e, .f = f};
    size_t index;
    tensor_file_init(f);
    enum err code = tensor_file_map(e, f, path, &index);
    if (code == ERR_OK && tensor_file_is_pickle(f->files[0].data, f->files[0].bytes))
        code = tensor_file_refuse_pickle(e, path);
    else if (code == ERR_OK && read_file(&c) != ERR_OK)
        code = err_prefix(e, "'%s'", path);
    if (code != ERR_OK) tensor_file_close(f);
    return code;
}
