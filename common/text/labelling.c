/* SPDX-License-Identifier: Apache-2.0 */
/* labelling.c: see labelling.h. */
#include "common/text/labelling.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "common/base/io.h"
#include "common/base/prog.h"
#include "common/text/chat_template.h"
#include "common/text/word_count.h"

/* From so many documents on, labels may look like something else than they are said to be. */
enum { ENOUGH_TO_TELL = 10, CLASSES_FILE_LIMIT = 64 << 20, NUMBER_MOST = 64 };

#define FIELD(f) offsetof(struct labelling_cfg, f)
const struct opt labelling_opts[] = {
    {"label", 0, OPT_STRING, FIELD(label), "NAME[=FIELD][:KIND],...",
     "fields that are labels; KIND is class, classes, number or tokens (default: class, of conll "
     "tokens)"},
    {"classes", 0, OPT_LIST, FIELD(classes), "[NAME=]FILE",
     "names of a label's classes, one per line (default: what is found, by reading files twice)",
     OPT_PATH},
    {"label-separator", 0, OPT_STRING, FIELD(separator), "TEXT",
     "what stands between the classes in a text that has several"},
    {"labels-strict", 0, OPT_FLAG, FIELD(strict), NULL,
     "empty texts, labels that are missing and classes that are not known are errors"},
    {"group", 0, OPT_STRING, FIELD(group), "FIELD",
     "field whose documents shard --split keeps on one side: a customer, a thread"},
    OPT_END};

/* Something that was wrong so many times, and where first. */
struct trouble {
    uint64_t count, line;
    const char *file;
    char what[64];
};

/* One of --label, in their order. */
struct target {
    char *field; /* NULL: the last column of form conll */
    bool known;  /* its classes */
    struct word_table names;
    uint64_t given; /* documents (of tokens: words) that have it */
    struct trouble missing, unseen;
};

struct labelling {
    const struct labelling_cfg *cfg;
    const struct opt_list *paths;
    struct labels labels;
    struct target *targets;
    const char **fields;     /* of them all, then of the group */
    bool words, completions; /* what documents are */
    uint64_t documents;
    int64_t kept; /* of the first reading; -1 */
    struct trouble empty, ungrouped;
    struct bytes row; /* of the document at hand */
};

void labelling_free(struct labelling *l)
{
    if (l == NULL) return;
    for (int64_t i = 0; l->targets != NULL && i < l->labels.count; i++) {
        mem_free(l->targets[i].field);
        word_table_fini(&l->targets[i].names);
    }
    mem_free(l->targets);
    mem_free(l->fields);
    labels_fini(&l->labels);
    bytes_fini(&l->row);
    mem_free(l);
}

struct labels *labelling_labels(struct labelling *l)
{
    return &l->labels;
}

bool labelling_has_group(const struct labelling *l)
{
    return l->cfg->group != NULL;
}

int64_t labelling_documents(const struct labelling *l)
{
    return l->kept;
}

/* ---- --label NAME[=FIELD][:KIND],... ---- */

/* One of them, text[0..n), written into. */
static enum err parse_item(struct errctx *e, struct labelling *l, char *text, bool conll)
{
    enum label_kind kind = conll ? LABEL_TOKENS : LABEL_CLASS;
    char *colon = strrchr(text, ':'), *equals;
    struct label *label;

    if (colon != NULL && !label_kind_find(colon + 1, strlen(colon + 1), &kind))
        return err_set(e, ERR_USAGE,
                       "--label '%s': '%s' is not class, classes, number or tokens (of a field "
                       "with a colon say the kind, too)",
                       text, colon + 1);
    if (colon != NULL) *colon = '\0';
    equals = strchr(text, '=');
    if (equals != NULL) *equals++ = '\0';
    if (*text == '\0' || (equals != NULL && *equals == '\0'))
        return err_set(e, ERR_USAGE, "--label '%s': an empty name", l->cfg->label);
    /* there is a target for each label, always */
    size_t capacity = (size_t)l->labels.count;
    TRY(mem_grow(e, &l->targets, &capacity, capacity + 1, sizeof *l->targets, "labels"));
    struct target *t = &l->targets[l->labels.count];
    *t = (struct target){.known = kind == LABEL_NUMBER};
    if (labels_add(e, &l->labels, text, kind, &label) != ERR_OK) return err_prefix(e, "--label");
    if (kind == LABEL_TOKENS) l->words = true;
    return equals == NULL && conll ? ERR_OK
                                   : mem_strdup(e, &t->field, equals != NULL ? equals : text);
}

static enum err parse_items(struct errctx *e, struct labelling *l, char *text, bool conll)
{
    for (char *next; text != NULL; text = next) {
        next = strchr(text, ',');
        if (next != NULL) *next++ = '\0';
        TRY(parse_item(e, l, text, conll));
    }
    return ERR_OK;
}

static enum err parse_label(struct errctx *e, struct labelling *l, bool conll)
{
    char *text;

    if (l->cfg->label == NULL) return ERR_OK;
    TRY(mem_strdup(e, &text, l->cfg->label));
    const enum err r = parse_items(e, l, text, conll);
    mem_free(text);
    return r;
}

static enum err check_kinds(struct errctx *e, const struct labelling *l,
                            const struct documents_cfg *documents, bool conll)
{
    const struct labelling_cfg *cfg = l->cfg;
    bool several = false;

    for (int64_t i = 0; i < l->labels.count; i++) {
        several |= l->labels.items[i].kind == LABEL_CLASSES;
        if (conll && l->labels.items[i].kind != LABEL_TOKENS)
            return err_set(e, ERR_USAGE, "--label '%s': of -f conll labels are those of words",
                           l->labels.items[i].name);
    }
    if (cfg->separator != NULL && (!several || *cfg->separator == '\0'))
        return err_set(e, ERR_USAGE,
                       several ? "--label-separator: an empty text"
                               : "--label-separator is for --label NAME:classes");
    if (cfg->label == NULL && cfg->classes.count > 0)
        return err_set(e, ERR_USAGE, "--classes is for --label");
    if (conll && cfg->group != NULL)
        return err_set(e, ERR_USAGE, "--group is a field of records (-f jsonl|csv|tsv)");
    if (l->words && (documents->pair != NULL || documents->chat != NULL))
        return err_set(e, ERR_USAGE, "labels of words are not for %s",
                       documents->chat != NULL      ? "--chat"
                       : documents->between != NULL ? "--prompt"
                                                    : "--pair");
    return ERR_OK;
}

/* ---- --classes [NAME=]FILE ---- */

static enum err take_class_lines(struct errctx *e, struct label *label, struct bytes *text)
{
    const char **names;
    char *line, *next;
    int64_t count = 0, most = 1;
    enum err r = ERR_OK;

    TRY(bytes_append(e, text, "", 1));
    if (strlen((char *)text->data) + 1 != text->len || !mp_utf8(text->data, text->len - 1))
        return err_set(e, ERR_INPUT, "names of classes are lines of UTF-8");
    for (const uint8_t *p = text->data; *p != 0; p++) most += *p == '\n';
    TRY(mem_new(e, &names, (size_t)most, sizeof *names, "classes"));
    line = (char *)text->data;
    if (strncmp(line, "\xef\xbb\xbf", 3) == 0) line += 3;
    for (; line != NULL; line = next) {
        next = strchr(line, '\n');
        if (next != NULL) *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        if (*line != '\0') names[count++] = line;
    }
    r = count > 0 ? label_set_classes(e, label, names, count)
                  : err_set(e, ERR_INPUT, "there are no names of classes");
    mem_free(names);
    return r;
}

static enum err load_classes(struct errctx *e, struct run *run, struct labelling *l, int64_t i,
                             const char *path)
{
    struct bytes text = {0};
    XXH128_canonical_t content;
    size_t slot;
    enum err r = run_input_open(e, run, "classes", path, &slot);

    if (r == ERR_OK) r = io_slurp(e, path, CLASSES_FILE_LIMIT, &text);
    if (r == ERR_OK) {
        XXH128_canonicalFromHash(&content, XXH3_128bits(text.data, text.len));
        r = run_input_done(e, run, slot, content.digest, NULL, -1, false);
    }
    if (r == ERR_OK && take_class_lines(e, &l->labels.items[i], &text) != ERR_OK)
        r = err_prefix(e, "'%s'", path);
    l->targets[i].known = true;
    bytes_fini(&text);
    return r;
}

/* NAME=FILE, or FILE when there is one label that has classes. */
static enum err take_classes(struct errctx *e, struct run *run, struct labelling *l,
                             const char *text)
{
    int64_t only = -1, with = 0;

    for (int64_t i = 0; i < l->labels.count; i++) {
        const struct label *x = &l->labels.items[i];
        const size_t n = strlen(x->name);
        if (x->kind == LABEL_NUMBER) continue;
        with++;
        only = i;
        if (strncmp(text, x->name, n) != 0 || text[n] != '=') continue;
        if (l->targets[i].known)
            return err_set(e, ERR_USAGE, "--classes '%s': those of '%s' are given already", text,
                           x->name);
        return load_classes(e, run, l, i, text + n + 1);
    }
    if (with == 0)
        return err_set(e, ERR_USAGE, "--classes '%s': no label of --label has classes", text);
    if (with > 1)
        return err_set(e, ERR_USAGE, "--classes '%s': of several labels say which: NAME=FILE",
                       text);
    if (l->targets[only].known)
        return err_set(e, ERR_USAGE, "--classes '%s': those of '%s' are given already", text,
                       l->labels.items[only].name);
    return load_classes(e, run, l, only, text);
}

/* ---- the whole ---- */

static enum err set_fields(struct errctx *e, struct labelling *l, struct documents_cfg *documents)
{
    size_t n = (size_t)l->labels.count;

    TRY(mem_new(e, &l->fields, n + 1, sizeof *l->fields, "fields"));
    for (size_t i = 0; i < n; i++) l->fields[i] = l->targets[i].field;
    if (l->cfg->group != NULL) l->fields[n++] = l->cfg->group;
    documents->fields = l->fields;
    documents->fields_count = n;
    documents->words = l->words;
    l->completions = documents->between != NULL;
    return ERR_OK;
}

enum err labelling_new(struct errctx *e, struct run *run, const struct labelling_cfg *cfg,
                       struct documents_cfg *documents, const struct opt_list *paths,
                       struct labelling **out)
{
    const char *first = paths->count > 0 ? paths->items[0] : NULL;
    const bool conll = documents_form(documents, first) == DOCUMENT_CONLL;
    struct labelling *l;

    *out = NULL;
    TRY(mem_new(e, &l, 1, sizeof *l, "labels"));
    l->cfg = cfg;
    l->paths = paths;
    l->kept = -1;
    enum err r = parse_label(e, l, conll);
    if (r == ERR_OK) r = check_kinds(e, l, documents, conll);
    for (size_t i = 0; i < cfg->classes.count && r == ERR_OK; i++)
        r = take_classes(e, run, l, cfg->classes.items[i]);
    if (r == ERR_OK) r = set_fields(e, l, documents);
    if (r == ERR_OK)
        *out = l;
    else
        labelling_free(l);
    return r;
}

/* ---- trouble ---- */

static enum err note(struct errctx *e, const struct labelling *l, struct trouble *t,
                     const struct document *d, const char *label, const char *strict,
                     const char *what, size_t n)
{
    char text[sizeof t->what];
    const bool cut = n >= sizeof text;
    size_t shown = cut ? sizeof text - 4 : n;

    while (cut && shown > 0 && ((uint8_t)what[shown] & 0xc0) == 0x80) shown--;
    memcpy(text, what, shown);
    memcpy(text + shown, cut ? "..." : "", cut ? 4 : 1);
    if (l->cfg->strict) {
        if (label == NULL)
            err_set(e, ERR_INPUT, "'%s': line %" PRIu64 ": %s", d->file, d->line, strict);
        else
            err_set(e, ERR_INPUT, "'%s': line %" PRIu64 ": label '%s' %s%s%s%s", d->file, d->line,
                    label, strict, n > 0 ? " '" : "", text, n > 0 ? "'" : "");
        return e->code;
    }
    if (t->count++ > 0) return ERR_OK;
    t->file = d->file;
    t->line = d->line;
    memcpy(t->what, text, sizeof text);
    return ERR_OK;
}

static void say(const struct labelling *l, const struct trouble *t, const char *label,
                const char *what)
{
    const char *quote = t->what[0] != '\0' ? "'" : "", *comma = t->what[0] != '\0' ? " in " : "";

    if (t->count == 0) return;
    prog_warn(
        "%s%s%s%" PRIu64 " of %" PRIu64 " documents %s (first: %s%s%s%s'%s', line %" PRIu64 ")",
        label != NULL ? "label '" : "", label != NULL ? label : "", label != NULL ? "': " : "",
        t->count, l->documents, what, quote, t->what, quote, comma, t->file, t->line);
}

/* That no document has a label is a field misnamed, not an exception. */
static enum err check_given(struct errctx *e, const struct labelling *l, int64_t i)
{
    const struct target *t = &l->targets[i];

    if (t->given > 0 || t->missing.count == 0) return ERR_OK;
    return err_set(e, ERR_INPUT,
                   "label '%s': no document has it (the first without: '%s', line %" PRIu64 ")",
                   l->labels.items[i].name, t->missing.file, t->missing.line);
}

enum err labelling_finish(struct errctx *e, struct labelling *l)
{
    say(l, &l->empty, NULL, "have an empty text and are left out");
    for (int64_t i = 0; i < l->labels.count; i++) {
        const struct label *x = &l->labels.items[i];
        const struct target *t = &l->targets[i];
        TRY(check_given(e, l, i));
        say(l, &t->missing, x->name, "have none");
        say(l, &t->unseen, x->name, "have a class that is not among the known ones");
    }
    say(l, &l->ungrouped, NULL, "have no --group: each is one of its own");
    return ERR_OK;
}

/* ---- values ---- */

static bool is_blank_text(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strchr(" \t\r\n", text[i]) == NULL || text[i] == '\0') return false;
    return true;
}

/* Of two texts either. */
static bool is_empty(const struct labelling *l, const struct document *d)
{
    if (is_blank_text(d->text, d->n)) return true;
    if (d->pair != NULL) return is_blank_text(d->pair, d->pair_n);
    return l->completions && is_blank_text(d->text + d->scored->from, d->n - d->scored->from);
}

/* What a field says: nothing, or n bytes of text. */
static bool has_text(const struct document_field *f)
{
    return (f->value == VALUE_TEXT || f->value == VALUE_NUMBER) && f->n > 0;
}

/* A decimal number with spaces around it at most. */
static bool read_number(const char *text, size_t n, float *out)
{
    char copy[NUMBER_MOST + 1], *end;

    while (n > 0 && *text == ' ') text++, n--;
    while (n > 0 && text[n - 1] == ' ') n--;
    if (n == 0 || n > NUMBER_MOST) return false;
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\0' || strchr("0123456789+-.eE", text[i]) == NULL) return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    *out = (float)strtod(copy, &end);
    return *end == '\0' && isfinite(*out);
}

static enum err bad(struct errctx *e, const struct document *d, const struct label *x,
                    const char *why)
{
    return err_set(e, ERR_INPUT, "'%s': line %" PRIu64 ": label '%s' %s", d->file, d->line, x->name,
                   why);
}

typedef enum err name_fn(struct errctx *e, struct labelling *l, int64_t target,
                         const struct document *d, const char *name, size_t n, int32_t *out);

/* First reading: the name is one of the classes. */
static enum err collect_name(struct errctx *e, struct labelling *l, int64_t i,
                             const struct document *d, const char *name, size_t n, int32_t *out)
{
    struct word_table *t = &l->targets[i].names;

    *out = 0;
    if (memchr(name, '\n', n) != NULL || memchr(name, '\r', n) != NULL ||
        memchr(name, '\0', n) != NULL)
        return bad(e, d, &l->labels.items[i], "has a line break in it");
    TRY(word_table_add(e, t, (const uint8_t *)name, n, 1));
    if (t->arena.len + 5 * t->used <= LABELS_LIMIT) return ERR_OK;
    return err_set(e, ERR_INPUT,
                   "'%s': line %" PRIu64
                   ": label '%s' has %zu classes up to here, more than a stream has room for (is "
                   "it a number, --label %s:number, or an id?)",
                   d->file, d->line, l->labels.items[i].name, t->used, l->labels.items[i].name);
}

/* Second reading: the number of the class, or -1. */
static enum err find_name(struct errctx *e, struct labelling *l, int64_t i,
                          const struct document *d, const char *name, size_t n, int32_t *out)
{
    char copy[256], *longer = NULL;

    *out = -1;
    if (memchr(name, '\0', n) == NULL) {
        if (n >= sizeof copy) TRY(mem_strndup(e, &longer, name, n));
        if (longer == NULL) {
            memcpy(copy, name, n);
            copy[n] = '\0';
        }
        *out = (int32_t)label_class(&l->labels.items[i], longer != NULL ? longer : copy);
        mem_free(longer);
    }
    if (*out >= 0) return ERR_OK;
    return note(e, l, &l->targets[i].unseen, d, l->labels.items[i].name,
                "has a class that is not known:", name, n);
}

static enum err missing(struct errctx *e, struct labelling *l, int64_t i, const struct document *d)
{
    return note(e, l, &l->targets[i].missing, d, l->labels.items[i].name, "is missing", "", 0);
}

static enum err put(struct errctx *e, struct bytes *out, const void *values, size_t count)
{
    const uint32_t n = (uint32_t)count;

    TRY(bytes_append(e, out, &n, sizeof n));
    return bytes_append(e, out, values, 4 * count);
}

static enum err take_class(struct errctx *e, struct labelling *l, int64_t i,
                           const struct document *d, name_fn *fn, struct bytes *out)
{
    const struct document_field *f = &d->fields[i];
    int32_t class = -1;

    if (f->value == VALUE_LIST)
        return bad(e, d, &l->labels.items[i], "is a list (NAME:classes, or NAME:tokens of words)");
    if (!has_text(f)) {
        TRY(missing(e, l, i, d));
    } else {
        l->targets[i].given++;
        TRY(fn(e, l, i, d, f->text, f->n, &class));
    }
    return put(e, out, &class, 1);
}

static enum err take_number(struct errctx *e, struct labelling *l, int64_t i,
                            const struct document *d, struct bytes *out)
{
    const struct document_field *f = &d->fields[i];
    float number = NAN;

    if (f->value == VALUE_LIST) return bad(e, d, &l->labels.items[i], "is a list, not a number");
    if (!has_text(f)) {
        TRY(missing(e, l, i, d));
    } else {
        l->targets[i].given++;
        if (!read_number(f->text, f->n, &number))
            return err_set(e, ERR_INPUT, "'%s': line %" PRIu64 ": label '%s' is no number: '%.*s'",
                           d->file, d->line, l->labels.items[i].name, f->n < 40 ? (int)f->n : 40,
                           f->text);
    }
    return put(e, out, &number, 1);
}

static int compare_indices(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    return (x > y) - (x < y);
}

/* Adds the class of a name to those behind out[from]. */
static enum err add_class(struct errctx *e, struct labelling *l, int64_t i,
                          const struct document *d, name_fn *fn, const char *name, size_t n,
                          struct bytes *out)
{
    int32_t class;

    while (n > 0 && *name == ' ') name++, n--;
    while (n > 0 && name[n - 1] == ' ') n--;
    if (n == 0) return ERR_OK;
    TRY(fn(e, l, i, d, name, n, &class));
    return class >= 0 ? bytes_append(e, out, &class, sizeof class) : ERR_OK;
}

static enum err add_classes(struct errctx *e, struct labelling *l, int64_t i,
                            const struct document *d, name_fn *fn, struct bytes *out)
{
    const struct document_field *f = &d->fields[i];
    const char *separator = l->cfg->separator;

    if (f->value == VALUE_LIST) {
        for (size_t k = 0; k < f->items_count; k++)
            if (has_text(&f->items[k]))
                TRY(add_class(e, l, i, d, fn, f->items[k].text, f->items[k].n, out));
        return ERR_OK;
    }
    if (separator == NULL) return add_class(e, l, i, d, fn, f->text, f->n, out);
    for (const char *s = f->text, *end = s + f->n; s <= end;) {
        const char *stop = memmem(s, (size_t)(end - s), separator, strlen(separator));
        if (stop == NULL) stop = end;
        TRY(add_class(e, l, i, d, fn, s, (size_t)(stop - s), out));
        s = stop + (stop == end ? 1 : strlen(separator));
    }
    return ERR_OK;
}

static enum err take_several(struct errctx *e, struct labelling *l, int64_t i,
                             const struct document *d, name_fn *fn, struct bytes *out)
{
    const struct document_field *f = &d->fields[i];
    const uint32_t none = 0;
    const size_t at = out->len;
    uint32_t n, kept = 0;

    TRY(bytes_append(e, out, &none, sizeof none));
    if (f->value != VALUE_LIST && !has_text(f)) return missing(e, l, i, d);
    l->targets[i].given++;
    TRY(add_classes(e, l, i, d, fn, out));
    int32_t *list = (int32_t *)(void *)(out->data + at + 4);
    n = (uint32_t)((out->len - at - 4) / 4);
    qsort(list, n, sizeof *list, compare_indices);
    for (uint32_t k = 0; k < n; k++)
        if (k == 0 || list[k] != list[k - 1]) list[kept++] = list[k];
    memcpy(out->data + at, &kept, sizeof kept);
    out->len = at + 4 + 4 * (size_t)kept;
    return ERR_OK;
}

static enum err take_tokens(struct errctx *e, struct labelling *l, int64_t i,
                            const struct document *d, name_fn *fn, struct bytes *out)
{
    const struct document_field *f = &d->fields[i];
    const struct label *x = &l->labels.items[i];
    const uint32_t n = (uint32_t)d->words_count;
    const size_t given = f->value == VALUE_LIST ? f->items_count : 0;

    if (f->value == VALUE_TEXT || f->value == VALUE_NUMBER)
        return bad(e, d, x, "is not a list, as the words are");
    if (given == 0 && d->words_count > 0) TRY(missing(e, l, i, d));
    if (given > 0 && given != d->words_count)
        return err_set(e, ERR_INPUT,
                       "'%s': line %" PRIu64 ": label '%s' has %zu items for %zu words", d->file,
                       d->line, x->name, given, d->words_count);
    TRY(bytes_append(e, out, &n, sizeof n));
    for (size_t k = 0; k < d->words_count; k++) {
        int32_t class = -1;
        if (k < given && has_text(&f->items[k])) {
            TRY(fn(e, l, i, d, f->items[k].text, f->items[k].n, &class));
            l->targets[i].given++;
        }
        TRY(bytes_append(e, out, &class, sizeof class));
    }
    return ERR_OK;
}

static enum err take_all(struct errctx *e, struct labelling *l, const struct document *d,
                         name_fn *unknown, struct bytes *out)
{
    for (int64_t i = 0; i < l->labels.count; i++) {
        name_fn *fn = l->targets[i].known ? find_name : unknown;
        switch (l->labels.items[i].kind) {
        case LABEL_CLASS:
            TRY(take_class(e, l, i, d, fn, out));
            break;
        case LABEL_CLASSES:
            TRY(take_several(e, l, i, d, fn, out));
            break;
        case LABEL_NUMBER:
            TRY(take_number(e, l, i, d, out));
            break;
        case LABEL_TOKENS:
            TRY(take_tokens(e, l, i, d, fn, out));
            break;
        }
    }
    return ERR_OK;
}

static enum err take_group(struct errctx *e, struct labelling *l, const struct document *d,
                           uint64_t *group)
{
    const struct document_field *f = &d->fields[l->labels.count];

    if (f->value == VALUE_LIST)
        return err_set(e, ERR_INPUT, "'%s': line %" PRIu64 ": --group '%s' is a list", d->file,
                       d->line, l->cfg->group);
    if (has_text(f)) {
        *group = XXH3_64bits(f->text, f->n);
        return ERR_OK;
    }
    *group = XXH3_64bits(d->text, d->n);
    return note(e, l, &l->ungrouped, d, NULL, "there is no --group", "", 0);
}

enum err labelling_take(struct errctx *e, struct labelling *l, const struct document *d,
                        struct bytes *out, uint64_t *group, bool *keep)
{
    l->documents++;
    *group = 0;
    *keep = !is_empty(l, d);
    if (!*keep) return note(e, l, &l->empty, d, NULL, "the text is empty", "", 0);
    if (l->cfg->group != NULL) TRY(take_group(e, l, d, group));
    return take_all(e, l, d, find_name, out);
}

/* ---- the first reading ---- */

static bool is_pipe(const char *path)
{
    struct stat st;

    if (path != NULL && strcmp(path, "-") != 0) return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    return fstat(STDIN_FILENO, &st) != 0 || !S_ISREG(st.st_mode) ||
           lseek(STDIN_FILENO, 0, SEEK_CUR) != 0;
}

static enum err check_twice(struct errctx *e, const struct labelling *l, const char *label)
{
    for (size_t i = 0; i < (l->paths->count > 0 ? l->paths->count : 1); i++)
        if (is_pipe(l->paths->count > 0 ? l->paths->items[i] : NULL))
            return err_set(e, ERR_USAGE,
                           "the classes of label '%s' stand before the rows, and a pipe cannot be "
                           "read twice to find them: give --classes FILE, or the text as a file",
                           label);
    return ERR_OK;
}

static enum err read_once(struct errctx *e, struct labelling *l, struct documents *d,
                          const struct documents_cfg *cfg)
{
    struct document document;
    bool more = true;

    l->kept = 0;
    for (;;) {
        TRY(documents_next(e, d, &document, &more));
        if (!more) return ERR_OK;
        if (!cfg->fields_only && is_empty(l, &document)) continue;
        l->row.len = 0;
        TRY(take_all(e, l, &document, collect_name, &l->row));
        l->kept++;
    }
}

/* Names that are mostly numbers are no classes when there are about as many as documents, or when
 * they have fractions. */
static void warn_of_names(const struct label *x, const struct target *t)
{
    const size_t distinct = t->names.used;
    size_t numbers = 0, fractions = 0;
    float ignored;

    if (distinct == 1)
        prog_warn("label '%s' has one class only, '%s': there is nothing to tell apart", x->name,
                  x->classes[0]);
    if (t->given < ENOUGH_TO_TELL) return;
    for (int64_t i = 0; i < x->classes_count; i++) {
        const size_t n = strlen(x->classes[i]);
        if (!read_number(x->classes[i], n, &ignored)) continue;
        numbers++;
        fractions += strpbrk(x->classes[i], ".eE") != NULL && ignored != floorf(ignored);
    }
    const bool many = distinct > t->given / 2;
    if (numbers > distinct / 2 && (many || fractions > distinct / 2))
        prog_warn("label '%s' looks like a number: %zu different ones in %" PRIu64
                  " documents (--label %s:number)",
                  x->name, distinct, t->given, x->name);
    else if (many)
        prog_warn("label '%s' has %zu classes in %" PRIu64 " documents: is it an id?", x->name,
                  distinct, t->given);
}

static enum err set_classes(struct errctx *e, struct labelling *l, int64_t i)
{
    struct target *t = &l->targets[i];
    struct bytes text = {0};
    const char **names;
    int64_t count = 0;

    TRY(mem_new(e, &names, t->names.used, sizeof *names, "classes"));
    enum err r = bytes_reserve(e, &text, t->names.arena.len + t->names.used + 1);
    for (size_t k = 0; r == ERR_OK && k < t->names.slots_count; k++) {
        const struct word_entry *w = &t->names.slots[k];
        if (w->count == 0) continue;
        names[count++] = (const char *)text.data + text.len;
        r = bytes_append(e, &text, t->names.arena.data + w->offset, w->len);
        if (r == ERR_OK) r = bytes_append(e, &text, "", 1);
    }
    if (r == ERR_OK) r = label_set_classes(e, &l->labels.items[i], names, count);
    bytes_fini(&text);
    mem_free(names);
    return r;
}

/* The second reading counts anew. */
static enum err end_of_first(struct errctx *e, struct labelling *l)
{
    for (int64_t i = 0; i < l->labels.count; i++) {
        struct target *t = &l->targets[i];
        TRY(check_given(e, l, i));
        if (!t->known) {
            TRY(set_classes(e, l, i));
            warn_of_names(&l->labels.items[i], t);
            word_table_fini(&t->names);
            t->known = true;
        }
        t->given = 0;
        t->missing = t->unseen = (struct trouble){0};
    }
    return ERR_OK;
}

enum err labelling_collect(struct errctx *e, struct labelling *l,
                           const struct documents_cfg *documents)
{
    struct documents_cfg cfg = *documents;
    const char *unknown = NULL;
    struct documents *d;
    bool standard = l->paths->count == 0;

    for (int64_t i = 0; i < l->labels.count && unknown == NULL; i++)
        if (!l->targets[i].known) unknown = l->labels.items[i].name;
    if (unknown == NULL) return ERR_OK;
    TRY(check_twice(e, l, unknown));
    cfg.before_block = NULL;
    cfg.keep = NULL;
    cfg.fields_only = cfg.chat != NULL;
    cfg.chat = NULL;
    TRY(documents_open(e, NULL, &cfg, l->paths, &d));
    const enum err r = read_once(e, l, d, &cfg);
    documents_close(d);
    TRY(r);
    if (cfg.fields_only) l->kept = -1;
    for (size_t i = 0; i < l->paths->count; i++) standard |= strcmp(l->paths->items[i], "-") == 0;
    if (standard && lseek(STDIN_FILENO, 0, SEEK_SET) != 0)
        return err_errno(e, "cannot read standard input again");
    return end_of_first(e, l);
}
