/* SPDX-License-Identifier: Apache-2.0 */
/* attr.h: the promises of a declaration that the compiler can hold its callers to. */
#ifndef GRAFT_BASE_ATTR_H
#define GRAFT_BASE_ATTR_H

#define MUST_USE               __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN               __attribute__((noreturn))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
