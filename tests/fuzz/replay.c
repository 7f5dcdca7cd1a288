/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c: runs a fuzz target over every file of its corpus, without libFuzzer: the folders and
 * files given, or tests/fuzz/corpus/NAME for the program fuzz_NAME. Speaks TAP; a target that finds
 * something ends the process after naming the file.
 *
 * Each file is also tried cut short and with bytes changed, the same ones every time. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/io.h"
#include "tests/fuzz/fuzz.h"

enum { LIMIT = 1 << 24, VARIANTS = 20 };

/* Numbers that are the same everywhere (xorshift). */
static uint32_t next(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

static void run_one(const uint8_t *data, size_t n)
{
    /* In memory of exactly its size, so that a sanitizer sees a byte read behind it. */
    uint8_t *exact = malloc(n ? n : 1);
    fuzz_demand(exact != NULL, "memory for an input");
    memcpy(exact, data, n);
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
}

static void run_variants(struct bytes *b)
{
    uint32_t x = 2463534242u ^ (uint32_t)b->len;
    for (int i = 0; i < VARIANTS && b->len > 0; i++) {
        size_t at = next(&x) % b->len;
        uint8_t was = b->data[at];
        if (i % 4 == 0) {
            run_one(b->data, at);
            continue;
        }
        b->data[at] = (uint8_t)(i % 4 == 1 ? was ^ 1u << next(&x) % 8 : next(&x));
        run_one(b->data, b->len);
        b->data[at] = was;
    }
}

static int run_file(const char *path)
{
    struct errctx e = ERRCTX_INIT;
    struct bytes b = {0};
    fprintf(stderr, "# %s\n", path);
    if (io_slurp(&e, path, LIMIT, &b) != ERR_OK) {
        printf("not ok - %s\n", e.message);
        return 1;
    }
    run_one(b.data, b.len);
    run_variants(&b);
    bytes_fini(&b);
    return 0;
}

static int run_folder(const char *path, int *files)
{
    struct dirent **names;
    int failed = 0, n = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char file[4096];
        if (names[i]->d_name[0] != '.') {
            snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
            failed += run_file(file);
            ++*files;
        }
        free(names[i]);
    }
    if (n >= 0) free(names);
    return failed;
}

static int run_path(const char *path)
{
    struct stat st;
    int files = 0;
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    int failed = folder ? run_folder(path, &files) : run_file(path);
    if (folder && files == 0) {
        printf("not ok - '%s' holds no inputs\n", path);
        return 1;
    }
    if (failed == 0) printf("ok - %s\n", path);
    return failed;
}

int main(int argc, char **argv)
{
    char corpus[4096];
    const char *name = strrchr(argv[0], '/');
    name = name ? name + 1 : argv[0];
    if (strncmp(name, "fuzz_", 5) == 0) name += 5;
    snprintf(corpus, sizeof corpus, "tests/fuzz/corpus/%s", name);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%d\n", argc > 1 ? argc - 1 : 1);
    if (argc == 1) return run_path(corpus) != 0;
    int failed = 0;
    for (int i = 1; i < argc; i++) failed += run_path(argv[i]);
    return failed != 0;
}
