/* SPDX-License-Identifier: Apache-2.0 */
/* documents_count.h: how many documents text files hold, where that is seen by counting lines: a
 * hint for progress further down, made before the files are read in earnest. */
#ifndef GRAFT_TEXT_DOCUMENTS_COUNT_H
#define GRAFT_TEXT_DOCUMENTS_COUNT_H

#include "common/text/documents.h"

/* -1 when it is not known: a pipe, a table, or more than a gigabyte of lines, which would take
 * longer to count than the hint is worth. */
int64_t documents_count(const struct documents_cfg *cfg, const struct opt_list *paths);

#endif
