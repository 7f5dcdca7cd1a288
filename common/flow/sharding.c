/* SPDX-License-Identifier: Apache-2.0 */
/* sharding.c: which part a row belongs to, and the parts' files. */
#include "common/flow/sharding.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/base/rng.h"
#include "common/flow/rowpack.h"
#include "common/flow/split_audit.h"
#include "common/flow/strata.h"

/* Parts by hash are all written at once. */
enum { PARTS_LIMIT = 4096, PARTS_BYTES = 16 << 20 };

#define SHARD_FIELD(f) offsetof(struct sharding_cfg, f)

const struct opt sharding_opts[] = {
    {"split", 0, OPT_STRING, SHARD_FIELD(split), "NAME=FRACTION,...",
     "named parts, by hash of group or document; the fractions add up to 1", 0},
    {"parts", 0, OPT_INT, SHARD_FIELD(parts), "N",
     "so many numbered parts of about the same size, by the same hash", 0, 1, PARTS_LIMIT},
    {"count", 0, OPT_INT, SHARD_FIELD(count), "N", "parts of so many rows, in order", 0, 1, 1e15},
    {"size", 0, OPT_INT, SHARD_FIELD(size), "BYTES",
     "parts of at most so many bytes of raw data, in order", 0, 1, 1e18},
    {"output", 'o', OPT_STRING, SHARD_FIELD(directory), "DIR",
     "directory of the parts, made when it is not there", OPT_UNRECORDED | OPT_PATH | OPT_REQUIRED},
    {"prefix", 0, OPT_STRING, SHARD_FIELD(prefix), "NAME", "name of numbered parts, before -00000",
     OPT_UNRECORDED},
    {"stratify", 0, OPT_STRING, SHARD_FIELD(stratify), "LABEL",
     "divide each class of this label in the proportions of --split"},
    {"allow-untrained", 0, OPT_FLAG, SHARD_FIELD(allow_untrained), NULL,
     "let classes be of which the part to train on has no example"},
    {"memory", 0, OPT_INT, SHARD_FIELD(memory), "BYTES",
     "rows to hold in memory for --stratify; what is over goes to TMPDIR", OPT_UNRECORDED, 1 << 20,
     1e15},
    OPT_END};

struct part {
    char *name; /* "train", "part-00003" */
    char *path;
    double upto; /* sum of the fractions up to and with this one */
    struct stream_writer *writer;
    int64_t rows;
    uint64_t bytes;
};

struct sharding {
    struct sharding_cfg cfg;
    struct run *run;
    struct stream_begin begin;
    struct stream_writer_cfg writer;
    struct rng_key key;
    struct rowpack pack;
    int64_t hash_column; /* group or doc, -1: hash of the row */
    struct part *parts;
    size_t count, capacity;
    uint8_t *scratch;
    size_t scratch_capacity;
    bool by_hash; /* split or parts: all are open from the beginning */
    struct labels labels;
    struct strata *strata; /* NULL: not stratified */
    int64_t part_column;
    struct split_audit *audit; /* of a split */
    const char **names;
    size_t train;  /* the part to train on */
    bool is_train; /* it is called so */
    bool made_directory;
};

/* ---- names ---- */

static bool name_is_safe(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr("_-.", s[i])) return false;
    return n > 0 && n <= 200 && s[0] != '.' && s[0] != '-';
}

/* DIR/NAME.KIND as new memory. */
static enum err part_path(struct errctx *e, const struct sharding *s, const char *name, char **path)
{
    const char *directory = s->cfg.directory;
    size_t n = strlen(directory);
    return mem_printf(e, path, "%s%s%s.%s", directory, directory[n - 1] == '/' ? "" : "/", name,
                      stream_kind_name(s->begin.kind));
}

static enum err part_add(struct errctx *e, struct sharding *s, const char *name, double upto)
{
    if (!name_is_safe(name))
        return err_set(e, ERR_USAGE,
                       "'%s' cannot be the name of a part: use letters, digits, '_', '-' and '.'",
                       name);
    TRY(mem_grow(e, &s->parts, &s->capacity, s->count + 1, sizeof *s->parts, "parts"));
    struct part *p = &s->parts[s->count++];
    *p = (struct part){.upto = upto};
    TRY(mem_strdup(e, &p->name, name));
    return part_path(e, s, name, &p->path);
}

static enum err part_open(struct errctx *e, struct sharding *s, struct part *p)
{
    enum err r = stream_writer_open(e, s->run, p->path, &s->begin, &s->writer, &p->writer);
    if (r != ERR_OK && (errno == EMFILE || errno == ENFILE))
        return err_prefix(e, "part %zu (all are kept open to the end: make fewer, larger ones)",
                          s->count);
    return r;
}

/* ---- --split NAME=FRACTION,... ---- */

/* One "NAME=FRACTION", which it may write into. */
static enum err split_item(struct errctx *e, struct sharding *s, char *item, double *sum)
{
    char *equals = strchr(item, '=');
    double fraction;
    if (!equals)
        return err_set(e, ERR_USAGE, "--split '%s': '%s' is not NAME=FRACTION", s->cfg.split, item);
    *equals = '\0';
    if (!opts_parse_real(equals + 1, &fraction) || fraction <= 0 || fraction > 1)
        return err_set(e, ERR_USAGE,
                       "--split '%s': the fraction of '%s' is not a number above 0 and at most 1",
                       s->cfg.split, item);
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->parts[i].name, item) == 0)
            return err_set(e, ERR_USAGE, "--split '%s': '%s' stands there twice", s->cfg.split,
                           item);
    *sum += fraction;
    return part_add(e, s, item, *sum);
}

static enum err split_items(struct errctx *e, struct sharding *s, char *text, double *sum)
{
    for (char *next; text; text = next) {
        next = strchr(text, ',');
        if (next) *next++ = '\0';
        TRY(split_item(e, s, text, sum));
    }
    return ERR_OK;
}

static enum err split_parse(struct errctx *e, struct sharding *s)
{
    char *text;
    double sum = 0;
    TRY(mem_strdup(e, &text, s->cfg.split));
    enum err r = split_items(e, s, text, &sum);
    mem_free(text);
    if (r != ERR_OK) return r;
    if (sum < 1 - 1e-9)
        return err_set(
            e, ERR_USAGE,
            "--split '%s': the fractions add up to %.10g, not 1: name the rest, too, as in "
            "rest=%.10g",
            s->cfg.split, sum, 1 - sum);
    if (sum > 1 + 1e-9)
        return err_set(e, ERR_USAGE, "--split '%s': the fractions add up to %.10g, not 1",
                       s->cfg.split, sum);
    s->parts[s->count - 1].upto = INFINITY;
    return ERR_OK;
}

/* A fixed column of one U64, or -1. */
static int64_t hash_column(const struct stream_begin *b, const char *name)
{
    int64_t c = stream_begin_find_column(b, name);
    return c >= 0 && b->columns[c].dtype == DTYPE_U64 && b->columns[c].dims == 0 ? c : -1;
}

static enum err split_hash(struct errctx *e, struct sharding *s, const struct stream_rows *rows,
                           int64_t i, uint64_t *hash)
{
    if (s->hash_column >= 0) {
        memcpy(hash, rows->data[s->hash_column] + (size_t)i * sizeof *hash, sizeof *hash);
        return ERR_OK;
    }
    uint32_t size;
    TRY(rowpack_size(e, &s->pack, rows, i, &size));
    TRY(mem_grow(e, &s->scratch, &s->scratch_capacity, size, 1, "a row"));
    rowpack_put(&s->pack, rows, i, s->scratch);
    *hash = XXH3_64bits(s->scratch, size);
    return ERR_OK;
}

/* The first part whose fractions, added up, exceed the row's number. */
static enum err split_part(struct errctx *e, struct sharding *s, const struct stream_rows *rows,
                           int64_t i, size_t *part)
{
    uint64_t hash;
    TRY(split_hash(e, s, rows, i, &hash));
    double u = rng_uniform(s->key, (uint32_t)hash, (uint32_t)(hash >> 32), 0, 0);
    size_t low = 0, high = s->count - 1; /* it is one of low .. high */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (u < s->parts[middle].upto)
            high = middle;
        else
            low = middle + 1;
    }
    *part = low;
    return ERR_OK;
}

/* ---- numbered parts ---- */

/* The name of the next part, "part-00003". */
static enum err numbered_name(struct errctx *e, const struct sharding *s, char **name)
{
    return mem_printf(e, name, "%s-%05zu", s->cfg.prefix, s->count);
}

static enum err split_equally(struct errctx *e, struct sharding *s)
{
    for (int64_t i = 1; i <= s->cfg.parts; i++) {
        char *name;
        double upto = i < s->cfg.parts ? (double)i / (double)s->cfg.parts : INFINITY;
        TRY(numbered_name(e, s, &name));
        enum err r = part_add(e, s, name, upto);
        mem_free(name);
        if (r != ERR_OK) return r;
    }
    return ERR_OK;
}

/* Parts that are written at once share threads and memory. */
static void share_resources(struct sharding *s)
{
    int threads = s->writer.threads, count = (int)s->count;
    if (count > 1) s->writer.threads = count <= threads ? threads / count : count <= 16 ? 1 : 0;
    if (count > 16) s->writer.record_bytes = PARTS_BYTES / s->count;
}

static enum err next_part(struct errctx *e, struct sharding *s)
{
    char *name;
    TRY(numbered_name(e, s, &name));
    enum err r = part_add(e, s, name, 0);
    mem_free(name);
    return r != ERR_OK ? r : part_open(e, s, &s->parts[s->count - 1]);
}

/* Has it no room for a further row of so many bytes? `pending` rows are about to be put into it. */
static bool part_is_full(const struct sharding *s, const struct part *p, int64_t pending,
                         uint64_t bytes)
{
    int64_t rows = p->rows + pending;
    if (s->cfg.count != OPT_UNSET) return rows >= s->cfg.count;
    return rows > 0 && p->bytes + bytes > (uint64_t)s->cfg.size;
}

/* ---- the whole ---- */

enum err sharding_cfg_check(struct errctx *e, const struct sharding_cfg *cfg)
{
    if (!cfg->split && (cfg->stratify || cfg->allow_untrained))
        return err_set(e, ERR_USAGE, "%s is for --split",
                       cfg->stratify ? "--stratify" : "--allow-untrained");
    int ways = (cfg->split != NULL) + (cfg->parts != OPT_UNSET) + (cfg->count != OPT_UNSET) +
               (cfg->size != OPT_UNSET);
    if (ways != 1)
        return err_set(e, ERR_USAGE,
                       "say how to divide: one of --split NAME=FRACTION,..., --parts N, --count N "
                       "and --size BYTES");
    if (!cfg->directory || !*cfg->directory)
        return err_set(e, ERR_USAGE, "say where the parts go: -o DIR");
    if (!name_is_safe(cfg->prefix))
        return err_set(e, ERR_USAGE, "--prefix '%s': use letters, digits, '_', '-' and '.'",
                       cfg->prefix);
    return ERR_OK;
}

static enum err make_directory(struct errctx *e, struct sharding *s)
{
    struct stat st;
    if (mkdir(s->cfg.directory, 0777) == 0) {
        s->made_directory = true;
        return ERR_OK;
    }
    if (errno != EEXIST) return err_errno(e, "cannot make directory '%s'", s->cfg.directory);
    if (stat(s->cfg.directory, &st) != 0) return err_errno(e, "cannot use '%s'", s->cfg.directory);
    return S_ISDIR(st.st_mode)
               ? ERR_OK
               : err_set(e, ERR_USAGE, "-o '%s' is not a directory", s->cfg.directory);
}

/* Parts by count or size may be many, and each keeps a descriptor until all are complete. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        errno = 0; /* then the limit shows when a part cannot be opened */
}

static enum err start_strata(struct errctx *e, struct sharding *s, const char *name)
{
    const struct label *label;
    TRY(labels_from_begin(e, &s->begin, &s->labels));
    TRY(labels_find(e, &s->labels, s->cfg.stratify, name, &label));
    if (label->kind != LABEL_CLASS && label->kind != LABEL_CLASSES)
        return err_set(e, ERR_USAGE,
                       "--stratify '%s': a label of kind %s does not divide documents", label->name,
                       label_kind_name(label->kind));
    if (s->hash_column < 0)
        return err_set(e, ERR_INPUT, "'%s' has no column 'doc' to split by", name);
    s->part_column = stream_begin_find_column(&s->begin, "part");
    if (s->part_column >= 0 && (s->begin.columns[s->part_column].dtype != DTYPE_U32 ||
                                s->begin.columns[s->part_column].dims != 0))
        s->part_column = -1;
    return strata_new(e, &s->pack, label, s->key, s->cfg.memory, &s->strata);
}

static enum err start_audit(struct errctx *e, struct sharding *s)
{
    TRY(mem_new(e, &s->names, s->count, sizeof *s->names, "parts"));
    for (size_t i = 0; i < s->count; i++) {
        s->names[i] = s->parts[i].name;
        if (strcmp(s->parts[i].name, "train") != 0) continue;
        s->train = i;
        s->is_train = true;
    }
    const bool plain = mp_get(&s->begin.meta, "labels") == NULL &&
                       stream_begin_find_column(&s->begin, "group") < 0;
    return split_audit_new(e, &s->begin, s->names, s->count, s->train,
                           plain ? SPLIT_AUDIT_PLAIN : SPLIT_AUDIT_LABELLED, &s->audit);
}

static enum err sharding_start(struct errctx *e, struct sharding *s,
                               const struct stream_begin *begin, const char *name)
{
    TRY(stream_begin_copy(e, begin, &s->begin));
    s->begin.expect = (struct stream_expect){-1, -1}; /* how the rows fall is not known before */
    TRY(rowpack_init(e, &s->begin, name, &s->pack));
    s->hash_column = hash_column(&s->begin, "group");
    if (s->hash_column < 0) s->hash_column = hash_column(&s->begin, "doc");
    s->by_hash = s->cfg.split || s->cfg.parts != OPT_UNSET;
    if (s->cfg.split) TRY(split_parse(e, s));
    if (s->cfg.stratify) TRY(start_strata(e, s, name));
    if (s->cfg.split) TRY(start_audit(e, s));
    if (s->cfg.parts != OPT_UNSET) TRY(split_equally(e, s));
    TRY(make_directory(e, s));
    if (!s->cfg.split) raise_descriptor_limit();
    if (!s->by_hash) return next_part(e, s);
    share_resources(s);
    for (size_t i = 0; i < s->count; i++) TRY(part_open(e, s, &s->parts[i]));
    return ERR_OK;
}

enum err sharding_new(struct errctx *e, const struct sharding_cfg *cfg, struct run *run,
                      const struct stream_begin *begin, const char *name,
                      const struct stream_writer_cfg *writer, struct sharding **out)
{
    TRY(mem_new(e, out, 1, sizeof **out, "shard"));
    struct sharding *s = *out;
    s->cfg = *cfg;
    s->run = run;
    s->writer = *writer;
    s->key = rng_key_make((uint64_t)cfg->seed, RNG_SPLIT);
    enum err r = sharding_start(e, s, begin, name);
    if (r == ERR_OK) return ERR_OK;
    sharding_free(s);
    *out = NULL;
    return r;
}

void sharding_free(struct sharding *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->count; i++) {
        stream_writer_abort(s->parts[i].writer);
        mem_free(s->parts[i].name);
        mem_free(s->parts[i].path);
    }
    /* Only a directory that is empty goes: if parts are in place, it stays. */
    if (s->made_directory && rmdir(s->cfg.directory) != 0) errno = 0;
    strata_free(s->strata);
    split_audit_free(s->audit);
    labels_fini(&s->labels);
    mem_free(s->names);
    stream_begin_fini(&s->begin);
    rowpack_fini(&s->pack);
    mem_free(s->parts);
    mem_free(s->scratch);
    mem_free(s);
}

/* Rows [from, to), which go to one part. */
static enum err put_rows(struct errctx *e, struct sharding *s, size_t part,
                         const struct stream_rows *rows, int64_t from, int64_t to)
{
    if (from == to) return ERR_OK;
    s->parts[part].rows += to - from;
    if (s->audit) TRY(split_audit_add(e, s->audit, part, rows, from, to));
    return stream_writer_rows(e, s->parts[part].writer, rows, from, to);
}

static enum err add_by_hash(struct errctx *e, struct sharding *s, const struct stream_rows *rows)
{
    int64_t from = 0;
    size_t part = 0;
    for (int64_t i = 0; i < rows->n; i++) {
        size_t next;
        TRY(split_part(e, s, rows, i, &next));
        if (next != part) {
            TRY(put_rows(e, s, part, rows, from, i));
            from = i;
        }
        part = next;
    }
    return put_rows(e, s, part, rows, from, rows->n);
}

static enum err add_in_order(struct errctx *e, struct sharding *s, const struct stream_rows *rows)
{
    int64_t from = 0;
    for (int64_t i = 0; i < rows->n; i++) {
        struct part *p = &s->parts[s->count - 1];
        uint64_t bytes = s->cfg.size != OPT_UNSET ? rowpack_raw_bytes(&s->pack, rows, i) : 0;
        if (part_is_full(s, p, i - from, bytes)) {
            TRY(put_rows(e, s, s->count - 1, rows, from, i));
            TRY(stream_writer_rest(e, p->writer)); /* its end waits for that of the input */
            TRY(next_part(e, s));
            p = &s->parts[s->count - 1];
            from = i;
        }
        p->bytes += bytes;
    }
    return put_rows(e, s, s->count - 1, rows, from, rows->n);
}

static enum err add_to_strata(struct errctx *e, struct sharding *s, const struct stream_rows *rows)
{
    for (int64_t i = 0; i < rows->n; i++) {
        uint64_t hash;
        uint32_t part = 0;
        TRY(split_hash(e, s, rows, i, &hash));
        if (s->part_column >= 0)
            memcpy(&part, rows->data[s->part_column] + (size_t)i * sizeof part, sizeof part);
        TRY(strata_add(e, s->strata, rows, i, hash, part == 0));
    }
    return ERR_OK;
}

static enum err put_stratum(struct errctx *e, void *ctx, size_t part,
                            const struct stream_rows *rows)
{
    return put_rows(e, ctx, part, rows, 0, rows->n);
}

static enum err write_strata(struct errctx *e, struct sharding *s)
{
    double *upto;
    TRY(mem_new(e, &upto, s->count, sizeof *upto, "parts"));
    for (size_t i = 0; i < s->count; i++) upto[i] = s->parts[i].upto;
    const enum err r = strata_assign(e, s->strata, upto, s->count);
    mem_free(upto);
    return r != ERR_OK ? r : strata_write(e, s->strata, put_stratum, s);
}

/* A part that is not called so need not be one to train on. */
static enum err look_at_split(struct errctx *e, struct sharding *s)
{
    split_audit_warn(s->audit);
    if (s->cfg.allow_untrained || split_audit_check(e, s->audit) == ERR_OK) return ERR_OK;
    if (s->is_train) return e->code;
    prog_warn("%s", e->message);
    err_clear(e);
    return ERR_OK;
}

enum err sharding_add(struct errctx *e, struct sharding *s, const struct stream_rows *rows)
{
    if (s->strata) return add_to_strata(e, s, rows);
    return s->by_hash ? add_by_hash(e, s, rows) : add_in_order(e, s, rows);
}

/* A run with fewer parts must not leave later ones of another run beside its own: a glob would read
 * both. */
static enum err check_leftover(struct errctx *e, const struct sharding *s)
{
    char *name, *path = NULL;
    if (s->cfg.split) return ERR_OK; /* names are not a sequence */
    TRY(numbered_name(e, s, &name));
    enum err r = part_path(e, s, name, &path);
    mem_free(name);
    if (r == ERR_OK && access(path, F_OK) == 0)
        r = err_set(e, ERR_USAGE,
                    "'%s' is left from another run, and this one has only %zu parts: remove it "
                    "first",
                    path, s->count);
    mem_free(path);
    return r;
}

/* Says in the record of the run which part is written now. */
static enum err record_part(struct errctx *e, struct run *run, const char *name)
{
    struct lineage_step *step = &run->step;
    if (step->options_count > 0 &&
        strcmp(step->options[step->options_count - 1].name, "part") == 0) {
        struct lineage_option *part = &step->options[step->options_count - 1];
        mem_free(part->value);
        return mem_strdup(e, &part->value, name);
    }
    return run_option(e, run, "part", name);
}

enum err sharding_finish(struct errctx *e, struct sharding *s, int64_t *rows, uint64_t *bytes)
{
    TRY(check_leftover(e, s));
    if (s->strata) TRY(write_strata(e, s));
    if (s->audit) TRY(look_at_split(e, s));
    for (size_t i = 0; i < s->count; i++) {
        TRY(record_part(e, s->run, s->parts[i].name));
        TRY(stream_writer_finish(e, s->parts[i].writer));
        *rows += s->parts[i].rows;
        *bytes += stream_writer_summary(s->parts[i].writer)->compressed;
        prog_progress_count("parts finished", (int64_t)i, (int64_t)s->count);
    }
    for (size_t i = 0; i < s->count; i++) {
        struct stream_writer *w = s->parts[i].writer;
        s->parts[i].writer = NULL;
        TRY(stream_writer_commit(e, w));
        prog_note("%s: %" PRId64 " rows", s->parts[i].path, s->parts[i].rows);
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->parts[i].rows == 0) prog_warn("'%s' is empty: no row fell there", s->parts[i].path);
    return ERR_OK;
}
