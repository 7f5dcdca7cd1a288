/* SPDX-License-Identifier: Apache-2.0 */
/* element.h: one element of any dtype as text that reads back to the same bits, and as a number;
 * of a block-quantised type, one block as text.
 *
 * A block is the hex of its bytes. Floats are hex floats ("0x1.8p+1"), a NaN shows its bits
 * ("nan:400000"); integers are decimal, U64 "0x" and 16 digits (JSON readers keep 53 bits). */
#ifndef GRAFT_FORMATS_ELEMENT_H
#define GRAFT_FORMATS_ELEMENT_H

#include <stdbool.h>
#include "common/base/dtype.h"

enum { ELEMENT_TEXT = 2 * DTYPE_UNIT_LIMIT + 1 };

/* The element at p (not aligned) into buf of ELEMENT_TEXT bytes; returns buf. */
char *element_format(enum dtype t, const void *p, char *buf);
/* False when the text is no such element or out of range. */
bool element_parse(enum dtype t, const char *text, void *p);
/* True when its text is not a JSON number: floats, U64, blocks. */
bool element_is_quoted(enum dtype t);
/* As a double: exact but for large 64-bit integers. Not of blocks (kernels/blocks.h). */
double element_value(enum dtype t, const void *p);

#endif
