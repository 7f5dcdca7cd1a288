/* SPDX-License-Identifier: Apache-2.0 */
/* lineage.h: where a stream came from: the graph of steps behind it, and the record of the run that
 * makes the next.
 *
 * A step's id = XXH3-128 over the msgpack array, in shortest forms,
 *
 *   [program, version, [[option, value], ..], mode, cpu, [[role, step, content], ..], output]
 *
 * Names and paths are in no step id. A stream carries its own step and all ancestors, once each,
 * ancestors first.
 *
 * `struct run` is one program's record: at the start its name and options, then the numeric mode of
 * what computes; stream readers (and raw text readers) add inputs; the stream writer turns it into
 * the last step. No program writes lineage by hand. */
#ifndef GRAFT_FORMATS_LINEAGE_H
#define GRAFT_FORMATS_LINEAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "formats/msgpack.h"

/* Bytes of an encoded lineage: it travels in the end record of every stream. */
enum { LINEAGE_LIMIT = 3 << 20 };

struct lineage_option {
    char *name, *value;
};

struct lineage_input {
    char *role;          /* "input", "model", "tokenizer", "val", ... */
    char *name;          /* base name of the file, "-" for a pipe; in no id */
    uint8_t step[16];    /* step that made it; zero for raw data */
    uint8_t content[16]; /* id of the stream, XXH3-128 of raw text */
    int64_t rows;        /* rows read; -1: not of rows */
    bool partial;        /* read only so far; content is the running digest */
    size_t slot;         /* in a struct run only: place in the order of opening */
};

struct lineage_step {
    uint8_t id[16];
    char *program, *version;
    struct lineage_option *options;
    size_t options_count, options_capacity;
    char *mode; /* numeric mode, "" for programs without arithmetic: "f32 avx512" */
    char *cpu;  /* CPU type for numeric programs, "" otherwise */
    struct lineage_input *inputs;
    size_t inputs_count, inputs_capacity;
    int64_t rows, tensors;
    uint8_t output[16]; /* id of the stream it made */
    char *notes;        /* only with --notes: free text; in no id; NULL otherwise */
};

struct lineage {
    struct lineage_step *steps; /* ancestors first; the last made this stream */
    size_t count, capacity;
};
void lineage_fini(struct lineage *l);
enum err lineage_copy(struct errctx *e, const struct lineage *from, struct lineage *to) MUST_USE;
/* Index of the step with this id or -1. */
int64_t lineage_find(const struct lineage *l, const uint8_t id[16]);

/* Adds the steps of `from` that `to` does not hold yet, in order. */
enum err lineage_merge(struct errctx *e, const struct lineage *from, struct lineage *to) MUST_USE;
/* As the map {"steps": [..]} of an end record. Packing one over LINEAGE_LIMIT is an error that says
 * what to do; decoding checks ids, order and that every input's step is there. */
enum err lineage_pack(struct errctx *e, const struct lineage *l, struct bytes *out) MUST_USE;
enum err lineage_decode(struct errctx *e, const struct mp_value *map, struct lineage *out) MUST_USE;

/* An input of a run, from its opening on. */
struct run_slot {
    char *role, *name;
    bool done;
};

/* One program's run. run_init, run_fini. */
struct run {
    struct lineage_step step; /* being filled; id and output are set by the writer */
    struct lineage ancestors; /* of all inputs, merged */
    struct run_slot *slots;
    size_t slots_count, slots_capacity;
    struct stream_writer *writer; /* of stream_writer_open; flushed while a pipe would block */
    /* Called before that, so that what waits for company is computed and written. May be NULL. */
    enum err (*before_wait)(struct errctx *e, void *ctx);
    void *before_wait_ctx;
};
enum err run_init(struct errctx *e, struct run *run, const char *program,
                  const char *version) MUST_USE;
void run_fini(struct run *run);
/* Records an option; the signature of opts_record's callback. ctx is a struct run. */
enum err run_option(struct errctx *e, void *run, const char *name, const char *value) MUST_USE;
enum err run_numeric(struct errctx *e, struct run *run, const char *mode, const char *cpu) MUST_USE;
/* Reserves the next place among the inputs (fixed by the order of opening); *slot. `path` is cut to
 * its base name. */
enum err run_input_open(struct errctx *e, struct run *run, const char *role, const char *path,
                        size_t *slot) MUST_USE;
/* Fills it when the input has been read. `from` is the input's own lineage (NULL for raw data). Of
 * an input that is several (a joined stream) called once for each, in order. */
enum err run_input_done(struct errctx *e, struct run *run, size_t slot, const uint8_t content[16],
                        const struct lineage *from, int64_t rows, bool partial) MUST_USE;
/* The lineage of an output with this content id: ancestors + the finished step. */
enum err run_lineage(struct errctx *e, const struct run *run, const uint8_t output[16],
                     int64_t rows, int64_t tensors, struct lineage *out) MUST_USE;

/* 32 hex digits into buf (33 bytes); returns buf. */
char *id_format(const uint8_t id[16], char *buf);

/* As an indented tree for people, or JSON lines (one step each). */
enum err lineage_print(struct errctx *e, const struct lineage *l, bool json, FILE *out) MUST_USE;

#endif
