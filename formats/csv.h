/* SPDX-License-Identifier: Apache-2.0 */
/* csv.h: records of separated values.
 *
 * Comma: RFC 4180. A field in quotes may hold commas, newlines and doubled quotes; lines end in LF
 * or CRLF; a quote inside an unquoted field, or text behind a closing quote, is an error with its
 * line. Tab: text/tab-separated-values; nothing is quoted, a field holds neither tab nor newline.
 */
#ifndef GRAFT_FORMATS_CSV_H
#define GRAFT_FORMATS_CSV_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/mem.h"

struct csv_record {    /* zero-initialised, reused */
    struct bytes text; /* fields end to end, each followed by a NUL */
    size_t *start;     /* fields + 1; field i has start[i + 1] - start[i] - 1 bytes */
    size_t fields, capacity;
    uint64_t lines; /* that the record takes up */
};
void csv_record_fini(struct csv_record *r);
const char *csv_field(const struct csv_record *r, size_t i, size_t *n);

/* One record at data[0..n): *used bytes of it, 0 when the record goes on behind n and `eof` is
 * false. `line` is its number in the file, for messages. n > 0. */
enum err csv_parse(struct errctx *e, const char *data, size_t n, bool eof, char separator,
                   uint64_t line, struct csv_record *out, size_t *used) MUST_USE;

#endif
