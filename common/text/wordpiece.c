/* SPDX-License-Identifier: Apache-2.0 */
/* wordpiece.c: see wordpiece.h. */
#include "common/text/wordpiece.h"
#include "common/text/utf8.h"

/* The longest token at word[at..n): its end, or `at`; later tokens are looked up behind the prefix.
 */
static size_t longest(const struct wordpiece *w, const uint8_t *prefixed, size_t prefix_len,
                      size_t n, uint32_t *id)
{
    size_t end = n;

    if (end + prefix_len > w->vocab->longest)
        end = w->vocab->longest > prefix_len ? w->vocab->longest - prefix_len : 0;
    for (; end > 0; end--) {
        if (end < n && (prefixed[prefix_len + end] & 0xc0) == 0x80)
            continue; /* inside a character */
        int64_t found = vocab_map_find(w->vocab, prefixed, prefix_len + end);
        if (found < 0) continue;
        *id = (uint32_t)found;
        return end;
    }
    return 0;
}

enum err wordpiece_encode(struct errctx *e, const struct wordpiece *w, struct bytes *buffer,
                          const uint8_t *word, size_t n, uint32_t *ids, size_t *count)
{
    size_t at = 0, k = 0;

    *count = 1;
    ids[0] = w->unknown;
    if (n > 4 * w->max_chars || utf8_count(word, n) > w->max_chars) return ERR_OK;
    buffer->len = 0;
    TRY(bytes_append(e, buffer, w->prefix, w->prefix_len));
    TRY(bytes_append(e, buffer, word, n));
    while (at < n) {
        /* the prefix is laid over what has been taken: `prefix` + rest stands end to end */
        uint8_t *rest = buffer->data + w->prefix_len + at;
        size_t prefix = at == 0 ? 0 : w->prefix_len;
        if (prefix > 0) memcpy(rest - prefix, w->prefix, prefix);
        size_t taken = longest(w, rest - prefix, prefix, n - at, &ids[k]);
        if (taken == 0) {
            ids[0] = w->unknown;
            return ERR_OK;
        }
        at += taken;
        k++;
    }
    *count = k;
    return ERR_OK;
}
