/* SPDX-License-Identifier: Apache-2.0 */
/* parity_support.h: what the tests against other programs share: the cases of tests/parity with
 * what those programs make of them, and the weights and ids that both sides compute from their
 * place (tests/parity/make_model_cases.py), so that no weights are in the files. Failures end the
 * test. */
#ifndef GRAFT_TESTS_PARITY_SUPPORT_H
#define GRAFT_TESTS_PARITY_SUPPORT_H

#include <jansson.h>

#include "tests/unit/model_support.h"

/* Calls check(s, root, case) for each of `count` cases of the file, with the kernels of the CPU on
 * 2 threads. */
typedef void parity_check_fn(struct support *s, const json_t *root, const json_t *test);
void parity_each(const char *path, size_t count, parity_check_fn *check);

/* A number of an object, of an array. */
double parity_real(const json_t *object, const char *key);
double parity_number(const json_t *array, size_t i);
/* The configuration under "config" of a case. */
struct model_config parity_config(const json_t *test);

/* The i-th random number of a stream. */
uint64_t parity_random(uint64_t stream, uint64_t i);
void parity_weights(struct model *m);
/* Token t of a row. */
uint32_t parity_id(int64_t row, int64_t t, int64_t vocab);

#endif
