/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_support.c: see fuzz.h. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/stream.h"

void fuzz_demand(bool holds, const char *law)
{
    if (holds) return;
    fprintf(stderr, "does not hold: %s\n", law);
    abort();
}

void fuzz_demand_outcome(const struct errctx *e, bool usage)
{
    if (e->code == ERR_OK) return;
    if (e->code != ERR_INPUT && !(usage && e->code == ERR_USAGE)) {
        fprintf(stderr, "outcome %d: %s\n", e->code, e->message);
        abort();
    }
    fuzz_demand(e->message[0] != '\0', "a failure says something");
    for (const char *c = e->message; *c; c++)
        fuzz_demand((unsigned char)*c >= ' ' && *c != 127, "a message is one line of text");
}

const char *fuzz_file(const void *data, size_t n)
{
    static int fd = -1;
    static char name[32];
    const char *from = data;
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        fuzz_demand(fd >= 0, "a file in memory can be had");
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    }
    fuzz_demand(ftruncate(fd, 0) == 0, "the file can be emptied");
    for (size_t done = 0; done < n;) {
        ssize_t k = pwrite(fd, from + done, n - done, (off_t)done);
        fuzz_demand(k > 0, "the file can be filled");
        done += (size_t)k;
    }
    return name;
}

/* ------------------------------------------------------------------ a folder */

enum { NAMES = 32, NAME_BYTES = 64 };
static char folder[256], names[NAMES][NAME_BYTES];
static int names_count;

static void folder_remove(void)
{
    char path[4096];
    fuzz_folder_empty();
    snprintf(path, sizeof path, "%s/sub", folder);
    rmdir(path);
    rmdir(folder);
}

const char *fuzz_folder(void)
{
    const char *where = getenv("TMPDIR");
    char path[4096];
    if (folder[0]) return folder;
    snprintf(folder, sizeof folder, "%s/graft-fuzz-XXXXXX", where && *where ? where : "/tmp");
    fuzz_demand(mkdtemp(folder) != NULL, "a folder can be made");
    snprintf(path, sizeof path, "%s/sub", folder);
    fuzz_demand(mkdir(path, 0700) == 0, "and one in it");
    atexit(folder_remove);
    return folder;
}

void fuzz_folder_put(const char *name, const void *data, size_t n, size_t zeros)
{
    char path[4096];
    bool known = false;
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    for (int i = 0; i < names_count; i++) known = known || strcmp(names[i], name) == 0;
    fuzz_demand(known || names_count < NAMES, "a file more in the folder");
    if (!known) snprintf(names[names_count++], NAME_BYTES, "%s", name);
    FILE *f = fopen(path, "wb");
    fuzz_demand(f && (n == 0 || fwrite(data, 1, n, f) == n) && fclose(f) == 0 &&
                    truncate(path, (off_t)(n + zeros)) == 0,
                "a file can be written");
}

void fuzz_folder_empty(void)
{
    char path[4096];
    for (int i = 0; i < names_count; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    names_count = 0;
}

/* ------------------------------------------------------------------ streams */

enum err fuzz_glance(const char *path, int64_t *rows)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_begin begin;
    struct stream_summary s;
    struct lineage lineage;
    if (stream_glance(&e, path, &begin, &s, &lineage) == ERR_OK) {
        *rows = s.rows;
        stream_begin_fini(&begin);
        lineage_fini(&lineage);
    }
    fuzz_demand_outcome(&e, false);
    return e.code;
}

enum err fuzz_salvage(const char *path, struct salvage *got)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_writer_cfg cfg = {.level = -100};
    struct run run;
    fuzz_demand(run_init(&e, &run, "verify", "0") == ERR_OK, "a run begins");
    (void)!stream_salvage(&e, &run, path, "/dev/null", &cfg, got);
    run_fini(&run);
    fuzz_demand_outcome(&e, false);
    return e.code;
}

uint32_t fuzz_number(struct fuzz_input *in, size_t bytes)
{
    uint32_t v = 0;
    for (size_t i = 0; i < bytes && in->n > 0; i++) {
        v |= (uint32_t)*in->data++ << (8 * i);
        in->n--;
    }
    return v;
}

const uint8_t *fuzz_bytes(struct fuzz_input *in, size_t n, size_t *got)
{
    const uint8_t *from = in->data;
    *got = n < in->n ? n : in->n;
    if (*got > 0) in->data += *got;
    in->n -= *got;
    return from;
}
