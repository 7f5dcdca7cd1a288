/* SPDX-License-Identifier: Apache-2.0 */
/* verify.c: checks that streams are whole and sound, and can copy what is whole of one that is not.
 *
 *     graft verify data/train.tokens && scp data/train.tokens cluster: */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "cmd/cmd.h"
#include "formats/stream_salvage.h"

struct opts {
    struct common common;
    bool fast, salvage;
};
static struct opts opts = {.common = COMMON_READING};

static const struct opt table[] = {
    {"fast", 0, OPT_FLAG, offsetof(struct opts, fast), NULL,
     "check seals and tables only: that no byte changed since they were written"},
    {"salvage", 0, OPT_FLAG, offsetof(struct opts, salvage), NULL,
     "copy what is whole of one damaged file to -o, and say what was lost"},
    OPT_END};

static struct opt_set sets[] = {{"Checking", table, &opts},
                                {"Common", common_output, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_json, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

/* Everything: checksums, lengths, counts, ids. */
static enum err read_through(struct errctx *e, const char *path, struct stream_summary *s,
                             enum stream_kind *kind)
{
    struct stream_reader_cfg cfg = cmd_reader_cfg(&opts.common, STREAM_ANY);
    struct stream_reader *r;
    TRY(stream_reader_open(e, NULL, "input", path, &cfg, &r));
    enum err code = stream_reader_check(e, r);
    *s = *stream_reader_summary(r);
    *kind = stream_reader_begin(r)->kind;
    stream_reader_close(r);
    return code;
}

static void print_sound(const char *name, const struct stream_summary *s, enum stream_kind kind)
{
    char id[33];
    if (opts.fast)
        printf("%s: sealed, %" PRId64 " segments, %" PRIu64 " bytes\n", name, s->segments,
               s->compressed);
    else
        printf("%s: sound, %s, %" PRId64 " %s, id %s\n", name, stream_kind_name(kind),
               s->tensors ? s->tensors : s->rows, s->tensors ? "tensors" : "rows",
               id_format(s->id, id));
}

static enum err print_json(struct errctx *e, const char *name, const struct stream_summary *s,
                           enum stream_kind kind, const char *message)
{
    char id[33];
    bool sound = !*message, read = sound && !opts.fast;
    json_t *o = json_object();
    json_object_set_new(o, "file", json_string(mp_utf8(name, strlen(name)) ? name : "?"));
    json_object_set_new(o, "sound", json_boolean(sound));
    json_object_set_new(o, "message", sound ? json_null() : json_string(message));
    json_object_set_new(o, "kind", read ? json_string(stream_kind_name(kind)) : json_null());
    json_object_set_new(o, "segments", sound ? json_integer(s->segments) : json_null());
    json_object_set_new(o, "rows", read ? json_integer(s->rows) : json_null());
    json_object_set_new(o, "tensors", read ? json_integer(s->tensors) : json_null());
    json_object_set_new(o, "id", read ? json_string(id_format(s->id, id)) : json_null());
    int failed = json_dumpf(o, stdout, JSON_COMPACT);
    json_decref(o);
    if (failed || putchar('\n') == EOF) return err_errno(e, "cannot write the answer");
    return ERR_OK;
}

/* One file. Damage is an answer, not a failure: *sound. */
static enum err verify(struct errctx *e, struct cmd *c, const char *path, bool *sound)
{
    struct errctx found = ERRCTX_INIT;
    struct stream_summary s = {0};
    enum stream_kind kind = STREAM_ANY;
    const char *name = path ? path : "-";
    enum err r =
        opts.fast ? stream_check_seals(&found, path, &s) : read_through(&found, path, &s, &kind);
    *sound = r == ERR_OK;
    c->bytes_read += s.compressed;
    if (r != ERR_OK && r != ERR_INPUT) {
        *e = found;
        return r;
    }
    if (opts.common.json) return print_json(e, name, &s, kind, found.message);
    if (*sound && !opts.common.quiet) print_sound(name, &s, kind);
    if (!*sound) printf("%s: damaged: %s\n", name, found.message);
    return ERR_OK;
}

static enum err verify_all(struct errctx *e, struct cmd *c, const struct opt_list *operands)
{
    size_t n = operands->count ? operands->count : 1, damaged = 0;
    for (size_t i = 0; i < n; i++) {
        bool sound;
        TRY(verify(e, c, operands->count ? operands->items[i] : NULL, &sound));
        damaged += !sound;
    }
    return damaged ? err_set(e, ERR_NO, "%zu of %zu damaged", damaged, n) : ERR_OK;
}

/* What a gap has cost: of tensors the counts say it. */
static void print_gap(const char *path, const struct salvage_gap *g, bool tensors)
{
    char cost[96] = "";
    if (g->lost == 0 && !tensors)
        snprintf(cost, sizeof cost, ": no row is lost");
    else if (g->lost > 0 && g->row >= 0)
        snprintf(cost, sizeof cost, ": %" PRId64 " rows after row %" PRId64 " are lost", g->lost,
                 g->row);
    else if (g->row >= 0 && !tensors)
        snprintf(cost, sizeof cost, ": rows after row %" PRId64 " are lost", g->row);
    if (g->from == g->to)
        prog_warn("'%s': ends at byte %" PRIu64 " without an end record%s", path, g->to, cost);
    else
        prog_warn("'%s': bytes %" PRIu64 " to %" PRIu64 " were of no use%s", path, g->from,
                  g->to - 1, cost);
}

static enum err salvage(struct errctx *e, struct cmd *c, const char *path)
{
    struct stream_writer_cfg cfg = cmd_writer_cfg(&opts.common);
    struct salvage s;
    TRY(stream_salvage(e, &c->run, path, opts.common.output, &cfg, &s));
    c->rows_written = s.rows;
    for (int64_t i = 0; i < s.gaps_count && i < SALVAGE_GAPS; i++)
        print_gap(path, &s.gaps[i], s.tensors_expected > 0);
    if (s.gaps_count > SALVAGE_GAPS)
        prog_warn("'%s': and %" PRId64 " places more; %" PRIu64 " bytes in all", path,
                  s.gaps_count - SALVAGE_GAPS, s.bytes_lost);
    if (s.tensors_expected)
        prog_warn("'%s': %" PRId64 " of %" PRId64 " tensors are whole", path, s.tensors,
                  s.tensors_expected);
    else if (s.rows_expected >= 0)
        prog_warn("'%s': %" PRId64 " of %" PRId64 " rows are whole", path, s.rows, s.rows_expected);
    else
        prog_warn("'%s': %" PRId64 " rows are whole; how many there were is not known", path,
                  s.rows);
    return ERR_OK;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct cmd c;
    if (!opts.salvage && opts.common.output) return err_set(e, ERR_USAGE, "-o goes with --salvage");
    if (!opts.salvage && opts.common.level != OPT_UNSET)
        return err_set(e, ERR_USAGE, "-z goes with --salvage");
    if (opts.salvage && (operands->count != 1 || opts.fast || opts.common.json))
        return err_set(e, ERR_USAGE, "--salvage takes one file, and neither --fast nor --json");
    enum err r = cmd_open_run(e, &c, p, &opts.common);
    if (r == ERR_OK)
        r = opts.salvage ? salvage(e, &c, operands->items[0]) : verify_all(e, &c, operands);
    return cmd_close(e, &c, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {.name = "verify",
                           .summary = "check that streams are whole and sound",
                           .synopsis = "[--fast] [--json] [FILE ...]\n--salvage -o OUT FILE",
                           .needs_input = true,
                           .sets = sets,
                           .run = run};
    return prog_main(&p, argc, argv);
}
