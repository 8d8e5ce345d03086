# moldau - one page of make.  `make help` lists what you can ask for.
#
#   build/bin/          the plain build's executables       build/gen/       generated C (all flavours)
#   build/plain/        its objects, archives, unit tests   build/address/ … the same under a sanitizer

SAN     ?=
FLAVOUR := $(or $(SAN),plain)
OUT     := build/$(FLAVOUR)
BIN     := $(if $(SAN),$(OUT)/bin,build/bin)
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := 0.1.0
PYTHON  := /usr/bin/python3
CC      := $(shell command -v ccache 2>/dev/null) gcc
AR      := gcc-ar
.DEFAULT_GOAL := all

PACKAGES := libevent libevent_pthreads libprotobuf-c libcrypto libzstd liblz4 zlib libisal jansson
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LIBS     := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lsnappy -lzookeeper_mt -lpthread -lm
CLI_LIBS := $(shell pkg-config --libs rdkafka 2>/dev/null)

WARN := -Wall -Wextra -Werror -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes \
        -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla \
        -Wimplicit-fallthrough -Wformat=2 -Wold-style-definition -Wredundant-decls
CPPFLAGS := -I. -Ibuild -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DTHREADED \
            -DMOLDAU_VERSION=\"$(VERSION)\" $(PKG_CFLAGS)
CFLAGS  := -std=gnu17 -O2 -g -fno-omit-frame-pointer -fno-strict-aliasing
LDFLAGS :=
ifneq ($(SAN),)
  CFLAGS  += -O1 -fsanitize=$(SAN) $(if $(filter address,$(SAN)),-fsanitize=undefined) -fno-sanitize-recover=all
  LDFLAGS += -fsanitize=$(SAN) $(if $(filter address,$(SAN)),-fsanitize=undefined)
endif

# --- what there is -------------------------------------------------------------------------------
Q := $(if $(V),,@)
say = $(if $(V),,@echo '  $(1) $(@:$(OUT)/%=%)')
find     = $(sort $(shell find $(1) -name '$(2)' 2>/dev/null))
MAINS    := broker/main.c controller/server/main.c controller/cli/main.c
COMMON_C := $(call find,common,*.c)
BROKER_C := $(filter-out $(MAINS),$(call find,broker,*.c))
CONTROL_C := $(filter-out $(MAINS) controller/cli/%,$(call find,controller,*.c))
CLI_C    := $(filter-out $(MAINS),$(call find,controller/cli,*.c))
KIT_C    := $(call find,tests/kit,*.c)
UNIT_C   := $(call find,tests/unit,*_test.c)
SIM_C    := $(call find,tests/sim,*.c)
BENCH_C  := $(wildcard tests/bench/*.c)
REAL_C   := $(wildcard tests/cluster/*.c)
CHAOS_C  := $(wildcard tests/chaos/*.c)
OURS     := $(call find,common broker controller tests,*.[ch])

SCHEMAS := $(wildcard proto/kafka/*.msg)
RECORDS := $(wildcard proto/records/*.msg)
GEN_C   := $(patsubst proto/kafka/%.msg,build/gen/wire/%.c,$(SCHEMAS)) \
           $(patsubst proto/records/%.msg,build/gen/records/%.c,$(RECORDS)) \
           $(if $(SCHEMAS),build/gen/wire/apis.c) \
           $(if $(wildcard proto/control.proto),build/gen/control.pb-c.c)
GEN_STAMPS := $(if $(SCHEMAS),build/gen/wire.stamp) $(if $(wildcard proto/control.proto),build/gen/control.pb-c.c)

obj   = $(patsubst %.c,$(OUT)/obj/%.o,$(1))
EXES := $(if $(wildcard broker/main.c),$(BIN)/moldau-broker) \
        $(if $(wildcard controller/server/main.c),$(BIN)/moldau-controller) \
        $(if $(wildcard controller/cli/main.c),$(BIN)/moldau)
UNITS := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(UNIT_C))
SIM   := $(if $(SIM_C),$(BIN)/moldau-sim)
BENCHES := $(patsubst tests/bench/%.c,$(BIN)/%,$(BENCH_C))
SWITCH  := $(if $(CHAOS_C),$(BIN)/moldau-switch)
REALS   := $(patsubst tests/cluster/%.c,$(OUT)/cluster/%,$(REAL_C))
FUZZERS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))

.PHONY: all help units reals sim bench switch fuzz test test-unit test-unit-fast lint fmt fmt-check clean install gen \
        compile_commands.json
all: $(EXES)   ## the three executables, into build/bin
units: $(UNITS)   ## unit test programs
sim: $(SIM)   ## the cluster simulator
reals: $(REALS)   ## test programs that start real servers, run by tests/cluster
bench: $(BENCHES)   ## load generators of tests/bench
switch: $(SWITCH)   ## the network of `scripts/cluster up --netns`
gen: $(GEN_STAMPS)   ## generated C only
fuzz: $(FUZZERS)   ## libFuzzer programs (clang)

# --- generated -----------------------------------------------------------------------------------
build/gen/wire.stamp: proto/gen.py $(SCHEMAS) $(RECORDS)
	@mkdir -p $(@D)
	$(Q)$(PYTHON) proto/gen.py --out build/gen
	@touch $@
$(foreach made,$(filter build/gen/wire/% build/gen/records/%,$(GEN_C)),$(made) $(made:.c=.h)): build/gen/wire.stamp ;
build/gen/control.pb-c.c: proto/control.proto
	@mkdir -p $(@D)
	$(Q)protoc-c --proto_path=proto --c_out=build/gen $<
# Headers too, or what includes them is looked at before they have changed.
build/gen/control.pb-c.h: build/gen/control.pb-c.c ;

$(OUT)/obj/build/gen/%.o: build/gen/%.c | $(GEN_STAMPS)
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wall -Wextra -Werror -MMD -MP -c -o $@ $<
$(OUT)/obj/build/gen/control.pb-c.o: build/gen/control.pb-c.c
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -w -MMD -MP -c -o $@ $<
$(OUT)/obj/%.o: %.c | $(GEN_STAMPS)
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) -MMD -MP -c -o $@ $<

# --- archives and programs -----------------------------------------------------------------------
define archive
	@mkdir -p $(@D)
	@rm -f $@
	@$(AR) rcs $@ $^
endef
$(OUT)/libcommon.a: $(call obj,$(COMMON_C) $(GEN_C)); $(archive)
$(OUT)/libbroker.a: $(call obj,$(BROKER_C)); $(archive)
$(OUT)/libcontroller.a: $(call obj,$(CONTROL_C)); $(archive)
$(OUT)/libcli.a: $(call obj,$(CLI_C)); $(archive)
$(OUT)/libkit.a: $(call obj,$(KIT_C)); $(archive)

link = @mkdir -p $(@D) && $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) \
       -Wl,--start-group $(filter %.a,$^) -Wl,--end-group
$(BIN)/moldau-broker: $(call obj,broker/main.c) $(OUT)/libbroker.a $(OUT)/libcommon.a
	$(link) $(LIBS)
# libbroker: the table of brokers' settings, which change through the controller
$(BIN)/moldau-controller: $(call obj,controller/server/main.c) $(OUT)/libcontroller.a $(OUT)/libbroker.a $(OUT)/libcommon.a
	$(link) $(LIBS)
$(BIN)/moldau: $(call obj,controller/cli/main.c) $(OUT)/libcli.a $(OUT)/libbroker.a $(OUT)/libcommon.a
	$(link) $(CLI_LIBS) $(LIBS)
LIBSET := $(OUT)/libkit.a $(OUT)/libcli.a $(OUT)/libcontroller.a $(OUT)/libbroker.a $(OUT)/libcommon.a
$(UNITS): $(OUT)/unit/%: $(OUT)/obj/tests/unit/%.o $(LIBSET)
	$(link) $(shell pkg-config --libs check) $(CLI_LIBS) $(LIBS)
$(REALS): $(OUT)/cluster/%: $(OUT)/obj/tests/cluster/%.o $(LIBSET)
	$(link) $(shell pkg-config --libs check) $(CLI_LIBS) $(LIBS)
$(SIM): $(call obj,$(SIM_C)) $(LIBSET)
	$(link) $(LIBS)
$(BENCHES): $(BIN)/%: $(OUT)/obj/tests/bench/%.o $(LIBSET)
	$(link) $(CLI_LIBS) $(LIBS)
$(SWITCH): $(call obj,$(CHAOS_C)) $(OUT)/libcommon.a
	$(link) $(LIBS)
# By clang, which has libFuzzer, and with all warnings: what gcc lets pass is found here. Fall-through is left to gcc,
# which reads the comments in uthash.h.
FUZZ_CC := $(shell command -v ccache 2>/dev/null) clang-14
FUZZ_CFLAGS := -std=gnu17 -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing -fsanitize=address,undefined \
               -fno-sanitize-recover=all
fuzz_obj = $(patsubst %.c,build/fuzz/obj/%.o,$(1))
build/fuzz/obj/build/gen/%.o: WARN := -w
build/fuzz/obj/%.o: %.c | $(GEN_STAMPS)
	@mkdir -p $(@D)
	$(call say,clang)
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_CFLAGS) $(WARN) -Wno-string-conversion -Wno-implicit-fallthrough -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<
build/fuzz/libours.a: $(call fuzz_obj,$(COMMON_C) $(GEN_C) $(BROKER_C) $(CONTROL_C)); $(archive)
build/fuzz/dir_fuzz: $(call fuzz_obj,tests/kit/fake_disk.c)
$(FUZZERS): build/fuzz/%: build/fuzz/obj/tests/fuzz/%.o build/fuzz/libours.a
	$(Q)clang-14 $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# --- checks --------------------------------------------------------------------------------------
test: ; scripts/test   ## everything scripts/test runs by default
test-unit: units ; scripts/run_units $(UNITS)   ## unit tests (SAN=address|thread|undefined to choose)
test-unit-fast: units all ; @if [ -n "$(UNITS)" ]; then scripts/run_units $(UNITS); fi
lint: compile_commands.json ; scripts/lint   ## layers, shape, format, clang-tidy, shellcheck
fmt: ; @clang-format-14 -i $(OURS)   ## lay out the C sources
fmt-check: ; @clang-format-14 --dry-run -Werror $(OURS)
compile_commands.json:   ## for editors and clang-tidy
	@$(PYTHON) scripts/compile_commands '$(CPPFLAGS) -std=gnu17' $(COMMON_C) $(BROKER_C) $(CONTROL_C) $(CLI_C) \
	    $(wildcard $(MAINS)) $(KIT_C) $(UNIT_C) $(REAL_C) $(CHAOS_C) $(SIM_C) > $@

SHARE   := $(DESTDIR)$(PREFIX)/share
UNITDIR := $(DESTDIR)$(PREFIX)/lib/systemd/system
# moldau under the names of Kafka's own tools: put it into PATH
TOOLDIR := $(DESTDIR)$(PREFIX)/libexec/moldau
install: all   ## into $(DESTDIR)$(PREFIX): executables, samples, service units, manual pages
	install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)/doc/moldau $(UNITDIR)
	$(if $(strip $(EXES)),install -m 755 $(EXES) $(DESTDIR)$(PREFIX)/bin)
	install -d $(TOOLDIR) && for tool in kafka-consumer-groups kafka-dump-log kafka-leader-election kafka-reassign-partitions kafka-topics; do ln -sf ../../bin/moldau $(TOOLDIR)/$$tool.sh || exit 1; done
	install -m 644 README.md LICENSE $(wildcard deploy/*.properties) $(SHARE)/doc/moldau
	for program in broker controller; do scripts/conf_doc $$program > $(SHARE)/doc/moldau/$$program-settings.md || exit 1; done
	for unit in $(notdir $(wildcard deploy/*.service)); do \
	    sed 's|@PREFIX@|$(PREFIX)|' deploy/$$unit > $(UNITDIR)/$$unit && chmod 644 $(UNITDIR)/$$unit || exit 1; done
	install -d $(SHARE)/man/man1 && $(BIN)/moldau help --man > $(SHARE)/man/man1/moldau.1
	$(foreach page,$(wildcard deploy/man/*.1),install -D -m 644 -t $(SHARE)/man/man1 $(page) &&) true
clean: ; rm -rf build compile_commands.json   ## throw the build away
help:   ## this list
	@sed -n 's/^\([a-z_.-]*\):.*   ## \(.*\)/\1\t\2/p' Makefile | awk -F"\t" '{ printf "  make %-22s %s\n", $$1, $$2 }'

# Only what the goal needs: another make may be writing the others.
-include $(shell find $(if $(filter-out fuzz,$(or $(MAKECMDGOALS),all)),$(OUT)/obj) \
    $(if $(findstring fuzz,$(MAKECMDGOALS)),build/fuzz/obj) -name '*.d' 2>/dev/null)
