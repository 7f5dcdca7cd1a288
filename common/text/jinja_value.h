/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_value.h: what a chat template computes with: the values of Python that Jinja has, in memory
 * that is given back as a whole.
 *
 * Strings are UTF-8 and remember, byte by byte, which message of the conversation each byte came
 * from (a mark; 0: the template itself). Whatever is cut, joined or trimmed keeps its marks: so it
 * is known of every byte of the rendered text who says it. */
#ifndef GRAFT_TEXT_JINJA_VALUE_H
#define GRAFT_TEXT_JINJA_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/mem.h"

/* Memory of one rendering, or of one template. */
struct jinja_block;
struct jinja_memory {
    struct jinja_block *blocks;
    size_t total, limit;
};
void jinja_memory_fini(struct jinja_memory *m);
/* n zeroed elements. ERR_INPUT beyond the limit. */
enum err jinja_new(struct errctx *e, struct jinja_memory *m, void *out, size_t n,
                   size_t size) MUST_USE;

enum jinja_type {
    JINJA_UNDEFINED, /* as.s: its name */
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_FLOAT,
    JINJA_STRING,
    JINJA_LIST,
    JINJA_TUPLE,
    JINJA_DICT,      /* as.list: keys and values in turn */
    JINJA_NAMESPACE, /* the same */
    JINJA_MACRO,
    JINJA_FUNCTION, /* as.function */
};

struct jinja_string {
    const char *s;
    const uint16_t *marks; /* NULL: all 0 */
    size_t n;
};

struct jinja_value {
    enum jinja_type type;
    union {
        bool b;
        int64_t i;
        double d;
        const struct jinja_string *s;
        struct jinja_list *list;
        const struct jinja_macro *macro;
        int function;
    } as;
};

struct jinja_list {
    struct jinja_value *items;
    size_t count, capacity;
};

struct jinja_builder {
    char *s;
    uint16_t *marks; /* NULL until a marked byte comes */
    size_t n, capacity;
};

/* What evaluates: its memory, where in the template it is, what it may still do. */
struct jinja_run {
    struct errctx *e;
    struct jinja_memory memory;
    int line, depth;
    uint64_t steps;
    const char *today; /* YYYY-MM-DD, NULL: nobody knows */
};
/* ERR_INPUT with the line of the template. */
enum err jinja_fail(struct jinja_run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* So much work is done; ERR_INPUT when it is too much. */
enum err jinja_spend(struct jinja_run *r, size_t work) MUST_USE;

#define JINJA_VALUE(kind) ((struct jinja_value){.type = kind})
#define JINJA_TRUTH(x)    ((struct jinja_value){.type = JINJA_BOOL, .as.b = (x)})
#define JINJA_NUMBER(x)   ((struct jinja_value){.type = JINJA_INT, .as.i = (x)})

enum err jinja_put(struct jinja_run *r, struct jinja_builder *b, const char *s,
                   const uint16_t *marks, size_t n) MUST_USE;
enum err jinja_put_text(struct jinja_run *r, struct jinja_builder *b, const char *text) MUST_USE;
enum err jinja_built(struct jinja_run *r, const struct jinja_builder *b,
                     struct jinja_value *out) MUST_USE;
/* The bytes stay the caller's. */
enum err jinja_string_view(struct jinja_run *r, const char *s, const uint16_t *marks, size_t n,
                           struct jinja_value *out) MUST_USE;
enum err jinja_text(struct jinja_run *r, const char *literal, struct jinja_value *out) MUST_USE;
/* Bytes [from, to) of a string. */
enum err jinja_cut(struct jinja_run *r, const struct jinja_string *s, size_t from, size_t to,
                   struct jinja_value *out) MUST_USE;
enum err jinja_list_new(struct jinja_run *r, enum jinja_type type,
                        struct jinja_value *out) MUST_USE;
enum err jinja_list_add(struct jinja_run *r, struct jinja_list *l, struct jinja_value v) MUST_USE;
/* NULL when there is no such key. */
struct jinja_value *jinja_dict_find(const struct jinja_list *dict, const char *key, size_t n);
enum err jinja_dict_set(struct jinja_run *r, struct jinja_list *dict, struct jinja_value key,
                        struct jinja_value v) MUST_USE;

/* A value of a record; its strings get `mark`, and stay the record's. Members that are null are
 * left out when `drop`. */
enum err jinja_of_json(struct jinja_run *r, const json_t *json, uint16_t mark, bool drop,
                       struct jinja_value *out) MUST_USE;

bool jinja_truth(const struct jinja_value *v);
bool jinja_is_number(const struct jinja_value *v); /* a bool is one, as in Python */
double jinja_real(const struct jinja_value *v);
const char *jinja_type_name(const struct jinja_value *v);
enum err jinja_equal(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b,
                     bool *out) MUST_USE;
/* *out < 0, 0, > 0; ERR_INPUT when they have no order. */
enum err jinja_compare(struct jinja_run *r, const struct jinja_value *a,
                       const struct jinja_value *b, int *out) MUST_USE;
enum err jinja_contains(struct jinja_run *r, const struct jinja_value *where,
                        const struct jinja_value *what, bool *out) MUST_USE;

/* As Python's str() and repr() have it. */
enum err jinja_print(struct jinja_run *r, const struct jinja_value *v,
                     struct jinja_builder *b) MUST_USE;
enum err jinja_repr(struct jinja_run *r, const struct jinja_value *v,
                    struct jinja_builder *b) MUST_USE;
/* As Python's json.dumps. */
struct jinja_json {
    bool ascii, sort;
    int64_t indent; /* < 0: on one line */
    struct jinja_string comma, colon;
};
enum err jinja_dump(struct jinja_run *r, const struct jinja_value *v, const struct jinja_json *how,
                    int level, struct jinja_builder *b) MUST_USE;

#endif
