/* SPDX-License-Identifier: Apache-2.0 */
/* unicode_class.c: see unicode_class.h; the categories are utf8proc's. */
#include "common/text/unicode_class.h"
#include <utf8proc.h>

/* White_Space of PropList.txt; categories alone would miss the controls. */
static bool is_space(uint32_t c, utf8proc_category_t category)
{
    return (c >= 0x09 && c <= 0x0d) || c == 0x85 || category == UTF8PROC_CATEGORY_ZS ||
           category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

uint8_t unicode_class_of(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);

    if (is_space(c, category)) return UNICODE_SPACE;
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) return UNICODE_LETTER;
    if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) return UNICODE_NUMBER;
    if (category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO)
        return UNICODE_OTHER | UNICODE_PUNCTUATION;
    if (c > 0x20 && c < 0x7f) return UNICODE_OTHER | UNICODE_PUNCTUATION;
    return UNICODE_OTHER;
}

bool unicode_is_ideograph(uint32_t c)
{
    static const uint32_t ranges[][2] = {{0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfaff},
                                         {0x20000, 0x2a6df}, {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f},
                                         {0x2b920, 0x2ceaf}, {0x2f800, 0x2fa1f}};

    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && c >= ranges[i][0]; i++)
        if (c <= ranges[i][1]) return true;
    return false;
}

void unicode_table_fill(struct unicode_table *t)
{
    for (uint32_t c = 0; c < 65536; c++) t->plane[c] = unicode_class_of(c);
}
