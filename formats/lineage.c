/* SPDX-License-Identifier: Apache-2.0 */
/* lineage.c: steps and the run that becomes one. See lineage.h for what goes into an id. */
#include "formats/lineage.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const uint8_t no_id[16];

char *id_format(const uint8_t id[16], char *buf)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        buf[2 * i] = digits[id[i] >> 4];
        buf[2 * i + 1] = digits[id[i] & 15];
    }
    buf[32] = 0;
    return buf;
}

/* ------------------------------------------------------------------ memory */

static void input_fini(struct lineage_input *in)
{
    mem_free(in->role);
    mem_free(in->name);
}

static void step_fini(struct lineage_step *s)
{
    mem_free(s->program);
    mem_free(s->version);
    for (size_t i = 0; i < s->options_count; i++) {
        mem_free(s->options[i].name);
        mem_free(s->options[i].value);
    }
    mem_free(s->options);
    mem_free(s->mode);
    mem_free(s->cpu);
    for (size_t i = 0; i < s->inputs_count; i++) input_fini(&s->inputs[i]);
    mem_free(s->inputs);
    mem_free(s->notes);
    *s = (struct lineage_step){0};
}

void lineage_fini(struct lineage *l)
{
    for (size_t i = 0; i < l->count; i++) step_fini(&l->steps[i]);
    mem_free(l->steps);
    *l = (struct lineage){0};
}

static enum err step_add_option(struct errctx *e, struct lineage_step *s, const char *name,
                                const char *value)
{
    struct lineage_option o = {0};
    TRY(mem_grow(e, &s->options, &s->options_capacity, s->options_count + 1, sizeof o, "options"));
    enum err code = mem_strdup(e, &o.name, name);
    if (code == ERR_OK) code = mem_strdup(e, &o.value, value);
    if (code != ERR_OK) {
        mem_free(o.name);
        return code;
    }
    s->options[s->options_count++] = o;
    return ERR_OK;
}

/* The strings of *from are not looked at. */
static enum err step_add_input(struct errctx *e, struct lineage_step *s, const char *role,
                               const char *name, const struct lineage_input *from)
{
    struct lineage_input in = *from;
    in.role = in.name = NULL;
    TRY(mem_grow(e, &s->inputs, &s->inputs_capacity, s->inputs_count + 1, sizeof in, "inputs"));
    enum err code = mem_strdup(e, &in.role, role);
    if (code == ERR_OK) code = mem_strdup(e, &in.name, name);
    if (code != ERR_OK) {
        input_fini(&in);
        return code;
    }
    s->inputs[s->inputs_count++] = in;
    return ERR_OK;
}

static enum err step_copy(struct errctx *e, const struct lineage_step *from,
                          struct lineage_step *to)
{
    enum err code;
    *to = (struct lineage_step){.rows = from->rows, .tensors = from->tensors};
    memcpy(to->id, from->id, 16);
    memcpy(to->output, from->output, 16);
    if ((code = mem_strdup(e, &to->program, from->program)) != ERR_OK) goto fail;
    if ((code = mem_strdup(e, &to->version, from->version)) != ERR_OK) goto fail;
    if ((code = mem_strdup(e, &to->mode, from->mode)) != ERR_OK) goto fail;
    if ((code = mem_strdup(e, &to->cpu, from->cpu)) != ERR_OK) goto fail;
    if (from->notes && (code = mem_strdup(e, &to->notes, from->notes)) != ERR_OK) goto fail;
    for (size_t i = 0; i < from->options_count; i++) {
        code = step_add_option(e, to, from->options[i].name, from->options[i].value);
        if (code != ERR_OK) goto fail;
    }
    for (size_t i = 0; i < from->inputs_count; i++) {
        const struct lineage_input *in = &from->inputs[i];
        if ((code = step_add_input(e, to, in->role, in->name, in)) != ERR_OK) goto fail;
    }
    return ERR_OK;
fail:
    step_fini(to);
    return code;
}

int64_t lineage_find(const struct lineage *l, const uint8_t id[16])
{
    for (size_t i = l->count; i-- > 0;)
        if (!memcmp(l->steps[i].id, id, 16)) return (int64_t)i;
    return -1;
}

enum err lineage_merge(struct errctx *e, const struct lineage *from, struct lineage *to)
{
    for (size_t i = 0; i < from->count; i++) {
        if (lineage_find(to, from->steps[i].id) >= 0) continue;
        TRY(mem_grow(e, &to->steps, &to->capacity, to->count + 1, sizeof *to->steps, "lineage"));
        TRY(step_copy(e, &from->steps[i], &to->steps[to->count]));
        to->count++;
    }
    return ERR_OK;
}

enum err lineage_copy(struct errctx *e, const struct lineage *from, struct lineage *to)
{
    *to = (struct lineage){0};
    enum err code = lineage_merge(e, from, to);
    if (code != ERR_OK) lineage_fini(to);
    return code;
}

/* ------------------------------------------------------------------ bytes */

static enum err step_id(struct errctx *e, const struct lineage_step *s, uint8_t id[16])
{
    struct bytes b = {0};
    struct mp_packer p;
    mp_packer_init(&p, e, &b);
    msgpack_pack_array(&p.pk, 7);
    mp_pack_string(&p, s->program);
    mp_pack_string(&p, s->version);
    msgpack_pack_array(&p.pk, s->options_count);
    for (size_t i = 0; i < s->options_count; i++) {
        msgpack_pack_array(&p.pk, 2);
        mp_pack_string(&p, s->options[i].name);
        mp_pack_string(&p, s->options[i].value);
    }
    mp_pack_string(&p, s->mode);
    mp_pack_string(&p, s->cpu);
    msgpack_pack_array(&p.pk, s->inputs_count);
    for (size_t i = 0; i < s->inputs_count; i++) {
        msgpack_pack_array(&p.pk, 3);
        mp_pack_string(&p, s->inputs[i].role);
        mp_pack_binary(&p, s->inputs[i].step, 16);
        mp_pack_binary(&p, s->inputs[i].content, 16);
    }
    mp_pack_binary(&p, s->output, 16);
    if (e->code == ERR_OK) {
        XXH128_canonical_t c;
        XXH128_canonicalFromHash(&c, XXH3_128bits(b.data, b.len));
        memcpy(id, c.digest, 16);
    }
    bytes_fini(&b);
    return e->code;
}

static void pack_int(struct mp_packer *p, const char *key, int64_t v)
{
    mp_pack_string(p, key);
    msgpack_pack_int64(&p->pk, v);
}

static void pack_text(struct mp_packer *p, const char *key, const char *v)
{
    mp_pack_string(p, key);
    mp_pack_string(p, v);
}

static void pack_id(struct mp_packer *p, const char *key, const uint8_t id[16])
{
    mp_pack_string(p, key);
    mp_pack_binary(p, id, 16);
}

static void pack_step(struct mp_packer *p, const struct lineage_step *s)
{
    msgpack_pack_map(&p->pk, s->notes ? 11 : 10);
    pack_id(p, "id", s->id);
    pack_text(p, "program", s->program);
    pack_text(p, "version", s->version);
    mp_pack_string(p, "options");
    msgpack_pack_array(&p->pk, s->options_count);
    for (size_t i = 0; i < s->options_count; i++) {
        msgpack_pack_array(&p->pk, 2);
        mp_pack_string(p, s->options[i].name);
        mp_pack_string(p, s->options[i].value);
    }
    pack_text(p, "mode", s->mode);
    pack_text(p, "cpu", s->cpu);
    mp_pack_string(p, "inputs");
    msgpack_pack_array(&p->pk, s->inputs_count);
    for (size_t i = 0; i < s->inputs_count; i++) {
        const struct lineage_input *in = &s->inputs[i];
        msgpack_pack_map(&p->pk, 6);
        pack_text(p, "role", in->role);
        pack_text(p, "name", in->name);
        pack_id(p, "step", in->step);
        pack_id(p, "content", in->content);
        pack_int(p, "rows", in->rows);
        mp_pack_string(p, "partial");
        in->partial ? msgpack_pack_true(&p->pk) : msgpack_pack_false(&p->pk);
    }
    pack_int(p, "rows", s->rows);
    pack_int(p, "tensors", s->tensors);
    pack_id(p, "output", s->output);
    if (s->notes) pack_text(p, "notes", s->notes);
}

enum err lineage_pack(struct errctx *e, const struct lineage *l, struct bytes *out)
{
    size_t from = out->len;
    struct mp_packer p;
    mp_packer_init(&p, e, out);
    msgpack_pack_map(&p.pk, 1);
    mp_pack_string(&p, "steps");
    msgpack_pack_array(&p.pk, l->count);
    for (size_t i = 0; i < l->count; i++) pack_step(&p, &l->steps[i]);
    if (e->code != ERR_OK) return e->code;
    if (out->len - from > LINEAGE_LIMIT)
        return err_set(e, ERR_INPUT,
                       "the lineage of %zu steps is longer than %d bytes (join the inputs in "
                       "fewer, larger streams first)",
                       l->count, LINEAGE_LIMIT);
    return ERR_OK;
}

static enum err get_text(struct errctx *e, const struct mp_value *map, const char *key, char **out)
{
    const char *s;
    TRY(mp_get_string(e, map, key, &s));
    return mem_strdup(e, out, s);
}

static enum err get_id(struct errctx *e, const struct mp_value *map, const char *key,
                       uint8_t id[16])
{
    const uint8_t *p;
    TRY(mp_get_binary(e, map, key, 16, &p));
    memcpy(id, p, 16);
    return ERR_OK;
}

static enum err decode_options(struct errctx *e, const struct mp_value *list,
                               struct lineage_step *s)
{
    for (size_t i = 0; i < list->as.list.count; i++) {
        const struct mp_value *pair = &list->as.list.items[i];
        if (pair->type != MP_ARRAY || pair->as.list.count != 2 ||
            pair->as.list.items[0].type != MP_STRING || pair->as.list.items[1].type != MP_STRING)
            return err_set(e, ERR_INPUT, "option %zu is not a pair of strings", i);
        TRY(step_add_option(e, s, pair->as.list.items[0].as.bytes.data,
                            pair->as.list.items[1].as.bytes.data));
    }
    return ERR_OK;
}

static enum err decode_input(struct errctx *e, const struct mp_value *map,
                             const struct lineage *before, struct lineage_step *s)
{
    struct lineage_input in = {0};
    const char *role, *name;
    if (map->type != MP_MAP || map->as.list.count != 12)
        return err_set(e, ERR_INPUT, "an input is not a map of 6 keys");
    TRY(mp_get_string(e, map, "role", &role));
    TRY(mp_get_string(e, map, "name", &name));
    TRY(get_id(e, map, "step", in.step));
    TRY(get_id(e, map, "content", in.content));
    TRY(mp_get_int(e, map, "rows", -1, INT64_MAX, &in.rows));
    TRY(mp_get_bool(e, map, "partial", &in.partial));
    if (memcmp(in.step, no_id, 16) && lineage_find(before, in.step) < 0)
        return err_set(e, ERR_INPUT, "the step of input '%s' is not among the steps before", name);
    return step_add_input(e, s, role, name, &in);
}

static enum err decode_step(struct errctx *e, const struct mp_value *map,
                            const struct lineage *before, struct lineage_step *s)
{
    const struct mp_value *options, *inputs;
    uint8_t id[16];
    bool notes = mp_get(map, "notes") != NULL;
    if (map->type != MP_MAP || map->as.list.count != (notes ? 22u : 20u))
        return err_set(e, ERR_INPUT, "a step is not a map of the known keys");
    TRY(get_id(e, map, "id", s->id));
    TRY(get_text(e, map, "program", &s->program));
    TRY(get_text(e, map, "version", &s->version));
    TRY(get_text(e, map, "mode", &s->mode));
    TRY(get_text(e, map, "cpu", &s->cpu));
    if (notes) TRY(get_text(e, map, "notes", &s->notes));
    TRY(mp_get_list(e, map, "options", MP_ARRAY, &options));
    TRY(decode_options(e, options, s));
    TRY(mp_get_list(e, map, "inputs", MP_ARRAY, &inputs));
    for (size_t i = 0; i < inputs->as.list.count; i++)
        TRY(decode_input(e, &inputs->as.list.items[i], before, s));
    TRY(mp_get_int(e, map, "rows", 0, INT64_MAX, &s->rows));
    TRY(mp_get_int(e, map, "tensors", 0, INT64_MAX, &s->tensors));
    TRY(get_id(e, map, "output", s->output));
    TRY(step_id(e, s, id));
    if (memcmp(id, s->id, 16)) return err_set(e, ERR_INPUT, "its id does not match its contents");
    if (lineage_find(before, id) >= 0) return err_set(e, ERR_INPUT, "the step stands there twice");
    return ERR_OK;
}

enum err lineage_decode(struct errctx *e, const struct mp_value *map, struct lineage *out)
{
    const struct mp_value *steps;
    *out = (struct lineage){0};
    if (map->type != MP_MAP || map->as.list.count != 2)
        return err_set(e, ERR_INPUT, "lineage: not a map with the one key 'steps'");
    TRY(mp_get_list(e, map, "steps", MP_ARRAY, &steps));
    size_t n = steps->as.list.count;
    TRY(mem_grow(e, &out->steps, &out->capacity, n, sizeof *out->steps, "lineage"));
    for (size_t i = 0; i < n; i++) {
        struct lineage_step *s = &out->steps[i];
        *s = (struct lineage_step){0};
        enum err code = decode_step(e, &steps->as.list.items[i], out, s);
        if (code != ERR_OK) {
            step_fini(s);
            lineage_fini(out);
            return err_prefix(e, "lineage step %zu", i);
        }
        out->count = i + 1;
    }
    return ERR_OK;
}

/* ------------------------------------------------------------------ runs */

enum err run_init(struct errctx *e, struct run *run, const char *program, const char *version)
{
    *run = (struct run){0};
    struct lineage_step *s = &run->step;
    enum err code = mem_strdup(e, &s->program, program);
    if (code == ERR_OK) code = mem_strdup(e, &s->version, version);
    if (code == ERR_OK) code = mem_strdup(e, &s->mode, "");
    if (code == ERR_OK) code = mem_strdup(e, &s->cpu, "");
    if (code != ERR_OK) run_fini(run);
    return code;
}

void run_fini(struct run *run)
{
    step_fini(&run->step);
    lineage_fini(&run->ancestors);
    for (size_t i = 0; i < run->slots_count; i++) {
        mem_free(run->slots[i].role);
        mem_free(run->slots[i].name);
    }
    mem_free(run->slots);
    *run = (struct run){0};
}

enum err run_option(struct errctx *e, void *run, const char *name, const char *value)
{
    if (!mp_utf8(value, strlen(value)))
        return err_set(e, ERR_USAGE, "the value of --%s is not UTF-8", name);
    return step_add_option(e, &((struct run *)run)->step, name, value);
}

enum err run_numeric(struct errctx *e, struct run *run, const char *mode, const char *cpu)
{
    char *new_mode, *new_cpu;
    TRY(mem_strdup(e, &new_mode, mode));
    enum err code = mem_strdup(e, &new_cpu, cpu);
    if (code != ERR_OK) {
        mem_free(new_mode);
        return code;
    }
    mem_free(run->step.mode);
    mem_free(run->step.cpu);
    run->step.mode = new_mode;
    run->step.cpu = new_cpu;
    return ERR_OK;
}

/* The base name, in UTF-8 whatever the file system holds: a name is for people. */
static enum err base_name(struct errctx *e, const char *path, char **out)
{
    if (!path) path = "-";
    const char *slash = strrchr(path, '/');
    TRY(mem_strdup(e, out, slash && slash[1] ? slash + 1 : path));
    if (!mp_utf8(*out, strlen(*out)))
        for (char *c = *out; *c; c++)
            if ((unsigned char)*c >= 0x80) *c = '?';
    return ERR_OK;
}

enum err run_input_open(struct errctx *e, struct run *run, const char *role, const char *path,
                        size_t *slot)
{
    struct run_slot s = {0};
    TRY(mem_grow(e, &run->slots, &run->slots_capacity, run->slots_count + 1, sizeof s, "inputs"));
    enum err code = mem_strdup(e, &s.role, role);
    if (code == ERR_OK) code = base_name(e, path, &s.name);
    if (code != ERR_OK) {
        mem_free(s.role);
        return code;
    }
    *slot = run->slots_count;
    run->slots[run->slots_count++] = s;
    return ERR_OK;
}

enum err run_input_done(struct errctx *e, struct run *run, size_t slot, const uint8_t content[16],
                        const struct lineage *from, int64_t rows, bool partial)
{
    struct run_slot *s = &run->slots[slot];
    struct lineage_input in = {.rows = rows, .partial = partial, .slot = slot};
    memcpy(in.content, content, 16);
    if (from && from->count) {
        memcpy(in.step, from->steps[from->count - 1].id, 16);
        TRY(lineage_merge(e, from, &run->ancestors));
    }
    TRY(step_add_input(e, &run->step, s->role, s->name, &in));
    s->done = true;
    return ERR_OK;
}

/* Inputs in the order of opening; those of one slot stay in theirs. */
static void sort_inputs(struct lineage_step *s)
{
    for (size_t i = 1; i < s->inputs_count; i++) {
        struct lineage_input in = s->inputs[i];
        size_t k = i;
        for (; k > 0 && s->inputs[k - 1].slot > in.slot; k--) s->inputs[k] = s->inputs[k - 1];
        s->inputs[k] = in;
    }
}

enum err run_lineage(struct errctx *e, const struct run *run, const uint8_t output[16],
                     int64_t rows, int64_t tensors, struct lineage *out)
{
    for (size_t i = 0; i < run->slots_count; i++)
        if (!run->slots[i].done)
            return err_set(e, ERR_IO, "BUG: %s '%s' was not read to its end before the output's",
                           run->slots[i].role, run->slots[i].name);
    TRY(lineage_copy(e, &run->ancestors, out));
    struct lineage_step *s = NULL;
    enum err code = mem_grow(e, &out->steps, &out->capacity, out->count + 1, sizeof *s, "lineage");
    if (code == ERR_OK) {
        s = &out->steps[out->count];
        code = step_copy(e, &run->step, s);
    }
    if (code == ERR_OK) {
        sort_inputs(s);
        s->rows = rows;
        s->tensors = tensors;
        memcpy(s->output, output, 16);
        code = step_id(e, s, s->id);
        if (code != ERR_OK) step_fini(s);
    }
    if (code != ERR_OK) {
        lineage_fini(out);
        return code;
    }
    out->count++;
    return ERR_OK;
}
