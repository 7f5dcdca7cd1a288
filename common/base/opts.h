/* SPDX-License-Identifier: Apache-2.0 */
/* opts.h: one option table per struct gives the parser, -h, the OPTIONS section of the page, shell
 * completion and the options recorded in the lineage. A default exists once: in the struct's
 * initial value.
 *
 *     struct shard_opts { int64_t count; const char *split; };
 *     static const struct opt shard_table[] = {
 *         {"split", 0, OPT_STRING, offsetof(struct shard_opts, split), "NAME=FRACTION,...",
 *          "named splits"},
 *         OPT_END};
 *     struct opt_set sets[] = {{"Splitting", shard_table, &o}, OPT_SET_END}; */
#ifndef GRAFT_BASE_OPTS_H
#define GRAFT_BASE_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/mem.h"

enum opt_type {
    OPT_FLAG,   /* bool; --name, and --no-name when the default is true */
    OPT_INT,    /* int64_t; K M G Ki Mi Gi understood */
    OPT_REAL,   /* double */
    OPT_STRING, /* const char *, points into argv */
    OPT_CHOICE, /* int: index into `choices`, a '|'-separated list */
    OPT_LIST,   /* struct opt_list: may be given several times, in order */
};

enum opt_flags {
    OPT_UNRECORDED = 1, /* does not change the content: not in the lineage (-j -z -o -q -v ...) */
    OPT_REQUIRED = 2,
    OPT_PATH = 4,       /* names a file: not recorded by name (its content is, as an input) */
    OPT_NO_DEFAULT = 8, /* -h adds no "(default X)": the help line says it */
};

struct opt {
    const char *name; /* long name without dashes; NULL ends the table */
    char letter;      /* 0: none */
    enum opt_type type;
    size_t offset;        /* of the field in the struct */
    const char *argument; /* for -h: "N", "FILE"; of OPT_CHOICE "a|b|c"; NULL for flags */
    const char *help;     /* lower case, no full stop; "(default X)" is added from the struct */
    unsigned flags;
    double min, max; /* checked when min < max */
};
#define OPT_END                                                                                    \
    {                                                                                              \
        .name = NULL                                                                               \
    }

struct opt_list {
    const char **items; /* each points into argv */
    size_t count, capacity;
};

struct opt_set {
    const char *title; /* heading in -h and page, once for neighbours of one title; NULL ends */
    const struct opt *table;
    void *base;     /* the struct the offsets refer to, holding the defaults */
    uint64_t given; /* set by opts_parse: bit i for table[i]; at most 64 options a table */
};
#define OPT_SET_END                                                                                \
    {                                                                                              \
        .title = NULL                                                                              \
    }

/* Parses argv[1..] into the sets' structs. Long options may be "--name=value" or "--name value",
 * letters may be joined; "--" ends options; "-" is an operand. Operands are collected in order
 * (pointers into argv). An unknown option names the nearest known one; of an option given twice the
 * last counts (but OPT_LIST keeps all). "--no-NAME" takes any flag back. All failures are
 * ERR_USAGE. */
enum err opts_parse(struct errctx *e, struct opt_set *sets, int argc, char **argv,
                    struct opt_list *operands) MUST_USE;

/* True when the option stood on the command line of the last opts_parse of this set. */
bool opts_given(const struct opt_set *sets, const char *name);

/* OPTIONS as text for -h, as mdoc list for the page, as lines "--name TAB flag|value|path|choices"
 * for completion. Defaults are read from base, so call before parsing. A NULL string, a NaN and
 * OPT_UNSET have none. */
#define OPT_UNSET INT64_MIN
void opts_print_help(const struct opt_set *sets, FILE *out);
void opts_print_mdoc(const struct opt_set *sets, FILE *out);
void opts_print_words(const struct opt_set *sets, FILE *out);

/* Calls fn(ctx, name, value) for each recorded option, given or default, in table order; value is
 * text that parses back to the same. OPT_PATH and OPT_UNRECORDED are left out. */
enum err opts_record(struct errctx *e, const struct opt_set *sets,
                     enum err (*fn)(struct errctx *e, void *ctx, const char *name,
                                    const char *value),
                     void *ctx) MUST_USE;

/* "64Ki" -> 65536, "1.5M" -> 1500000. False when it is no whole number or does not fit. */
bool opts_parse_size(const char *text, int64_t *out);
/* "3e-4" or "1.5Ki"; finite numbers only. */
bool opts_parse_real(const char *text, double *out);

/* Edit distance of two words (for "did you mean"). */
size_t opts_distance(const char *a, const char *b);
/* The name that is nearest to a word, of those that are tried; a name that begins with the word is
 * nearest of all. NULL from opts_nearest_name when none is near enough to be meant. */
struct opts_nearest {
    const char *word, *best;
    size_t distance;
};
void opts_nearest_try(struct opts_nearest *n, const char *name);
const char *opts_nearest_name(const struct opts_nearest *n);

void opts_fini(struct opt_set *sets, struct opt_list *operands);

#endif
