/* SPDX-License-Identifier: Apache-2.0 */
/* import_regex.c: see import_regex.h. */
#include "common/text/import_regex.h"

#define SPACE "\\p{Z}\\t-\\r\\x{85}"

/* One escape at p[0] == '\\', of *n bytes. */
static enum err escape(struct errctx *e, const char *p, bool in_class, struct bytes *out, size_t *n)
{
    *n = 2;
    switch (p[1]) {
    case 's':
        return bytes_printf(e, out, in_class ? "%s" : "[%s]", SPACE);
    case 'S':
        if (in_class) break;
        return bytes_printf(e, out, "[^%s]", SPACE);
    case 'w':
        return bytes_printf(e, out, in_class ? "%s" : "[%s]", "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}");
    case 'W':
        if (in_class) break;
        return bytes_printf(e, out, "[^%s]", "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}");
    case 'b': /* a boundary of other words */
    case 'B':
    case 'h':
    case 'H':
    case 'G':
    case 'k':
    case 'g':
    case 0:
        break;
    default:
        return bytes_append(e, out, p, 2);
    }
    return err_set(e, ERR_INPUT, "an expression has '\\%c'%s, which is not known", p[1],
                   in_class ? " in a class" : "");
}

enum err import_regex(struct errctx *e, const char *pattern, struct bytes *out)
{
    bool in_class = false;
    size_t step;

    for (const char *p = pattern; *p != 0; p += step) {
        step = 1;
        if (*p == '\\') {
            TRY(escape(e, p, in_class, out, &step));
            continue;
        }
        if (in_class && (*p == '[' || (*p == '&' && p[1] == '&')))
            return err_set(e, ERR_INPUT, "an expression has '%c' in a class, which is not known",
                           *p);
        if (*p == '}' && p[1] == '+' && !in_class) {
            const char *open = p;
            while (open > pattern && *open != '{') open--;
            if (open > pattern + 1 && (open[-1] != 'p' || open[-2] != '\\'))
                return err_set(e, ERR_INPUT, "an expression repeats a repetition ('}+')");
        }
        if (*p == '[') in_class = true;
        if (*p == ']') in_class = false;
        if (*p == '$' && !in_class)
            TRY(bytes_append(e, out, "(?m:$)", 6));
        else if (*p == '^' && !in_class)
            TRY(bytes_append(e, out, "(?m:^)", 6));
        else
            TRY(bytes_append(e, out, p, 1));
        if (*p == '[' && p[1] == '^') {
            TRY(bytes_append(e, out, "^", 1));
            step = 2;
        }
    }
    return bytes_append(e, out, "", 1);
}
