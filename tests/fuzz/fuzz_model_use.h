/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_model_use.h: what must hold of every model of another program that opens, for the targets of
 * its readers. */
#ifndef GRAFT_TESTS_FUZZ_MODEL_USE_H
#define GRAFT_TESTS_FUZZ_MODEL_USE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/convert/source_open.h"
#include "tests/fuzz/fuzz.h"

/* A safetensors file of this header: its length before it, and behind it as many zeros as its
 * tensors say, of a few megabytes at most. */
static inline void fuzz_safetensors_put(const char *name, const uint8_t *header, size_t n)
{
    static const char key[] = "\"data_offsets\"";
    const uint64_t length = n;
    unsigned long long end = 0;
    struct bytes file = {0};
    struct errctx e = ERRCTX_INIT;
    if (bytes_append(&e, &file, &length, sizeof length) != ERR_OK ||
        bytes_append(&e, &file, header, n) != ERR_OK || bytes_append(&e, &file, "", 1) != ERR_OK)
        abort();
    for (const char *at = (const char *)file.data + sizeof length; (at = strstr(at, key)); at++) {
        const char *comma = strchr(at, ',');
        const unsigned long long here = comma ? strtoull(comma + 1, NULL, 10) : 0;
        if (here > end && here < 4 << 20) end = here;
    }
    fuzz_folder_put(name, file.data, file.len - 1, (size_t)end);
    bytes_fini(&file);
}

struct fuzz_count {
    int64_t elements;
};

static inline enum err fuzz_count_put(struct errctx *e, void *ctx, const void *data, int64_t n)
{
    struct fuzz_count *count = ctx;
    (void)e;
    fuzz_demand(data != NULL && n > 0, "numbers come in pieces");
    count->elements += n;
    return ERR_OK;
}

/* Each parameter has as many numbers as its shape says; begin can be made and says the same. */
static inline void fuzz_model_read(const struct model_source *s)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_begin begin;
    struct model_config again;
    int64_t first, bad = 0;
    if (model_source_begin(&e, s, &begin, &first) != ERR_OK) fuzz_demand(false, e.message);
    if (model_config_from_meta(&e, mp_get(&begin.meta, "config"), &again) != ERR_OK)
        fuzz_demand(false, e.message);
    fuzz_demand(begin.tensors_count >= s->matching.params.count, "begin has all parameters");
    for (int64_t i = 0; i < s->matching.params.count; i++) {
        struct fuzz_count count = {0};
        if (matching_read(&e, &s->matching, i, fuzz_count_put, &count, &bad) != ERR_OK)
            fuzz_demand(false, e.message);
        fuzz_demand(count.elements == s->matching.params.items[i].elements,
                    "a parameter has the numbers of its shape");
    }
    stream_begin_fini(&begin);
}

/* What was opened is reported; without findings it is read. Lets go of it. */
static inline void fuzz_model_use(struct errctx *e, struct model_source *s)
{
    static FILE *nowhere;
    struct errctx own = ERRCTX_INIT;
    if (!nowhere) nowhere = fopen("/dev/null", "w");
    if (e->code == ERR_OK) {
        fuzz_demand(model_source_report(&own, s, nowhere) == ERR_OK, "it can be reported");
        fuzz_demand_outcome(&own, false);
        for (size_t i = 0; i < s->findings.count; i++)
            for (const char *c = s->findings.lines[i]; *c; c++)
                fuzz_demand((unsigned char)*c >= ' ' && *c != 127, "a finding is one line of text");
        if (findings_raise(&own, &s->findings) == ERR_OK)
            fuzz_model_read(s);
        else
            fuzz_demand_outcome(&own, false);
    }
    fuzz_demand_outcome(e, false);
    model_source_close(s);
}

#endif
