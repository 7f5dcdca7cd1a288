/* SPDX-License-Identifier: Apache-2.0 */
/* family.h: a family of models in files of other programs, as two tables: what each key of its
 * configuration is, and what each of its tensors is. Reading and writing go by the same tables.
 *
 * A key or a tensor that is in no table stops the import with its name: what is not understood
 * might change every number.
 *
 * A family is added by a file like family_llama.c and a line in family.c. */
#ifndef GRAFT_CONVERT_FAMILY_H
#define GRAFT_CONVERT_FAMILY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "common/convert/findings.h"
#include "common/model/config.h"

/* A configuration as files have it: graft's fields, and what becomes one only together with other
 * keys. */
struct family_config {
    struct model_config c;
    int64_t positions;   /* places the position table has, or was trained for */
    int64_t pad;         /* id of the padding token */
    int64_t window;      /* as written; 0: none */
    bool use_window;     /* else `window` means nothing */
    int64_t window_from; /* first layer that has it */
    double rope_theta, partial_rotary;
    int64_t original;          /* context of the first training, outside of `rope`; 0: not said */
    int64_t query_scale;       /* attention_scale = query_scale^-1/2; 0: head_size's */
    const json_t *rope;        /* rope_parameters or rope_scaling; NULL */
    const json_t *layer_types; /* NULL */
    /* Of GGUF: */
    const json_t *scaling;                              /* name of the scaling of rope; NULL */
    int64_t value_size;                                 /* of a head; 0: not said */
    double attention, log_multiplier;                   /* yarn, longrope; 0: not said */
    const json_t *freqs, *short_factors, *long_factors; /* tensors of divisors; NULL */
};

enum key_kind {
    KEY_INT,
    KEY_REAL,
    KEY_BOOL,
    KEY_ACT,     /* name of an activation */
    KEY_JSON,    /* const json_t *: looked at by `finish` */
    KEY_MUST,    /* has to be one of the values `must` */
    KEY_NOTHING, /* changes no number that is computed from a trained model */
};

struct key_rule {
    const char *key;
    enum key_kind kind;
    size_t offset;    /* in struct family_config */
    const char *must; /* KEY_MUST: JSON texts, '|' between; the first is the one that is written */
    enum key_use {
        KEY_OPTIONAL, /* absent: the family's `base`; null: 0 */
        KEY_NULL,     /* the same, and 0 is written as null */
        KEY_NEEDED,   /* absent: an error */
        KEY_READ,     /* another spelling: read, never written */
    } use;
};
#define KEY_AT(field) offsetof(struct family_config, field)
#define KEY_C(field)  offsetof(struct family_config, c.field)
#define KEY_RULES_END                                                                              \
    {                                                                                              \
        .key = NULL                                                                                \
    }

enum tensor_part {
    PART_ALL,
    PART_Q,
    PART_K,
    PART_V,
    PART_GATE,
    PART_UP,
};
enum tensor_flags {
    TENSOR_TRANSPOSED = 1, /* stored as [in, out] */
    TENSOR_PAIRED = 2,     /* rows of a head in rotary pairs (2 i, 2 i + 1), not halves */
    TENSOR_PER_HEAD = 4,   /* q, k and v of the first head, of the second, .. */
    TENSOR_BARE = 8,       /* its name never has the family's prefix */
    TENSOR_READ = 16,      /* another name: read, never written */
    TENSOR_F32 = 32,       /* written in F32, whatever type is asked for */
    TENSOR_PLUS_ONE = 64,  /* stored with 1 added */
    TENSOR_PLACES = 128,   /* stored without the rows before position_offset */
    TENSOR_SAID = 256,     /* said by the configuration already: not read */
};

/* In names, "%" is the number of a layer and a final "*" stands for "weight" or "bias". */
struct tensor_rule {
    const char *name;
    const char *param; /* of common/model/params.h; NULL: means nothing, is not read */
    enum tensor_part part;
    unsigned flags;
};
#define TENSOR_RULES_END                                                                           \
    {                                                                                              \
        .name = NULL                                                                               \
    }

enum { FAMILY_TABLES = 8 };

struct family {
    const char *name;         /* model_type of config.json, or GGUF's general.architecture */
    bool gguf;                /* keys and tensors are GGUF's: keys begin with its name and a dot */
    const char *architecture; /* that has all tensors, as it is written: "LlamaForCausalLM" */
    const char *body;         /* that has no head: "LlamaModel"; NULL: none is written */
    const char *prefix;       /* of tensors: "model."; "" */
    const struct family_config *base; /* what holds where a key is absent */
    /* Tables, those of several families (family_rules.c) and its own; NULL behind the last. A key
     * or a name stands in one of them only. */
    const struct key_rule *keys[FAMILY_TABLES];
    const struct tensor_rule *tensors[FAMILY_TABLES];
    /* Fields that follow from several keys; NULL: none. Problems go to `f`. */
    enum err (*finish)(struct errctx *e, struct family_config *x, struct findings *f);
    /* The other way, before keys are written; NULL: nothing is to be done. */
    void (*unfinish)(struct family_config *x);
};

/* NULL when it is not known. */
const struct family *family_find(const char *model_type);
const struct family *family_find_gguf(const char *architecture);
/* The families in turn, for exporting; NULL after the last. */
const struct family *family_at(bool gguf, size_t i);
/* "bert, distilbert, .." for messages. */
const char *family_list(bool gguf, char *buf, size_t n);

/* config.json -> x, finished and checked; problems go to `f`. `headless`: the tensors of a masked
 * head are not there. x borrows from root. */
enum err family_read_config(struct errctx *e, const struct family *family, const json_t *root,
                            bool headless, struct family_config *x, struct findings *f) MUST_USE;
/* The other way: keys are added to root. What cannot be said so is lost: whoever writes it reads it
 * back and compares. */
enum err family_write_config(struct errctx *e, const struct family *family,
                             const struct model_config *c, json_t *root) MUST_USE;

/* The rules of a family in turn, through all its tables; NULL after the last. */
const struct key_rule *family_key(const struct family *family, size_t i);
const struct tensor_rule *family_tensor(const struct family *family, size_t i);
/* Whether a key is in its tables. */
bool family_has_key(const struct family *family, const char *key);

/* The rule for a tensor's name; its place in the rule's pattern in *layer (-1: none) and *suffix
 * ("weight", "bias" or ""). NULL when there is none. */
const struct tensor_rule *family_find_tensor(const struct family *family, const char *name,
                                             int64_t *layer, const char **suffix);
/* A pattern with its places filled in. False when it does not fit into n bytes. */
bool family_fill(const char *pattern, int64_t layer, const char *suffix, char *out, size_t n);

/* What several families have in common: positions by rotation (rope_parameters, or rope_theta and
 * rope_scaling), and windows by layer. */
enum err family_finish_rope(struct errctx *e, struct family_config *x, struct findings *f) MUST_USE;
enum err family_finish_window(struct errctx *e, struct family_config *x,
                              struct findings *f) MUST_USE;
/* Both. */
enum err family_finish_both(struct errctx *e, struct family_config *x, struct findings *f) MUST_USE;
void family_unfinish_both(struct family_config *x);
/* The keys of these that are no plain values. */
enum err family_write_shared(struct errctx *e, const struct family *family,
                             const struct family_config *x, json_t *root) MUST_USE;

/* Divisors of rope's frequencies, which GGUF has as tensors. */
struct family_divisors {
    int count;
    const char *names[2]; /* of the tensors */
    const char *keys[2];  /* as which a configuration of GGUF has them */
    struct config_numbers numbers[2];
};
void family_divisors_of(const struct model_config *c, struct family_divisors *d);
/* The keys of GGUF that are no plain values. */
enum err family_write_gguf(struct errctx *e, const struct model_config *c, json_t *root) MUST_USE;
/* Keys of a configuration that GGUF has no key for, but tensors. */
bool family_is_shape(const char *key);

#endif
