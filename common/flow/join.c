/* SPDX-License-Identifier: Apache-2.0 */
/* join.c: see join.h. Files are glanced at: begin, table and end. */
#include "common/flow/join.h"

#include <string.h>
#include <sys/stat.h>

/* -1 as soon as one is not known. */
static void add_hint(int64_t *sum, int64_t n)
{
    if (*sum < 0 || n < 0 || __builtin_add_overflow(*sum, n, sum)) *sum = -1;
}

static bool is_file(const char *path)
{
    struct stat st;
    return strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

enum err join_expect(struct errctx *e, const struct opt_list *operands,
                     const struct stream_begin *first, struct stream_expect *expect)
{
    *expect = first->expect;
    if (operands->count > 1 && first->tensors_count)
        return err_set(e, ERR_INPUT, "'%s': a stream of kind %s cannot be joined with another",
                       operands->items[0], stream_kind_name(first->kind));
    for (size_t i = 1; i < operands->count; i++) {
        struct errctx mine = ERRCTX_INIT;
        struct stream_begin begin;
        struct stream_summary summary;
        struct lineage lineage;
        enum err code = is_file(operands->items[i])
                            ? stream_glance(&mine, operands->items[i], &begin, &summary, &lineage)
                            : ERR_INPUT;
        if (code != ERR_OK && code != ERR_INPUT) return err_set(e, code, "%s", mine.message);
        if (code != ERR_OK) { /* what is wrong with it is said when it is read */
            *expect = (struct stream_expect){-1, -1};
            return ERR_OK;
        }
        add_hint(&expect->rows, begin.expect.rows);
        add_hint(&expect->tokens, begin.expect.tokens);
        stream_begin_fini(&begin);
        lineage_fini(&lineage);
    }
    return ERR_OK;
}
