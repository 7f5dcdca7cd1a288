/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz.h: what the fuzz targets share. A target, fuzz_X.c, is libFuzzer's one function; it reads
 * bytes as if they came from a file and demands what must hold whatever they are:
 *
 *     no crash, no leak, no more memory than the limit (the sanitizers and libFuzzer see to it)
 *     the outcome is success or "the input is bad", said in one line
 *     the target's own law: what was read can be written and read again, two ways agree, ..
 *
 * The same file is linked with replay.c, which runs the committed corpus in `make check`: every
 * input that once found something stays there. `make fuzz` looks for more. */
#ifndef GRAFT_TESTS_FUZZ_H
#define GRAFT_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "formats/stream_salvage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Ends the process, saying so, unless `holds`. */
void fuzz_demand(bool holds, const char *law);
/* ERR_OK, ERR_INPUT and, when `usage`, ERR_USAGE; a failure has a message of one line. */
void fuzz_demand_outcome(const struct errctx *e, bool usage);

/* The name of a file that holds these bytes, until the next call. */
const char *fuzz_file(const void *data, size_t n);

/* A folder in TMPDIR for readers that look for files by name; it is gone when the process ends. */
const char *fuzz_folder(void);
/* A file in it: these bytes, then so many zeros. */
void fuzz_folder_put(const char *name, const void *data, size_t n, size_t zeros);
/* Takes away what was put there. */
void fuzz_folder_empty(void);

/* A look at both ends of a stream, and a salvage of its rows: each is right or says that the input
 * is bad. */
enum err fuzz_glance(const char *path, int64_t *rows);
enum err fuzz_salvage(const char *path, struct salvage *got);

/* An input read bit by bit: what is not there is 0. */
struct fuzz_input {
    const uint8_t *data;
    size_t n;
};
uint32_t fuzz_number(struct fuzz_input *in, size_t bytes);
/* n bytes, or all that are left: *got of them. */
const uint8_t *fuzz_bytes(struct fuzz_input *in, size_t n, size_t *got);

#endif
