/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_config.c: any bytes as the configuration of a model: u8 way, then a JSON file (0) or the
 * msgpack map of a model stream (1). Law: a configuration that is accepted can be written and read
 * again and is the same, and the number of its parameters is positive. */
#include <string.h>

#include "common/model/config.h"
#include "tests/fuzz/fuzz.h"

static enum err from_map(struct errctx *e, const uint8_t *data, size_t n, struct model_config *c)
{
    struct mp_value map;
    TRY(mp_decode(e, data, n, &map));
    enum err r = map.type == MP_MAP ? model_config_from_meta(e, &map, c)
                                    : err_set(e, ERR_INPUT, "not a map");
    mp_fini(&map);
    return r;
}

static enum err from_json(struct errctx *e, const uint8_t *data, size_t n, struct model_config *c)
{
    TRY(model_config_from_json(e, NULL, fuzz_file(data, n), c));
    if (c->vocab == 0) c->vocab = 300; /* of the tokenizer */
    return model_config_finish(e, c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct errctx e = ERRCTX_INIT;
    struct fuzz_input in = {data, n};
    struct model_config c, again;
    struct mp_value one, two;
    bool json = fuzz_number(&in, 1) % 2 == 0;
    if ((json ? from_json : from_map)(&e, in.data, in.n, &c) != ERR_OK) {
        fuzz_demand_outcome(&e, true);
        return 0;
    }
    mp_map_init(&one);
    mp_map_init(&two);
    fuzz_demand(model_config_parameters(&c) > 0, "a model has parameters");
    fuzz_demand(model_config_to_meta(&e, &c, &one) == ERR_OK, "a configuration can be written");
    if (model_config_from_meta(&e, &one, &again) != ERR_OK) fuzz_demand(false, e.message);
    fuzz_demand(model_config_to_meta(&e, &again, &two) == ERR_OK, "and again");
    fuzz_demand(mp_equal(&one, &two), "and is the same");
    mp_fini(&one);
    mp_fini(&two);
    return 0;
}
