/* SPDX-License-Identifier: Apache-2.0 */
/* energy.h: joules the processor packages have used, where the machine tells: Linux's powercap
 * counters (Intel and AMD RAPL). They count all that runs on the machine, not this process alone.
 * Source: Documentation/power/powercap/powercap.rst of Linux. */
#ifndef GRAFT_TRAIN_ENERGY_H
#define GRAFT_TRAIN_ENERGY_H

#include <stdbool.h>
#include <stdint.h>

#define ENERGY_POWERCAP "/sys/class/powercap"

enum { ENERGY_ZONES = 16 };

struct energy {
    int count; /* readable package counters; 0: no source */
    struct energy_zone {
        char path[300];
        uint64_t range, last; /* microjoules */
    } zones[ENERGY_ZONES];
    double joules; /* since energy_init */
};

/* Finds the counters below `directory` (ENERGY_POWERCAP); none is no error. */
void energy_init(struct energy *n, const char *directory);
/* Joules since energy_init; to be asked more often than the counters wrap (minutes). */
double energy_read(struct energy *n);
/* "rapl" or "none". */
const char *energy_source(const struct energy *n);

#endif
