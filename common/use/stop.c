/* SPDX-License-Identifier: Apache-2.0 */
/* stop.c: plain search: stop strings are few and short, and each byte of a text is looked at about
 * once per string. */
#include "common/use/stop.h"

#include <string.h>

size_t stop_find(const struct opt_list *stops, const char *text, size_t old, size_t n)
{
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < stops->count; i++) {
        size_t length = strlen(stops->items[i]);
        size_t from = old >= length ? old - length + 1 : 0;
        const char *found =
            n > from ? memmem(text + from, n - from, stops->items[i], length) : NULL;
        if (found && (size_t)(found - text) < first) first = (size_t)(found - text);
    }
    return first;
}

size_t stop_held(const struct opt_list *stops, const char *text, size_t n)
{
    size_t held = 0;
    for (size_t i = 0; i < stops->count; i++) {
        size_t length = strlen(stops->items[i]) - 1;
        for (size_t k = length < n ? length : n; k > held; k--)
            if (memcmp(text + n - k, stops->items[i], k) == 0) held = k;
    }
    return held;
}
