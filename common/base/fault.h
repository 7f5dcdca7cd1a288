/* SPDX-License-Identifier: Apache-2.0 */
/* fault.h: makes the nth fallible operation fail. FAULT=n fails the nth allocation, read, write,
 * fsync, rename or thread creation of the process (FAULT=kind:n counts one kind only, e.g.
 * FAULT=write:3; a rename is whatever gives a finished file its name); FAULT=kill:n kills the
 * process, as kill -9 does, before the nth of any kind. Every wrapper in mem.c, io.c and pool.c
 * asks here first. Costs one branch when FAULT is not set.
 */
#ifndef GRAFT_BASE_FAULT_H
#define GRAFT_BASE_FAULT_H

#include <stdbool.h>

enum fault_kind {
    FAULT_ALLOC,
    FAULT_READ,
    FAULT_WRITE,
    FAULT_FSYNC,
    FAULT_RENAME,
    FAULT_THREAD,
    FAULT_OPEN
};

/* True when this operation is the one to fail; sets errno (ENOMEM, EIO, ENOSPC, EIO, EIO, EAGAIN,
 * EMFILE). */
bool fault_here(enum fault_kind kind);

#endif
