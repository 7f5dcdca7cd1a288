/* SPDX-License-Identifier: Apache-2.0 */
/* asan.h: memory that must not be touched for a while, said to AddressSanitizer where the build has
 * it; elsewhere nothing. For memory that is given out in parts from one block, which the sanitizer
 * takes for one object. Addresses and sizes are multiples of 8. */
#ifndef GRAFT_BASE_ASAN_H
#define GRAFT_BASE_ASAN_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define ASAN_ON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN_ON 1
#endif
#endif

#ifdef ASAN_ON
#include <sanitizer/asan_interface.h>
#define asan_poison(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define asan_unpoison(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#define asan_poisoned(p)    __asan_address_is_poisoned(p)
#else
#define ASAN_ON             0
#define asan_poison(p, n)   ((void)(p), (void)(n))
#define asan_unpoison(p, n) ((void)(p), (void)(n))
#define asan_poisoned(p)    ((void)(p), 0)
#endif

#endif
