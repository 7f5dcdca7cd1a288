/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_stream.c: any bytes as the file of a stream: frames, seals and tables, with every way of
 * looking at it. Checksums keep a fuzzer from what is inside frames: that is fuzz_records.c. Law:
 * what can be read to its verified end is sound to the quick looks, too, and a salvage loses none
 * of its rows. */
#include "formats/stream.h"
#include "tests/fuzz/fuzz.h"

static enum err read_through(const char *path, int64_t *rows)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_reader_cfg cfg = {.kind = STREAM_ANY};
    struct stream_reader *r;
    enum stream_event event = STREAM_EVENT_ROWS;
    if (stream_reader_open(&e, NULL, "input", path, &cfg, &r) == ERR_OK) {
        while (e.code == ERR_OK && event != STREAM_EVENT_END)
            (void)!stream_reader_next(&e, r, &event, NULL, NULL);
        if (e.code == ERR_OK) *rows = stream_reader_summary(r)->rows;
        stream_reader_close(r);
    }
    fuzz_demand_outcome(&e, false);
    return e.code;
}

static void read_again(const char *path)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_reader_cfg cfg = {.kind = STREAM_ANY};
    struct stream_reader *r;
    enum stream_event event = STREAM_EVENT_ROWS;
    if (stream_reader_open(&e, NULL, "input", path, &cfg, &r) == ERR_OK) {
        if (stream_reader_next(&e, r, &event, NULL, NULL) == ERR_OK &&
            stream_reader_rewind(&e, r) == ERR_OK)
            (void)!stream_reader_next(&e, r, &event, NULL, NULL);
        if (e.code == ERR_OK) (void)!stream_reader_drain(&e, r);
        stream_reader_close(r);
    }
    fuzz_demand_outcome(&e, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *path = fuzz_file(data, n);
    struct errctx e = ERRCTX_INIT;
    struct stream_summary s;
    struct salvage saved = {0};
    int64_t rows = 0, glanced = 0;
    enum err read = read_through(path, &rows), seen = fuzz_glance(path, &glanced);
    enum err sealed = stream_check_seals(&e, path, &s), saving = fuzz_salvage(path, &saved);
    read_again(path);
    if (read != ERR_OK) return 0;
    fuzz_demand(seen == ERR_OK && glanced == rows, "a glance at a sound stream counts its rows");
    fuzz_demand(sealed == ERR_OK, "the seals of a sound stream are right");
    fuzz_demand(saving == ERR_OK && saved.rows == rows && saved.bytes_lost == 0,
                "a sound stream is salvaged whole");
    return 0;
}
