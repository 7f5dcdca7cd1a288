/* SPDX-License-Identifier: Apache-2.0 */
/* zip.h: the members of a zip archive that lies in memory, as numpy.savez writes it: stored, not
 * compressed, so that each is a part of the archive. Deflated and encrypted members are refused.
 *
 *   archive   = (local header, data)*, directory, end
 *   directory = per member: sizes, CRC-32, place of its local header, name
 *   end       = where the directory is; past 65,535 members or 4 GiB in zip64's records
 *
 * Source: PKWARE's APPNOTE, sections 4.3 and 4.5.3. */
#ifndef GRAFT_FORMATS_ZIP_H
#define GRAFT_FORMATS_ZIP_H

#include <stddef.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"

struct zip {
    const uint8_t *data;
    size_t bytes;
    uint64_t at, end; /* in the directory */
    uint64_t members; /* still to come */
    uint64_t seen;    /* bytes of those before */
};

struct zip_member {
    const char *name; /* not NUL-terminated */
    size_t name_bytes;
    uint64_t offset, bytes; /* of its data in the archive */
};

/* Finds the directory. */
enum err zip_begin(struct errctx *e, const uint8_t *data, size_t bytes, struct zip *z) MUST_USE;
/* The next member, its check sum compared; name NULL behind the last one. */
enum err zip_next(struct errctx *e, struct zip *z, struct zip_member *m) MUST_USE;

#endif
