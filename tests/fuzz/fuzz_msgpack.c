/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_msgpack.c: any bytes as a msgpack value. Law: what is accepted can be written and read again
 * and is the same, also by way of its twin in JSON. */
#include "formats/mp_json.h"
#include "formats/msgpack.h"
#include "tests/fuzz/fuzz.h"

static void by_json(const struct mp_value *v)
{
    struct errctx e = ERRCTX_INIT;
    struct mp_value back;
    json_t *shown = mp_to_json(v, false), *twin = mp_to_json(v, true);
    fuzz_demand(twin && shown, "a value has a form in JSON");
    if (mp_from_json(&e, twin, &back) != ERR_OK) fuzz_demand(false, e.message);
    fuzz_demand(mp_equal(v, &back), "the twin in JSON gives the same value");
    mp_fini(&back);
    json_decref(twin);
    json_decref(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct errctx e = ERRCTX_INIT;
    struct mp_value v, again;
    struct bytes b = {0}, b2 = {0};
    size_t used;
    if (mp_decode(&e, data, n, &v) != ERR_OK) {
        fuzz_demand_outcome(&e, false);
        return 0;
    }
    fuzz_demand(mp_check(&e, data, n, &used) == ERR_OK && used == n, "a decoded value is checked");
    fuzz_demand(mp_encode(&e, &v, &b) == ERR_OK, "a value can be written");
    fuzz_demand(b.len < 2 * n, "the form is no longer, but for reals of 32 bits");
    fuzz_demand(mp_decode(&e, b.data, b.len, &again) == ERR_OK, "what was written can be read");
    fuzz_demand(mp_equal(&v, &again), "and is the same");
    fuzz_demand(mp_encode(&e, &again, &b2) == ERR_OK && b2.len == b.len, "a form is a fixed point");
    by_json(&v);
    mp_fini(&v);
    mp_fini(&again);
    bytes_fini(&b);
    bytes_fini(&b2);
    return 0;
}
