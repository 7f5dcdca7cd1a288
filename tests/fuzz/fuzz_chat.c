/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_chat.c: any template over a conversation: the template up to a zero byte, then the messages
 * as JSON (a default where they are none). Laws: the outcome is a text or "the input is bad", in
 * one line; the text is UTF-8; every byte is the template's or a message's; spans lie in the text,
 * in order; twice is the same. */
#include <string.h>

#include "common/text/chat_template.h"
#include "common/text/utf8.h"
#include "tests/fuzz/fuzz.h"

static const char conversation[] =
    "[{\"role\":\"system\",\"content\":\" Be brief. \"},{\"role\":\"user\",\"content\":\"\\u00e9 "
    "x,y\\n\"},{\"role\":\"assistant\",\"content\":\"<think>a</think>b\",\"tool_calls\":[{\"id\":"
    "\"abcdefghi\",\"function\":{\"name\":\"f\",\"arguments\":{\"k\":[1,2.5,null,true]}}}]}]";

static void check(const struct chat_rendering *r, size_t messages)
{
    size_t end = 0;

    fuzz_demand(utf8_valid_prefix((const uint8_t *)r->text, r->n) == r->n, "the text is UTF-8");
    for (size_t i = 0; i < r->n && r->marks != NULL; i++)
        fuzz_demand(r->marks[i] <= messages, "a mark is that of a message");
    for (size_t i = 0; i < r->generated_count; i++) {
        fuzz_demand(r->generated[i].from <= r->generated[i].to && r->generated[i].to <= r->n,
                    "a span lies in the text");
        fuzz_demand(r->generated[i].to >= end, "spans are in the order of their ends");
        end = r->generated[i].to;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct chat_variable variables[] = {{"bos_token", "<s>", 3},
                                                     {"eos_token", "</s>", 4}};
    const uint8_t *zero = n > 0 ? memchr(data, 0, n) : NULL;
    size_t length = zero != NULL ? (size_t)(zero - data) : n;
    struct errctx e = ERRCTX_INIT, again = ERRCTX_INIT;
    struct bytes source = {0};
    struct chat_template *t = NULL;
    struct chat_rendering a = {0}, b = {0};
    json_t *messages =
        zero != NULL ? json_loadb((const char *)zero + 1, n - length - 1, 0, NULL) : NULL;

    if (!json_is_array(messages)) {
        json_decref(messages);
        messages = json_loads(conversation, 0, NULL);
    }
    for (size_t i = 0; i < json_array_size(messages); i++)
        if (!json_is_object(json_array_get(messages, i))) json_array_remove(messages, i--);
    struct chat_input in = {.messages = messages,
                            .tools = json_array_get(messages, 0),
                            .variables = variables,
                            .variables_count = 2,
                            .generation_prompt = n % 2,
                            .today = n % 3 ? "2025-02-03" : NULL};
    fuzz_demand(utf8_append_replaced(&e, data, length, &source) == ERR_OK,
                "text can be made valid");
    if (chat_template_new(&e, (const char *)source.data, source.len, "x", &t) == ERR_OK &&
        chat_template_render(&e, t, &in, &a) == ERR_OK) {
        check(&a, json_array_size(messages));
        fuzz_demand(chat_template_render(&again, t, &in, &b) == ERR_OK && b.n == a.n &&
                        memcmp(a.text, b.text, a.n) == 0,
                    "the same again gives the same");
    } else {
        fuzz_demand_outcome(&e, false);
    }
    chat_rendering_fini(&a);
    chat_rendering_fini(&b);
    chat_template_free(t);
    bytes_fini(&source);
    json_decref(messages);
    return 0;
}
