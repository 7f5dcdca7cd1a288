/* SPDX-License-Identifier: Apache-2.0 */
/* source_open.h: a model of another program, by what kind of file it is. */
#ifndef GRAFT_CONVERT_SOURCE_OPEN_H
#define GRAFT_CONVERT_SOURCE_OPEN_H

#include "common/convert/model_source.h"

/* `s` has been through model_source_init. ERR_USAGE: a kind that is no model's. */
enum err source_open(struct errctx *e, struct model_source *s, const char *path,
                     enum source_kind kind) MUST_USE;

#endif
