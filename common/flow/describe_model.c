/* SPDX-License-Identifier: Apache-2.0 */
/* describe_model.c: see describe_model.h. A key that is not there is not spoken of: what a
 * configuration must have is checked by those who compute with it. */
#include "common/flow/describe_model.h"

#include <inttypes.h>
#include <string.h>

#include "formats/stream_begin.h"

static const char *text_of(const struct mp_value *map, const char *key)
{
    const struct mp_value *v = map && map->type == MP_MAP ? mp_get(map, key) : NULL;
    return v && v->type == MP_STRING ? v->as.bytes.data : NULL;
}

/* 0 when it is not there. */
static double number_of(const struct mp_value *map, const char *key)
{
    const struct mp_value *v = map && map->type == MP_MAP ? mp_get(map, key) : NULL;
    if (!v) return 0;
    return v->type == MP_REAL ? v->as.real : v->type == MP_UINT ? (double)v->as.u : 0;
}

static bool flag_of(const struct mp_value *map, const char *key)
{
    const struct mp_value *v = map && map->type == MP_MAP ? mp_get(map, key) : NULL;
    return v && v->type == MP_BOOL && v->as.boolean;
}

static void print_sizes(const struct stream_begin *b, const struct mp_value *config,
                        const char *family, FILE *out)
{
    const char *arch = text_of(config, "arch");
    int64_t parameters = 0;
    for (int64_t i = 0; i < b->tensors_count; i++)
        if (strncmp(b->tensors[i].name, "tokenizer.", 10) != 0)
            parameters += stream_field_elements(&b->tensors[i]);
    fprintf(out, "  model      %s", family ? family : arch ? arch : "of no name");
    fprintf(out, ", %" PRId64 " parameters\n", parameters);
    fprintf(out, "  sizes      %.0f layers, %.0f wide, %.0f heads", number_of(config, "layers"),
            number_of(config, "width"), number_of(config, "heads"));
    if (number_of(config, "kv_heads") != number_of(config, "heads"))
        fprintf(out, " (%.0f of keys and values)", number_of(config, "kv_heads"));
    fprintf(out, " of %.0f, mlp %.0f, vocabulary %.0f\n", number_of(config, "head_size"),
            number_of(config, "mlp"), number_of(config, "vocab"));
}

static void print_context(const struct mp_value *config, FILE *out)
{
    const char *position = text_of(config, "position"), *scaling = text_of(config, "rope_scaling");
    fprintf(out, "  context    %.0f", number_of(config, "context"));
    if (number_of(config, "window") > 0) fprintf(out, ", window %.0f", number_of(config, "window"));
    if (number_of(config, "window_every") > 0)
        fprintf(out, " but in every layer of %.0f", number_of(config, "window_every"));
    fputs(flag_of(config, "causal") ? ", causal\n" : ", both ways\n", out);
    if (!position || strcmp(position, "rope") != 0) return;
    fprintf(out, "  rope       base %.9g", number_of(config, "rope_theta"));
    if (number_of(config, "rope_dims") != number_of(config, "head_size"))
        fprintf(out, ", %.0f of a head's dimensions", number_of(config, "rope_dims"));
    if (scaling) fprintf(out, ", %s", scaling);
    if (number_of(config, "rope_factor") != 0)
        fprintf(out, " by %.9g", number_of(config, "rope_factor"));
    if (number_of(config, "rope_original") != 0)
        fprintf(out, " from %.0f", number_of(config, "rope_original"));
    fputc('\n', out);
}

static void print_tokenizer(const struct stream_begin *b, FILE *out)
{
    const struct mp_value *tokenizer = mp_get(&b->meta, "tokenizer");
    const char *model = tokenizer ? text_of(mp_get(tokenizer, "model"), "op") : NULL;
    const int64_t flags = stream_begin_find_tensor(b, "tokenizer.vocab.flags");
    if (!tokenizer) {
        fputs("  tokenizer  none\n", out);
        return;
    }
    fprintf(out, "  tokenizer  %s", model ? model : "?");
    if (flags >= 0) fprintf(out, ", %" PRId64 " tokens", stream_field_elements(&b->tensors[flags]));
    fprintf(out, ", %s\n",
            text_of(tokenizer, "chat_template") ? "with a chat template" : "no chat template");
}

static void print_pooling(const struct mp_value *embedding, FILE *out)
{
    const struct mp_value *list =
        embedding && embedding->type == MP_MAP ? mp_get(embedding, "pooling") : NULL;
    if (!list || list->type != MP_ARRAY) return;
    fputs("  pooling    ", out);
    for (size_t i = 0; i < list->as.list.count; i++)
        if (list->as.list.items[i].type == MP_STRING)
            fprintf(out, "%s%s", i ? ", " : "", list->as.list.items[i].as.bytes.data);
    if (flag_of(embedding, "normalize")) fputs(", normalized", out);
    if (number_of(embedding, "max_length") > 0)
        fprintf(out, ", at most %.0f tokens", number_of(embedding, "max_length"));
    fputc('\n', out);
}

void describe_model(const struct stream_begin *b, FILE *out)
{
    const struct mp_value *config = mp_get(&b->meta, "config"), *about = mp_get(&b->meta, "about");
    const char *license = text_of(about, "license");
    if (!config || config->type != MP_MAP) return;
    print_sizes(b, config, text_of(about, "family"), out);
    print_context(config, out);
    print_tokenizer(b, out);
    print_pooling(mp_get(&b->meta, "embedding"), out);
    fprintf(out, "  licence    %s\n", license ? license : "not said");
}
