/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate_print.c: results as text and JSON. JSON numbers have the 17 digits that give the same
 * double back, so that two results are the same numbers exactly when their lines are the same. */
#include "common/judge/evaluate_print.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/io.h"

/* ---- for people ---- */

static const char *format_number(double x, char *buf, size_t size)
{
    if (isnan(x))
        snprintf(buf, size, "-");
    else if (fabs(x) < 1000)
        snprintf(buf, size, "%.4f", x);
    else
        snprintf(buf, size, "%.6g", x);
    return buf;
}

void evaluate_print_text(const struct evaluate_result *r, const struct evaluate_cfg *cfg, FILE *out)
{
    char value[32], low[32], high[32];
    bool intervals = cfg->bootstrap > 0 && r->documents > 1;
    fprintf(out, "documents       %12" PRId64 "\nrows            %12" PRId64 "\n", r->documents,
            r->rows);
    fprintf(out, "tokens          %12.0f\nbytes           %12.0f\n", r->scored, r->bytes);
    for (int m = 0; m < METRIC_COUNT; m++) {
        const struct interval *i = &r->metric[m];
        fprintf(out, "%-16s%12s", evaluate_metric_name((enum evaluate_metric)m),
                format_number(i->value, value, sizeof value));
        if (intervals && !isnan(i->value))
            fprintf(out, "   %s .. %s", format_number(i->low, low, sizeof low),
                    format_number(i->high, high, sizeof high));
        fputc('\n', out);
    }
    if (intervals)
        fprintf(out, "intervals: %g %%, %" PRId64 " bootstrap resamples of the documents\n",
                100 * cfg->confidence, cfg->bootstrap);
}

/* ---- JSON ---- */

static void set_number(json_t *object, const char *name, const char *suffix, double x)
{
    char key[64];
    snprintf(key, sizeof key, "%s%s", name, suffix);
    json_object_set_new(object, key, isfinite(x) ? json_real(x) : json_null());
}

static void set_count(json_t *object, const char *name, double x)
{
    json_object_set_new(object, name, x == floor(x) ? json_integer((json_int_t)x) : json_real(x));
}

static json_t *inputs_json(const struct run *run)
{
    json_t *list = json_array();
    for (size_t i = 0; i < run->step.inputs_count; i++) {
        const struct lineage_input *in = &run->step.inputs[i];
        char id[33];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "role", in->role, "name", in->name,
                                              "id", id_format(in->content, id)));
    }
    return list;
}

static enum err print_line(struct errctx *e, json_t *object, struct bytes *to)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!text) return err_memory(e, "JSON", 0);
    enum err r = bytes_printf(e, to, "%s\n", text);
    free(text);
    return r;
}

enum err evaluate_print_json(struct errctx *e, const struct evaluate_result *r,
                             const struct evaluate_cfg *cfg, const struct run *run, FILE *out)
{
    json_t *o = json_object();
    struct bytes line = {0};
    for (int m = 0; m < METRIC_COUNT; m++) {
        const char *name = evaluate_metric_name((enum evaluate_metric)m);
        set_number(o, name, "", r->metric[m].value);
        set_number(o, name, "_low", r->metric[m].low);
        set_number(o, name, "_high", r->metric[m].high);
    }
    set_count(o, "documents", (double)r->documents);
    set_count(o, "rows", (double)r->rows);
    set_count(o, "tokens", r->scored);
    set_count(o, "bytes", r->bytes);
    set_count(o, "chars", r->chars);
    if (cfg->window != WINDOW_ROW) {
        json_object_set_new(o, "window",
                            json_string(cfg->window == WINDOW_HALF ? "half" : "rolling"));
        set_count(o, "window_tokens", (double)r->window_tokens);
    }
    set_number(o, "confidence", "", cfg->confidence);
    set_count(o, "resamples", (double)cfg->bootstrap);
    json_object_set_new(o, "seed", json_integer(cfg->seed));
    json_object_set_new(o, "mode", json_string(run->step.mode ? run->step.mode : ""));
    json_object_set_new(o, "cpu", json_string(run->step.cpu ? run->step.cpu : ""));
    json_object_set_new(o, "inputs", inputs_json(run));
    TRY(print_line(e, o, &line));
    fwrite(line.data, 1, line.len, out);
    bytes_fini(&line);
    return ERR_OK;
}

/* bits: whether bits per byte exist for these rows. */
static enum err document_json(struct errctx *e, const struct evaluate_document *d, bool bits,
                              struct bytes *out)
{
    char doc[17];
    json_t *o = json_object();
    double loss = d->scored > 0 ? d->loss / d->scored : NAN;
    snprintf(doc, sizeof doc, "%016" PRIx64, d->doc);
    json_object_set_new(o, "doc", json_string(doc));
    set_count(o, "rows", (double)d->rows);
    set_count(o, "tokens", d->scored);
    set_number(o, "loss", "", loss);
    set_number(o, "perplexity", "", exp(loss));
    set_number(o, "bits_per_byte", "", bits && d->bytes > 0 ? d->loss / log(2) / d->bytes : NAN);
    set_number(o, "top1", "", d->scored > 0 ? d->top1 / d->scored : NAN);
    set_number(o, "top5", "", d->scored > 0 ? d->top5 / d->scored : NAN);
    set_count(o, "bytes", d->bytes);
    set_count(o, "chars", d->chars);
    return print_line(e, o, out);
}

static enum err write_lines(struct errctx *e, const struct evaluate_document *d, int64_t n,
                            bool bits, struct outfile *f)
{
    struct bytes line = {0};
    enum err r = ERR_OK;
    for (int64_t i = 0; r == ERR_OK && i < n; i++) {
        r = document_json(e, &d[i], bits, &line);
        if (r == ERR_OK && (line.len >= 1 << 16 || i + 1 == n)) {
            r = outfile_write(e, f, line.data, line.len);
            line.len = 0;
        }
    }
    bytes_fini(&line);
    return r;
}

enum err evaluate_documents_write(struct errctx *e, const struct evaluation *v,
                                  const struct evaluate_result *r, const char *path)
{
    struct outfile f;
    int64_t n;
    const struct evaluate_document *d = evaluation_documents(v, &n);
    TRY(outfile_open(e, path, &f));
    if (write_lines(e, d, n, !isnan(r->metric[METRIC_BITS_PER_BYTE].value), &f) == ERR_OK)
        return outfile_commit(e, &f);
    outfile_abort(&f);
    return e->code;
}
