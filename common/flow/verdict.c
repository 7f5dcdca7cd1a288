/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.c: see verdict.h. */
#include "common/flow/verdict.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "common/base/prog.h"
#include "formats/mp_json.h"

void verdict_print(const struct verdict *v, FILE *out)
{
    const struct stream_summary *s = &v->summary;
    char id[33];
    if (*v->message)
        fprintf(out, "%s: damaged: %s\n", v->name, v->message);
    else if (v->fast)
        fprintf(out, "%s: sealed, %" PRId64 " segments, %" PRIu64 " bytes\n", v->name, s->segments,
                s->compressed);
    else
        fprintf(out, "%s: sound, %s, %" PRId64 " %s, id %s\n", v->name, stream_kind_name(v->kind),
                s->tensors ? s->tensors : s->rows, s->tensors ? "tensors" : "rows",
                id_format(s->id, id));
}

enum err verdict_print_json(struct errctx *e, const struct verdict *v, FILE *out)
{
    const struct stream_summary *s = &v->summary;
    const bool sound = !*v->message, read = sound && !v->fast;
    char id[33];
    json_t *o = json_object();
    json_object_set_new(o, "file", mp_json_text(v->name));
    json_object_set_new(o, "sound", json_boolean(sound));
    json_object_set_new(o, "message", sound ? json_null() : mp_json_text(v->message));
    json_object_set_new(o, "kind", read ? json_string(stream_kind_name(v->kind)) : json_null());
    json_object_set_new(o, "segments", sound ? json_integer(s->segments) : json_null());
    json_object_set_new(o, "rows", read ? json_integer(s->rows) : json_null());
    json_object_set_new(o, "tensors", read ? json_integer(s->tensors) : json_null());
    json_object_set_new(o, "id", read ? json_string(id_format(s->id, id)) : json_null());
    int failed = json_dumpf(o, out, JSON_COMPACT);
    json_decref(o);
    if (failed || putc('\n', out) == EOF) return err_errno(e, "cannot write the answer");
    return ERR_OK;
}

/* What a gap has cost: of tensors the counts say it. */
static void warn_of_gap(const char *path, const struct salvage_gap *g, bool tensors)
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

void verdict_warn_of_losses(const char *path, const struct salvage *s)
{
    for (int64_t i = 0; i < s->gaps_count && i < SALVAGE_GAPS; i++)
        warn_of_gap(path, &s->gaps[i], s->tensors_expected > 0);
    if (s->gaps_count > SALVAGE_GAPS)
        prog_warn("'%s': and %" PRId64 " places more; %" PRIu64 " bytes in all", path,
                  s->gaps_count - SALVAGE_GAPS, s->bytes_lost);
    if (s->tensors_expected)
        prog_warn("'%s': %" PRId64 " of %" PRId64 " tensors are whole", path, s->tensors,
                  s->tensors_expected);
    else if (s->rows_expected >= 0)
        prog_warn("'%s': %" PRId64 " of %" PRId64 " rows are whole", path, s->rows,
                  s->rows_expected);
    else
        prog_warn("'%s': %" PRId64 " rows are whole; how many there were is not known", path,
                  s->rows);
}
