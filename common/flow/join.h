/* SPDX-License-Identifier: Apache-2.0 */
/* join.h: what is known of several streams before they are read one after another. */
#ifndef GRAFT_FLOW_JOIN_H
#define GRAFT_FLOW_JOIN_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/opts.h"
#include "formats/stream.h"

/* Sets *expect, that of the first input, to the sum over all operands: -1 where one is a pipe.
 * Joining streams of tensors is ERR_INPUT. */
enum err join_expect(struct errctx *e, const struct opt_list *operands,
                     const struct stream_begin *first, struct stream_expect *expect) MUST_USE;

#endif
