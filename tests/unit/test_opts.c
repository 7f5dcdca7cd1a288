/* SPDX-License-Identifier: Apache-2.0 */
/* test_opts.c: command lines into structs, and tables into help, mdoc, words and records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/opts.h"

struct sample {
    bool flag, on;
    int64_t count;
    double rate, unset;
    const char *text, *path;
    int choice;
    struct opt_list list;
};
#define SAMPLE ((struct sample){.on = true, .count = 32 << 10, .rate = 3e-4, .unset = NAN})

#define F(f) offsetof(struct sample, f)
static const struct opt table[] = {
    {"flag", 'f', OPT_FLAG, F(flag), NULL, "a flag"},
    {"on", 0, OPT_FLAG, F(on), NULL, "a flag that is on"},
    {"count", 'n', OPT_INT, F(count), "N", "a number", 0, 0, 1 << 20},
    {"rate", 'r', OPT_REAL, F(rate), "X", "a real number"},
    {"unset", 0, OPT_REAL, F(unset), "X", "a real number without a default"},
    {"text", 't', OPT_STRING, F(text), "TEXT", "a string"},
    {"path", 0, OPT_STRING, F(path), "FILE", "a file", OPT_PATH},
    {"choice", 'c', OPT_CHOICE, F(choice), "alpha|beta|gamma", "one of three", OPT_UNRECORDED},
    {"list", 'l', OPT_LIST, F(list), "ITEM", "several"},
    OPT_END};

struct parsed {
    struct errctx e;
    struct sample s;
    struct opt_set sets[2];
    struct opt_list operands;
};

static enum err parse(struct parsed *p, const char *line)
{
    static char copy[512];
    char *argv[32] = {(char[]){"prog"}};
    int argc = 1;
    *p = (struct parsed){.e = ERRCTX_INIT, .s = SAMPLE};
    p->sets[0] = (struct opt_set){"Sample", table, &p->s};
    snprintf(copy, sizeof copy, "%s", line);
    for (char *s = copy; *s; argc++) {
        argv[argc] = s;
        s += strcspn(s, " ");
        if (*s) *s++ = '\0';
    }
    return opts_parse(&p->e, p->sets, argc, argv, &p->operands);
}

static void free_parsed(struct parsed *p)
{
    opts_fini(p->sets, &p->operands);
}

static void forms(void **state)
{
    (void)state;
    struct parsed p;
    assert_int_equal(parse(&p, "-f --count=64Ki a -r 1e-3 --text hello - -cbeta -l x -ly -- -z"),
                     ERR_OK);
    assert_true(p.s.flag && p.s.on);
    assert_int_equal(p.s.count, 65536);
    assert_true(p.s.rate == 1e-3 && isnan(p.s.unset));
    assert_string_equal(p.s.text, "hello");
    assert_int_equal(p.s.choice, 1);
    assert_int_equal(p.s.list.count, 2);
    assert_string_equal(p.s.list.items[0], "x");
    assert_string_equal(p.s.list.items[1], "y");
    assert_int_equal(p.operands.count, 3);
    assert_string_equal(p.operands.items[0], "a");
    assert_string_equal(p.operands.items[1], "-");
    assert_string_equal(p.operands.items[2], "-z");
    assert_true(opts_given(p.sets, "count") && opts_given(p.sets, "list"));
    assert_false(opts_given(p.sets, "on") || opts_given(p.sets, "path"));
    free_parsed(&p);

    assert_int_equal(parse(&p, "-fn7 --no-on --text= --no-flag"), ERR_OK);
    assert_true(!p.s.flag && !p.s.on && p.s.count == 7);
    assert_string_equal(p.s.text, "");
    free_parsed(&p);
}

static void refusals(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"--cuont 3", "unknown option '--cuont' (did you mean --count?)"},
        {"--unrelated", "unknown option '--unrelated'"},
        {"-x", "unknown option '-x'"},
        {"--flag=yes", "option '--flag' takes no value"},
        {"--no-count", "unknown option '--no-count' (did you mean --count?)"},
        {"--count", "option '--count' needs a value: N"},
        {"-n", "option '-n' needs a value: N"},
        {"--count 12x",
         "option '--count': '12x' is not a whole number: units are K M G T, and Ki Mi Gi Ti of "
         "1024"},
        {"--count 8KB",
         "option '--count': '8KB' is not a whole number: units are K M G T, and Ki Mi Gi Ti of "
         "1024"},
        {"--count many", "option '--count': 'many' is not a whole number"},
        {"--hepl", "unknown option '--hepl' (did you mean --help?)"},
        {"--count 2Mi", "option '--count': '2Mi' is not between 0 and 1048576"},
        {"--count -1", "option '--count': '-1' is not between 0 and 1048576"},
        {"--rate nan", "option '--rate': 'nan' is not a number"},
        {"--rate 1e999", "option '--rate': '1e999' is not a number"},
        {"--rate 0x10", "option '--rate': '0x10' is not a number"},
        {"-c delta", "option '-c': 'delta' is none of alpha|beta|gamma"},
        {"--choice alph", "option '--choice': 'alph' is none of alpha|beta|gamma"},
        {"-n 2Mi", "option '-n': '2Mi' is not between 0 and 1048576"},
        {"-fn many", "option '-n': 'many' is not a whole number"},
        {"-rnan", "option '-r': 'nan' is not a number"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parsed p;
        assert_int_equal(parse(&p, cases[i][0]), ERR_USAGE);
        assert_string_equal(p.e.message, cases[i][1]);
        free_parsed(&p);
    }
}

static void required_options(void **state)
{
    (void)state;
    const char *model = NULL;
    const struct opt needed[] = {{"model", 'm', OPT_STRING, 0, "FILE", "the model", OPT_REQUIRED},
                                 OPT_END};
    struct opt_set sets[] = {{"Model", needed, &model}, OPT_SET_END};
    struct opt_list operands = {0};
    struct errctx e = ERRCTX_INIT;
    char *argv[] = {(char[]){"prog"}, (char[]){"-mx"}};
    assert_int_equal(opts_parse(&e, sets, 1, argv, &operands), ERR_USAGE);
    assert_string_equal(e.message, "option '-m' (--model FILE) is needed");
    err_clear(&e);
    assert_int_equal(opts_parse(&e, sets, 2, argv, &operands), ERR_OK);
    assert_string_equal(model, "x");
    opts_fini(sets, &operands);
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},           {"-3", -3},
                {"1K", 1000},       {"64Ki", 65536},
                {"1.5M", 1500000},  {"0.5Ki", 512},
                {"2Gi", 1LL << 31}, {"3T", 3000000000000},
                {"+7", 7},          {"9223372036854775807", INT64_MAX}};
    static const char *const bad[] = {"",    "K",         "1.5", "1k",    "1KiB",
                                      " 1",  "1 ",        "--1", "0.3Ki", "9223372036854775808",
                                      "9e3", "8388608Ti", "0x10"};
    int64_t v;
    double r;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(opts_parse_size(good[i].text, &v));
        assert_int_equal(v, good[i].value);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_false(opts_parse_size(bad[i], &v));
    assert_true(opts_parse_real("1.5Ki", &r) && r == 1536);
    assert_true(opts_parse_real("-.5", &r) && r == -0.5);
    assert_false(opts_parse_real("", &r) || opts_parse_real(" 1", &r) ||
                 opts_parse_real("1e", &r) || opts_parse_real("inf", &r) ||
                 opts_parse_real(".", &r));
}

static enum err collect(struct errctx *e, void *ctx, const char *name, const char *value)
{
    return bytes_printf(e, ctx, "%s=%s;", name, value);
}

/* What is recorded parses back to the same record. */
static void record(void **state)
{
    (void)state;
    struct parsed p;
    struct bytes b = {0};
    assert_int_equal(parse(&p, "-f --path f -t a=b -r 0.1 -l 1 -l 2 -c gamma"), ERR_OK);
    assert_int_equal(opts_record(&p.e, p.sets, collect, &b), ERR_OK);
    assert_int_equal(bytes_append(&p.e, &b, "", 1), ERR_OK);
    assert_string_equal((char *)b.data,
                        "flag=true;on=true;count=32768;rate=0.1;text=a=b;list=1;list=2;");
    bytes_fini(&b);
    free_parsed(&p);
}

static char *printed(void (*print)(const struct opt_set *, FILE *))
{
    struct sample s = SAMPLE;
    struct opt_set sets[] = {{"Sample", table, &s}, OPT_SET_END};
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    print(sets, f);
    fclose(f);
    return text;
}

static void outputs(void **state)
{
    (void)state;
    char *help = printed(opts_print_help), *mdoc = printed(opts_print_mdoc),
         *words = printed(opts_print_words);
    assert_non_null(strstr(help, "\nSample:\n  -f, --flag                a flag\n"));
    assert_non_null(strstr(help, "  -n, --count N             a number (default 32Ki)\n"));
    assert_non_null(
        strstr(help, "      --on                  a flag that is on (default on; --no-on)\n"));
    assert_non_null(strstr(help, "several (may be repeated)\n"));
    assert_null(strstr(help, "nan"));
    assert_non_null(strstr(mdoc, ".Ss Sample\n.Bl -tag -width Ds\n.It Fl f , Fl -flag\nA flag.\n"));
    assert_non_null(
        strstr(mdoc, ".It Fl r , Fl -rate Ar \"\\&X\"\nA real number (default 0.0003).\n"));
    assert_non_null(strstr(words, "--choice\talpha|beta|gamma\n"));
    assert_non_null(strstr(words, "--path\tpath\n"));
    free(help);
    free(mdoc);
    free(words);
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(opts_distance("", "abc"), 3);
    assert_int_equal(opts_distance("kitten", "sitting"), 3);
    assert_int_equal(opts_distance("same", "same"), 0);
    struct opts_nearest n = {.word = "tokenise"}, far = {.word = "cat"}, begun = {.word = "des"};
    opts_nearest_try(&n, "detokenize");
    opts_nearest_try(&n, "tokenize");
    assert_string_equal(opts_nearest_name(&n), "tokenize");
    assert_null(opts_nearest_name(&far));
    opts_nearest_try(&far, "sum");
    assert_null(opts_nearest_name(&far));
    opts_nearest_try(&begun, "dev");
    opts_nearest_try(&begun, "describe");
    assert_string_equal(opts_nearest_name(&begun), "describe");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),     cmocka_unit_test(refusals), cmocka_unit_test(required_options),
        cmocka_unit_test(sizes),     cmocka_unit_test(record),   cmocka_unit_test(outputs),
        cmocka_unit_test(distances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
