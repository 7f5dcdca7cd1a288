/* SPDX-License-Identifier: Apache-2.0 */
/* test_chat_template.c: conversations by the templates of the models, and small templates that show
 * one construct each, against what transformers makes of them (tests/parity/chat_cases.json); what
 * is refused, and by which words; whose words each byte is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/base/io.h"
#include "common/text/chat_template.h"

static json_t *read_cases(void)
{
    json_error_t error;
    json_t *root = json_load_file("tests/parity/chat_cases.json", 0, &error);
    assert_non_null(root);
    return root;
}

static struct chat_variable variable(const json_t *root, const char *name)
{
    const json_t *v = json_object_get(root, name);
    return (struct chat_variable){name, json_string_value(v), json_string_length(v)};
}

/* One case: the text, or NULL where it must be refused. */
static void check(const json_t *root, const char *source, size_t n, const struct chat_input *what,
                  const json_t *want)
{
    struct errctx e = ERRCTX_INIT;
    struct chat_variable variables[] = {variable(root, "bos_token"), variable(root, "eos_token")};
    struct chat_input in = *what;
    struct chat_template *t;
    struct chat_rendering got = {0};

    in.variables = variables;
    in.variables_count = 2;
    in.today = json_string_value(json_object_get(root, "today"));
    if (chat_template_new(&e, source, n, "x", &t) == ERR_OK)
        (void)!chat_template_render(&e, t, &in, &got);
    if (json_is_null(want)) {
        assert_int_equal(e.code, ERR_INPUT);
        assert_non_null(strstr(e.message, "line "));
    } else {
        if (e.code != ERR_OK) fail_msg("%s\n%.*s", e.message, (int)n, source);
        if (got.n != json_string_length(want) ||
            memcmp(got.text, json_string_value(want), got.n) != 0)
            fail_msg("of  %.*s\ngot  [%.*s]\nwant [%s]", (int)n, source, (int)got.n, got.text,
                     json_string_value(want));
    }
    chat_rendering_fini(&got);
    chat_template_free(t);
}

static void templates_of_models(void **state)
{
    json_t *root = read_cases();
    const json_t *cases = json_object_get(root, "cases");
    (void)state;

    assert_int_equal(json_array_size(cases), 480);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *test = json_array_get(cases, i);
        const char *name = json_string_value(json_object_get(test, "template"));
        const char *conversation = json_string_value(json_object_get(test, "conversation"));
        struct errctx e = ERRCTX_INIT;
        struct bytes source = {0};
        char path[256];
        struct chat_input in = {
            .messages = json_object_get(json_object_get(root, "conversations"), conversation),
            .tools = json_is_true(json_object_get(test, "tools")) ? json_object_get(root, "tools")
                                                                  : NULL,
            .generation_prompt = json_is_true(json_object_get(test, "prompt"))};
        snprintf(path, sizeof path, "tests/parity/chat_templates/%s.jinja", name);
        assert_int_equal(io_slurp(&e, path, CHAT_TEMPLATE_LIMIT, &source), ERR_OK);
        check(root, (const char *)source.data, source.len, &in, json_object_get(test, "text"));
        const char *known = chat_template_named(name);
        if (known != NULL) {
            assert_int_equal(strlen(known), source.len);
            assert_memory_equal(known, source.data, source.len);
        }
        bytes_fini(&source);
    }
    json_decref(root);
}

static void constructs(void **state)
{
    json_t *root = read_cases();
    const json_t *snippets = json_object_get(root, "snippets");
    (void)state;

    assert_in_range(json_array_size(snippets), 50, 1000);
    for (size_t i = 0; i < json_array_size(snippets); i++) {
        const json_t *test = json_array_get(snippets, i);
        const json_t *source = json_object_get(test, "template");
        struct chat_input in = {.messages = json_object_get(root, "messages"),
                                .more = json_object_get(root, "variables")};
        check(root, json_string_value(source), json_string_length(source), &in,
              json_object_get(test, "text"));
    }
    json_decref(root);
}

/* ---- whose words ---- */

static void run_template(const char *source, const char *messages, struct chat_rendering *out)
{
    struct errctx e = ERRCTX_INIT;
    struct chat_template *t;
    json_t *list = json_loads(messages, 0, NULL);
    struct chat_input in = {.messages = list};

    assert_non_null(list);
    assert_int_equal(chat_template_new(&e, source, strlen(source), "x", &t), ERR_OK);
    if (chat_template_render(&e, t, &in, out) != ERR_OK) fail_msg("%s", e.message);
    chat_template_free(t);
    json_decref(list);
}

/* `want` has for each byte of the text the digit of its mark. */
static void marks_are(const char *source, const char *messages, const char *text, const char *want)
{
    struct chat_rendering r = {0};

    run_template(source, messages, &r);
    assert_int_equal(r.n, strlen(text));
    assert_memory_equal(r.text, text, r.n);
    for (size_t i = 0; i < r.n; i++)
        if ((r.marks != NULL ? r.marks[i] : 0) != want[i] - '0')
            fail_msg("byte %zu of '%s' is from %d", i, text, r.marks != NULL ? r.marks[i] : 0);
    chat_rendering_fini(&r);
}

static void marks_stay_with_the_words(void **state)
{
    static const char two[] = "[{\"role\":\"u\",\"content\":\" ab \"},"
                              "{\"role\":\"v\",\"content\":\"x,y\"}]";
    (void)state;

    marks_are("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}", two,
              "<u> ab <v>x,y", "0001111000222");
    marks_are("{{ messages[0].content | trim + '-' + messages[1].content.split(',')[1] }}", two,
              "ab-y", "1102");
    marks_are("{{ messages[0].content.strip() | upper ~ messages[1].content[::-1] }}", two, "ABy,x",
              "11222");
    marks_are("{{ messages[1].content.replace(',', ' and ') | tojson }}", two, "\"x and y\"",
              "020000020");
    marks_are("{% set t %}({{ messages[0].content }}){% endset %}{{ t | trim('( ') }}", two, "ab )",
              "1110");
    marks_are("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(messages[1].content) | join('.') }}",
              two, "[.x.,.y.]", "002020200");
}

static void generation_blocks_are_spans(void **state)
{
    struct chat_rendering r = {0};
    (void)state;

    run_template("a{% generation %}bc{% endgeneration %}d{% for m in messages %}"
                 "{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
                 "[{\"role\":\"u\",\"content\":\"xyz\"}]", &r);
    assert_true(r.has_generation);
    assert_int_equal(r.generated_count, 2);
    assert_int_equal(r.generated[0].from, 1);
    assert_int_equal(r.generated[0].to, 3);
    assert_int_equal(r.generated[1].from, 4);
    assert_int_equal(r.generated[1].to, 7);
    chat_rendering_fini(&r);
}

/* ---- what is refused ---- */

static void refused(const char *source, const char *says)
{
    struct errctx e = ERRCTX_INIT;
    struct chat_template *t;
    struct chat_rendering r = {0};
    json_t *list = json_loads("[{\"role\":\"user\",\"content\":\"x\"}]", 0, NULL);
    struct chat_input in = {.messages = list};

    if (chat_template_new(&e, source, strlen(source), "x", &t) == ERR_OK)
        (void)!chat_template_render(&e, t, &in, &r);
    assert_int_equal(e.code, ERR_INPUT);
    if (strstr(e.message, says) == NULL) fail_msg("'%s' lacks '%s'", e.message, says);
    chat_rendering_fini(&r);
    chat_template_free(t);
    json_decref(list);
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    refused("a\n\n{{ 'x' | wordwrap(3) }}", "line 3: filter 'wordwrap' is not supported");
    refused("\n{% include 'x' %}", "line 2: block 'include' is not supported");
    refused("{{ 1 is prime }}", "line 1: test 'prime' is not supported");
    refused("\n\n{{ 'x'.format(1) }}", "line 3: method 'format' of a string is not supported");
    refused("{{ '%s' % 'x' }}", "% a string is not supported");
    refused("{% for a in b recursive %}{% endfor %}", "recursive loops are not supported");
    refused("{{ strftime_now('%d') }}", "--date");
    refused("\n{% if x %}\n", "the template ends before");
    refused("{{ 'abc }}", "line 1: a string that does not end");
    refused("x\n{{ a", "line 2: {{ that does not end");
    refused("{# a", "a comment that does not end");
    refused("{{ raise_exception('no\nmore') }}", "refuses the conversation: no more");
    refused("{{ 'é'.upper() }}", "U+00E9");
    refused("{{ 99999999999999999999 }}", "too large");
    refused("{{ 9223372036854775807 + 1 }}", "too large");
}

static void a_template_is_bounded(void **state)
{
    static char deep[4096];
    (void)state;

    refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested too deep");
    refused("{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
            "more than");
    refused("{{ range(1000000) }}", "a range of more than");
    refused("{{ 'aaaaaaaaaaaaaaaa' * 900000000 }}", "more than");
    refused("{% set ns = namespace(a='aaaaaaaaaaaaaaaa') %}{% for i in range(99) %}"
            "{% set ns.a = ns.a ~ ns.a %}{% endfor %}",
            "more than");
    memset(deep, '(', sizeof deep - 1);
    memcpy(deep, "{{", 2);
    refused(deep, "nested too deep");
    for (size_t i = 2; i + 4 < sizeof deep; i += 4) memcpy(deep + i, "not ", 4);
    memcpy(deep + sizeof deep - 6, " 1 }}", 5);
    refused(deep, "nested too deep");
    for (size_t i = 2; i + 4 < sizeof deep; i += 2) memcpy(deep + i, "1+", 2);
    memcpy(deep + sizeof deep - 5, "1}}", 4);
    refused(deep, "nested too deep");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_of_models),
        cmocka_unit_test(constructs),
        cmocka_unit_test(marks_stay_with_the_words),
        cmocka_unit_test(generation_blocks_are_spans),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(a_template_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
