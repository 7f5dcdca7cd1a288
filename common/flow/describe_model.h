/* SPDX-License-Identifier: Apache-2.0 */
/* describe_model.h: what a model is, in rows for people, from the meta of its stream alone. */
#ifndef GRAFT_FLOW_DESCRIBE_MODEL_H
#define GRAFT_FLOW_DESCRIBE_MODEL_H

#include <stdio.h>
#include "formats/stream.h"

/* Nothing where meta has no "config". */
void describe_model(const struct stream_begin *b, FILE *out);

#endif
