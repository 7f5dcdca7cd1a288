/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_undump.c: any bytes as the text twin of a stream: u8 edited, text. Law: what is accepted is
 * a stream that can be read to its verified end. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/flow/text_twin.h"
#include "formats/stream.h"
#include "tests/fuzz/fuzz.h"

static void demand_sound(const char *path)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_reader_cfg cfg = {.kind = STREAM_ANY};
    struct stream_reader *r;
    if (stream_reader_open(&e, NULL, "input", path, &cfg, &r) == ERR_OK) {
        (void)!stream_reader_check(&e, r);
        stream_reader_close(r);
    }
    if (e.code != ERR_OK) fuzz_demand(false, e.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int fd = -1;
    static char out[32];
    struct errctx e = ERRCTX_INIT;
    struct fuzz_input in = {data, n};
    struct stream_writer_cfg cfg = {.level = -100};
    struct stream_summary s;
    struct run run;
    if (fd < 0) fd = memfd_create("undumped", MFD_CLOEXEC);
    snprintf(out, sizeof out, "/proc/self/fd/%d", fd);
    fuzz_demand(fd >= 0 && ftruncate(fd, 0) == 0, "a file in memory can be had");
    bool edited = fuzz_number(&in, 1) % 2;
    fuzz_demand(run_init(&e, &run, "undump", "0") == ERR_OK, "a run begins");
    enum err r = undump(&e, &run, fuzz_file(in.data, in.n), out, &cfg, edited, &s);
    run_fini(&run);
    fuzz_demand_outcome(&e, false);
    if (r == ERR_OK) demand_sound(out);
    return 0;
}
