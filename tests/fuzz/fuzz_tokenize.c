/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tokenize.c: any text through a byte-level tokenizer of each pre-tokeniser: u8 which, text
 * (faults in its UTF-8 replaced). Laws: decoding gives the text back; a cut where the tokenizer
 * says it may be cut gives the ids of the whole; the scanner written by hand and the regular
 * expression that defines it give the same ids. */
#include <string.h>

#include "common/text/learn_tokenizer.h"
#include "common/text/pretokenize.h"
#include "common/text/tokenizer_run.h"
#include "common/text/utf8.h"
#include "tests/fuzz/fuzz.h"

static const char *const patterns[] = {"gpt2", "cl100k", "llama3", "o200k"};
enum { PATTERNS = sizeof patterns / sizeof patterns[0] };

/* Some words, joined further the more often they come. */
static const char sample[] =
    "the theory of the thing is that the other thing's theirs, they're there; 12 123 1234 "
    "\xc3\xa9t\xc3\xa9 \xc3\xa9tude na\xc3\xafve \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e  \n\n\tthe "
    "aaaa aaaaaaaa aaaaaaaaaaaa aaaa ....  the IT'S It's it's I'LL (the) [the] {the}\r\n the the ";

struct made {
    struct tokenizer_spec spec;
    struct tokenizer *t;
    struct tokenizer_scratch *s;
};

/* Learned over the named pre-tokeniser, or over its regular expression. */
static void make(const char *name, bool as_regex, struct made *m)
{
    struct errctx e = ERRCTX_INIT;
    struct learn_cfg cfg = {.vocab = 320, .min_count = 2, .threads = 1, .pattern = name};
    struct learner *l;
    if (as_regex) {
        cfg.pattern = NULL;
        cfg.regex = pretokenizer_pattern(name);
    }
    fuzz_demand(learner_new(&e, &cfg, &l) == ERR_OK, "a learner begins");
    fuzz_demand(learner_text(&e, l, sample, sizeof sample - 1, true) == ERR_OK, "it takes text");
    fuzz_demand(learner_finish(&e, l, &m->spec) == ERR_OK, "it learns");
    learner_free(l);
    fuzz_demand(tokenizer_new(&e, &m->spec, &m->t) == ERR_OK, "a tokenizer compiles");
    fuzz_demand(tokenizer_scratch_new(&e, m->t, &m->s) == ERR_OK, "scratch can be had");
}

static void encode(struct made *m, const char *text, size_t n, struct id_list *ids,
                   struct offset_list *ends)
{
    struct errctx e = ERRCTX_INIT;
    if (tokenizer_encode(&e, m->t, m->s, text, n, false, ids, ends) != ERR_OK)
        fuzz_demand(false, e.message);
}

static bool same(const struct id_list *a, const struct id_list *b)
{
    if (a->count != b->count) return false;
    return a->count == 0 || memcmp(a->data, b->data, a->count * sizeof *a->data) == 0;
}

static void check(struct made *m, struct made *by_regex, const struct bytes *text, size_t from)
{
    struct errctx e = ERRCTX_INIT;
    struct id_list whole = {0}, parts = {0}, other = {0};
    struct offset_list ends = {0};
    struct bytes back = {0};
    const char *s = (const char *)text->data;
    encode(m, s, text->len, &whole, &ends);
    fuzz_demand(whole.count == 0 || ends.data[whole.count - 1] == text->len, "ids cover the text");
    fuzz_demand(tokenizer_decode(&e, m->t, whole.data, whole.count, true, &back) == ERR_OK,
                "ids can be decoded");
    fuzz_demand(back.len == text->len && (back.len == 0 || !memcmp(back.data, s, back.len)),
                "to the text");
    size_t cut = tokenizer_border(m->t, s, text->len, from < text->len ? from : text->len, false);
    fuzz_demand(cut <= text->len, "a border lies in the text");
    encode(m, s, cut, &parts, NULL);
    encode(m, s + cut, text->len - cut, &parts, NULL);
    fuzz_demand(same(&parts, &whole), "both sides of a border give the ids of the whole");
    encode(by_regex, s, text->len, &other, NULL);
    fuzz_demand(same(&other, &whole), "the scanner does what its expression says");
    mem_free(whole.data);
    mem_free(parts.data);
    mem_free(other.data);
    mem_free(ends.data);
    bytes_fini(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct made made[PATTERNS], by_regex[PATTERNS];
    struct fuzz_input in = {data, n};
    struct errctx e = ERRCTX_INIT;
    struct bytes text = {0};
    uint32_t which = fuzz_number(&in, 1), from = which / PATTERNS * 3;
    which %= PATTERNS;
    if (!made[which].t) {
        make(patterns[which], false, &made[which]);
        make(patterns[which], true, &by_regex[which]);
    }
    fuzz_demand(bytes_reserve(&e, &text, 1) == ERR_OK, "memory for text");
    fuzz_demand(utf8_append_replaced(&e, in.data, in.n, &text) == ERR_OK, "text can be made valid");
    check(&made[which], &by_regex[which], &text, from);
    bytes_fini(&text);
    return 0;
}
