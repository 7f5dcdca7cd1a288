/* SPDX-License-Identifier: Apache-2.0 */
/* opts.c: reads command lines into structs by table, and writes the same tables out as help, mdoc,
 * completion words and recorded values. */
#include "common/base/opts.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

/* The multiplier of a suffix, 0 when there is no such suffix. */
static int64_t suffix_value(const char *s)
{
    static const struct {
        const char *text;
        int64_t value;
    } suffixes[] = {
        {"", 1},
        {"K", 1000},
        {"M", 1000000},
        {"G", 1000000000},
        {"T", 1000000000000},
        {"Ki", INT64_C(1) << 10},
        {"Mi", INT64_C(1) << 20},
        {"Gi", INT64_C(1) << 30},
        {"Ti", INT64_C(1) << 40},
    };
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
        if (strcmp(s, suffixes[i].text) == 0) return suffixes[i].value;
    return 0;
}

bool opts_parse_size(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    const char *s = text + (*text == '-' || *text == '+');
    int64_t value = 0, scale = 1;
    if (!isdigit((unsigned char)*s)) return false;
    for (; isdigit((unsigned char)*s); s++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *s - '0', &value))
            return false;
    if (*s == '.') {
        for (s++; isdigit((unsigned char)*s); s++)
            if (__builtin_mul_overflow(value, 10, &value) ||
                __builtin_add_overflow(value, *s - '0', &value) ||
                __builtin_mul_overflow(scale, 10, &scale))
                return false;
    }
    int64_t unit = suffix_value(s);
    if (unit == 0 || __builtin_mul_overflow(value, unit, &value) || value % scale != 0)
        return false;
    *out = negative ? -(value / scale) : value / scale;
    return true;
}

bool opts_parse_real(const char *text, double *out)
{
    char *end;
    if (!isdigit((unsigned char)*text) && !strchr("+-.", *text))
        return false; /* no space, no "inf" */
    if (*text == '\0' || strpbrk(text, "xXnN")) return false;
    errno = 0;
    double value = strtod(text, &end);
    int64_t unit = end == text ? 0 : suffix_value(end);
    if (unit == 0 || !isfinite(value * (double)unit)) return false;
    *out = value * (double)unit;
    return true;
}

/* The shortest decimal that reads back as the same double. */
static void format_real(double value, char *buf, size_t size)
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buf, size, "%.*g", digits, value);
        if (strtod(buf, NULL) == value) return;
    }
}

static void format_size(int64_t value, char *buf, size_t size)
{
    static const char *const units[] = {"", "Ki", "Mi", "Gi", "Ti"};
    size_t u = 0;
    while (value != 0 && value % 1024 == 0 && u + 1 < ARRAY_LEN(units)) {
        value /= 1024;
        u++;
    }
    snprintf(buf, size, "%" PRId64 "%s", value, units[u]);
}

/* The index-th word of "a|b|c"; its length in *len; NULL past the end. */
static const char *choice_word(const char *choices, int index, size_t *len)
{
    for (; index > 0; index--) {
        choices = strchr(choices, '|');
        if (!choices) return NULL;
        choices++;
    }
    *len = strcspn(choices, "|");
    return choices;
}

static int choice_index(const char *choices, const char *word)
{
    size_t len, n = strlen(word);
    const char *c;
    for (int i = 0; (c = choice_word(choices, i, &len)) != NULL; i++)
        if (len == n && strncmp(c, word, n) == 0) return i;
    return -1;
}

static void *field(const struct opt_set *set, const struct opt *o)
{
    return (char *)set->base + o->offset;
}

/* ---- nearest name ---- */

size_t opts_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    size_t row[65]; /* distances of a's first i letters to b's first j */
    if (lb > 64 || la > 64) return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++) row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[lb];
}

void opts_nearest_try(struct opts_nearest *n, const char *name)
{
    size_t len = strlen(n->word);
    bool begins = len > 2 && strncmp(name, n->word, len) == 0;
    size_t d = begins ? 0 : opts_distance(n->word, name);
    if (n->best && d >= n->distance) return;
    n->distance = d;
    n->best = name;
}

const char *opts_nearest_name(const struct opts_nearest *n)
{
    return n->best && n->distance <= 1 + strlen(n->word) / 4 ? n->best : NULL;
}

static enum err unknown_option(struct errctx *e, const struct opt_set *sets, const char *name)
{
    struct opts_nearest n = {.word = name};
    for (const struct opt_set *s = sets; s->title; s++)
        for (const struct opt *o = s->table; o->name; o++) opts_nearest_try(&n, o->name);
    opts_nearest_try(&n, "help"); /* these are in no table: the frame of a program knows them */
    opts_nearest_try(&n, "version");
    const char *best = opts_nearest_name(&n);
    if (best)
        return err_set(e, ERR_USAGE, "unknown option '--%s' (did you mean --%s?)", name, best);
    return err_set(e, ERR_USAGE, "unknown option '--%s'", name);
}

/* ---- parsing ---- */

static enum err list_add(struct errctx *e, struct opt_list *list, const char *item)
{
    TRY(mem_grow(e, &list->items, &list->capacity, list->count + 1, sizeof *list->items,
                 "the command line"));
    list->items[list->count++] = item;
    return ERR_OK;
}

static enum err check_range(struct errctx *e, const struct opt *o, const char *typed, double value,
                            const char *text)
{
    if (!(o->min < o->max) || (value >= o->min && value <= o->max)) return ERR_OK;
    char low[32], high[32];
    format_real(o->min, low, sizeof low);
    format_real(o->max, high, sizeof high);
    return err_set(e, ERR_USAGE, "option '%s': '%s' is not between %s and %s", typed, text, low,
                   high);
}

/* Said of numbers that end in letters: "8KB". */
static const char *unit_hint(const char *text)
{
    size_t n = strlen(text);
    bool letters = n > 0 && isdigit((unsigned char)*text) && isalpha((unsigned char)text[n - 1]);
    return letters ? ": units are K M G T, and Ki Mi Gi Ti of 1024" : "";
}

/* `typed` is the option as it stands on the command line, "-n" or "--count", for messages. */
static enum err set_value(struct errctx *e, struct opt_set *set, const struct opt *o,
                          const char *typed, const char *text)
{
    void *p = field(set, o);
    double real;
    set->given |= UINT64_C(1) << (o - set->table);
    switch (o->type) {
    case OPT_FLAG:
        *(bool *)p = text == NULL; /* any text: taken back by --no-name */
        return ERR_OK;
    case OPT_INT:
        if (!opts_parse_size(text, p))
            return err_set(e, ERR_USAGE, "option '%s': '%s' is not a whole number%s", typed, text,
                           unit_hint(text));
        return check_range(e, o, typed, (double)*(int64_t *)p, text);
    case OPT_REAL:
        if (!opts_parse_real(text, &real))
            return err_set(e, ERR_USAGE, "option '%s': '%s' is not a number", typed, text);
        *(double *)p = real;
        return check_range(e, o, typed, real, text);
    case OPT_STRING:
        *(const char **)p = text;
        return ERR_OK;
    case OPT_CHOICE:
        *(int *)p = choice_index(o->argument, text);
        if (*(int *)p >= 0) return ERR_OK;
        return err_set(e, ERR_USAGE, "option '%s': '%s' is none of %s", typed, text, o->argument);
    case OPT_LIST:
        return list_add(e, p, text);
    }
    return err_set(e, ERR_USAGE, "BUG: option '%s' has no type", typed);
}

static const struct opt *find_long(struct opt_set *sets, const char *name, size_t len,
                                   struct opt_set **set)
{
    for (*set = sets; (*set)->title; ++*set)
        for (const struct opt *o = (*set)->table; o->name; o++)
            if (strlen(o->name) == len && strncmp(o->name, name, len) == 0) return o;
    return NULL;
}

static const struct opt *find_letter(struct opt_set *sets, char letter, struct opt_set **set)
{
    for (*set = sets; (*set)->title; ++*set)
        for (const struct opt *o = (*set)->table; o->name; o++)
            if (o->letter && o->letter == letter) return o;
    return NULL;
}

/* "--name", "--name=value", "--name value", "--no-name"; *next is the argument after it or NULL,
 * and is set to NULL when taken. */
static enum err parse_long(struct errctx *e, struct opt_set *sets, const char *text,
                           const char **next)
{
    struct opt_set *set;
    size_t len = strcspn(text, "=");
    const char *value = text[len] ? text + len + 1 : NULL;
    const struct opt *o = find_long(sets, text, len, &set);
    char typed[80];
    snprintf(typed, sizeof typed, "--%.*s", (int)len, text);
    if (!o && strncmp(text, "no-", 3) == 0) {
        o = find_long(sets, text + 3, len - 3, &set);
        if (o && o->type == OPT_FLAG && !value) return set_value(e, set, o, typed, "no");
        o = NULL;
    }
    if (!o) {
        char *name;
        TRY(mem_strndup(e, &name, text, len));
        unknown_option(e, sets, name);
        mem_free(name);
        return e->code;
    }
    if (o->type == OPT_FLAG) {
        if (!value) return set_value(e, set, o, typed, NULL);
        return err_set(e, ERR_USAGE, "option '%s' takes no value", typed);
    }
    if (!value) {
        value = *next;
        *next = NULL;
    }
    if (!value) return err_set(e, ERR_USAGE, "option '%s' needs a value: %s", typed, o->argument);
    return set_value(e, set, o, typed, value);
}

static enum err parse_letters(struct errctx *e, struct opt_set *sets, const char *text,
                              const char **next)
{
    for (; *text; text++) {
        struct opt_set *set;
        const struct opt *o = find_letter(sets, *text, &set);
        const char typed[] = {'-', *text, '\0'};
        if (!o) return err_set(e, ERR_USAGE, "unknown option '%s'", typed);
        if (o->type == OPT_FLAG) {
            TRY(set_value(e, set, o, typed, NULL));
            continue;
        }
        const char *value = text + 1;
        if (!*value) {
            value = *next;
            *next = NULL;
        }
        if (!value)
            return err_set(e, ERR_USAGE, "option '%s' needs a value: %s", typed, o->argument);
        return set_value(e, set, o, typed, value);
    }
    return ERR_OK;
}

static enum err check_required(struct errctx *e, const struct opt_set *sets)
{
    for (const struct opt_set *s = sets; s->title; s++)
        for (const struct opt *o = s->table; o->name; o++)
            if ((o->flags & OPT_REQUIRED) && !((s->given >> (o - s->table)) & 1)) {
                if (o->letter)
                    return err_set(e, ERR_USAGE, "option '-%c' (--%s %s) is needed", o->letter,
                                   o->name, o->argument);
                return err_set(e, ERR_USAGE, "option '--%s %s' is needed", o->name, o->argument);
            }
    return ERR_OK;
}

enum err opts_parse(struct errctx *e, struct opt_set *sets, int argc, char **argv,
                    struct opt_list *operands)
{
    bool options = true;
    for (struct opt_set *s = sets; s->title; s++) s->given = 0;
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i];
        const char *next = i + 1 < argc ? argv[i + 1] : NULL, *before = next;
        if (!options || text[0] != '-' || text[1] == '\0') {
            TRY(list_add(e, operands, text));
            continue;
        }
        if (strcmp(text, "--") == 0)
            options = false;
        else if (text[1] == '-')
            TRY(parse_long(e, sets, text + 2, &next));
        else
            TRY(parse_letters(e, sets, text + 1, &next));
        if (next != before) i++;
    }
    return check_required(e, sets);
}

bool opts_given(const struct opt_set *sets, const char *name)
{
    for (const struct opt_set *s = sets; s->title; s++)
        for (const struct opt *o = s->table; o->name; o++)
            if (strcmp(o->name, name) == 0) return (s->given >> (o - s->table)) & 1;
    return false;
}

void opts_fini(struct opt_set *sets, struct opt_list *operands)
{
    for (struct opt_set *s = sets; s->title; s++)
        for (const struct opt *o = s->table; o->name; o++)
            if (o->type == OPT_LIST) {
                struct opt_list *list = field(s, o);
                mem_free(list->items);
                *list = (struct opt_list){0};
            }
    mem_free(operands->items);
    *operands = (struct opt_list){0};
}

/* ---- output ---- */

/* The current value as text that parses back; false when there is none (NULL, NaN, OPT_UNSET, a
 * list). */
static bool format_value(const struct opt_set *set, const struct opt *o, char *buf, size_t size,
                         const char **text)
{
    const void *p = field(set, o);
    const char *word;
    size_t len;
    *text = buf;
    switch (o->type) {
    case OPT_FLAG:
        snprintf(buf, size, "%s", *(const bool *)p ? "true" : "false");
        return true;
    case OPT_INT:
        if (*(const int64_t *)p == OPT_UNSET) return false;
        snprintf(buf, size, "%" PRId64, *(const int64_t *)p);
        return true;
    case OPT_REAL:
        if (isnan(*(const double *)p)) return false;
        format_real(*(const double *)p, buf, size);
        return true;
    case OPT_STRING:
        *text = *(const char *const *)p;
        return *text != NULL;
    case OPT_CHOICE:
        word = *(const int *)p < 0 ? NULL : choice_word(o->argument, *(const int *)p, &len);
        if (!word) return false;
        snprintf(buf, size, "%.*s", (int)len, word);
        return true;
    case OPT_LIST:
        return false;
    }
    return false;
}

/* For people: "32Ki" rather than 32768; flags that are off say nothing. */
static bool format_default(const struct opt_set *set, const struct opt *o, char *buf, size_t size,
                           const char **text)
{
    if (o->flags & (OPT_NO_DEFAULT | OPT_REQUIRED)) return false;
    if (o->type == OPT_FLAG && !*(const bool *)field(set, o)) return false;
    if (!format_value(set, o, buf, size, text)) return false;
    if (o->type == OPT_FLAG) snprintf(buf, size, "on; --no-%s", o->name);
    if (o->type == OPT_INT) format_size(*(const int64_t *)field(set, o), buf, size);
    return true;
}

enum { HELP_COLUMN = 28, HELP_WIDTH = 90 };

static void print_wrapped(FILE *out, const char *text, int *column)
{
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (*column > HELP_COLUMN && *column + 1 + n > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            *column = HELP_COLUMN;
        } else if (*column > HELP_COLUMN) {
            fputc(' ', out);
            ++*column;
        }
        fprintf(out, "%.*s", n, text);
        *column += n;
        text += n;
        text += *text == ' ';
    }
}

/* Neighbouring sets of one title share the heading. */
static bool same_heading(const struct opt_set *sets, const struct opt_set *s)
{
    return s > sets && strcmp(s[-1].title, s->title) == 0;
}

void opts_print_help(const struct opt_set *sets, FILE *out)
{
    for (const struct opt_set *s = sets; s->title; s++) {
        if (!same_heading(sets, s)) fprintf(out, "\n%s:\n", s->title);
        for (const struct opt *o = s->table; o->name; o++) {
            char buf[64], note[1200];
            const char *text;
            int column = o->letter ? fprintf(out, "  -%c, --%s", o->letter, o->name)
                                   : fprintf(out, "      --%s", o->name);
            if (o->type != OPT_FLAG) column += fprintf(out, " %s", o->argument);
            if (column > HELP_COLUMN - 2) {
                fputc('\n', out);
                column = 0;
            }
            fprintf(out, "%*s", HELP_COLUMN - column, "");
            column = HELP_COLUMN;
            print_wrapped(out, o->help, &column);
            if (format_default(s, o, buf, sizeof buf, &text)) {
                snprintf(note, sizeof note, "(default %s)", text);
                print_wrapped(out, note, &column);
            }
            if (o->flags & OPT_REQUIRED) print_wrapped(out, "(needed)", &column);
            if (o->type == OPT_LIST) print_wrapped(out, "(may be repeated)", &column);
            fputc('\n', out);
        }
    }
}

/* One mdoc argument: quoted, its first letters protected from being read as a macro. */
static void print_mdoc_word(FILE *out, const char *text)
{
    fputs("\"\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '"')
            fputs("\\(dq", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
    fputc('"', out);
}

/* A text line: capital at the start, protected from being read as a request. */
static void print_mdoc_text(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'') fputs("\\&", out);
    bool first = true;
    for (; *text; text++, first = false) {
        /* "a filter" becomes "A filter", but "p99" and "k-means" stay */
        if (first && islower((unsigned char)text[0]) &&
            (islower((unsigned char)text[1]) || text[1] == ' '))
            fputc(toupper((unsigned char)*text), out);
        else if (*text == '\\')
            fputs("\\e", out);
        else
            fputc(*text, out);
    }
}

void opts_print_mdoc(const struct opt_set *sets, FILE *out)
{
    for (const struct opt_set *s = sets; s->title; s++) {
        if (!same_heading(sets, s)) {
            fputs(".Ss ", out);
            print_mdoc_text(out, s->title);
            fputs("\n.Bl -tag -width Ds\n", out);
        }
        for (const struct opt *o = s->table; o->name; o++) {
            char buf[64];
            const char *text;
            fputs(".It ", out);
            if (o->letter) fprintf(out, "Fl %c , ", o->letter);
            fprintf(out, "Fl -%s", o->name);
            if (o->type != OPT_FLAG) {
                fputs(" Ar ", out);
                print_mdoc_word(out, o->argument);
            }
            fputc('\n', out);
            print_mdoc_text(out, o->help);
            if (format_default(s, o, buf, sizeof buf, &text)) {
                fputs(" (default ", out);
                for (; *text; text++) fputs(*text == '\\' ? "\\e" : (char[]){*text, 0}, out);
                fputc(')', out);
            }
            fputs(".\n", out);
            if (o->flags & OPT_REQUIRED) fputs("This option is needed.\n", out);
            if (o->type == OPT_LIST) fputs("It may be repeated.\n", out);
        }
        if (!s[1].title || !same_heading(sets, s + 1)) fputs(".El\n", out);
    }
}

void opts_print_words(const struct opt_set *sets, FILE *out)
{
    for (const struct opt_set *s = sets; s->title; s++)
        for (const struct opt *o = s->table; o->name; o++)
            fprintf(out, "--%s\t%s\n", o->name,
                    o->type == OPT_FLAG     ? "flag"
                    : o->type == OPT_CHOICE ? o->argument
                    : (o->flags & OPT_PATH) ? "path"
                                            : "value");
}

enum err opts_record(struct errctx *e, const struct opt_set *sets,
                     enum err (*fn)(struct errctx *e, void *ctx, const char *name,
                                    const char *value),
                     void *ctx)
{
    for (const struct opt_set *s = sets; s->title; s++)
        for (const struct opt *o = s->table; o->name; o++) {
            char buf[64];
            const char *text;
            if (o->flags & (OPT_UNRECORDED | OPT_PATH)) continue;
            if (o->type == OPT_LIST) {
                const struct opt_list *list = field(s, o);
                for (size_t i = 0; i < list->count; i++) TRY(fn(e, ctx, o->name, list->items[i]));
            } else if (format_value(s, o, buf, sizeof buf, &text)) {
                TRY(fn(e, ctx, o->name, text));
            }
        }
    return ERR_OK;
}
