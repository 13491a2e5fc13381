# streamd, streamctl, streamload - stream a camera to an inference server without lag.
#
#   make demo              set up, build, stream a test picture, print results
#   make test              set up, build, run all tests
#   make test SAN=thread   the same under a sanitizer: address,undefined or thread
#   make                   build only; make check: test without set-up
#   make install           to DESTDIR=, PREFIX=/usr/local
#   make test-vm           streamctl on real V4L2 drivers in a small emulated machine
#   make test-onnx        the ONNX plugin with the real ONNX Runtime, fetched from npm
#   make lint              clang-format, clang-tidy, cppcheck, mandoc -Tlint
#   make fuzz              every fuzz target for FUZZ_SECONDS=20
#   make bench-check       instruction counts beside tests/bench/check.txt; RECORD=1 writes them
#   make bench             what a frame costs streamd beside bare servers; BENCH=list lists its parts
#   make bench-overload    overload beside a server of the usual kind; writes README's tables
#   make bench-loadgen     streamload beside node's ws and Artillery; writes README's table
#   make bench-compare     streamload compare on real runs of like and unlike servers
#   make bench-capture     what a camera costs streamctl; writes README's table
#   make bench-pipelines   what each pipeline costs; writes README's table
#   make bench-motion      motion beside decoding, with and without vector code
#   make bench-passthrough what a frame costs streamctl that only passes it on
#   make bench-split       how fast MJPEG streams are split, beside memcpy, memchr and memmem
#   make format clean help

VERSION := 0.1.0
PREFIX  ?= /usr/local
DESTDIR ?=
PYTHON  ?= /usr/bin/python3
SAN     ?=

comma  := ,
B      := build/$(or $(subst $(comma),-,$(SAN)),plain)
CFLAGS ?= -O2 -g
SANF   := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
FLAGS  := -std=c11 -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -I. -MMD -MP -pthread $(SANF) \
          -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
LIBS_streamd   := -lwebsockets -lev -lturbojpeg -lcjson -ldl -lm
LIBS_streamctl := -lwebsockets -lturbojpeg -lcurl -lv4l2 -lcjson -lm
LIBS_streamload:= -lwebsockets -lssl -lcrypto -lev -lturbojpeg -lcurl -lcjson -lz -lm
LIBS_all       := -lwebsockets -lssl -lcrypto -lev -lturbojpeg -lcurl -lv4l2 -lcjson -lz -lm

# What is built only where its library is installed.
has_header = $(shell echo '\#include <$1>' | $(CC) -E - >/dev/null 2>&1 && echo yes)
ifeq ($(call has_header,apriltag/apriltag.h),yes)
FLAGS += -DHAVE_APRILTAG
LIBS_streamd += -lapriltag
LIBS_all += -lapriltag
else
without := server/pipelines/apriltag.c
endif

# Libraries that streamd loads: see server/plugin/streamd_plugin.h. They see that header and no other.
PLUGINS   := example onnx $(if $(call has_header,zbar.h),zbar)
LIBS_onnx := -lm -ldl
LIBS_zbar := -lzbar
PLUGIN_SO  = $(PLUGINS:%=$B/plugins/%.so)

PROGRAMS := streamd streamctl streamload
common   := $(wildcard common/*.c)
streamd  := $(filter-out $(without),$(wildcard server/*.c server/pipelines/*.c))
streamctl:= $(wildcard cli/*.c cli/v4l2/*.c)
streamload := $(wildcard loadgen/*.c)
sim      := $(wildcard tests/sim/*.c)
objs      = $(patsubst %.c,$B/%.o,$1)
parts     = $(filter-out %/main.o,$(call objs,$1))
UNITS    := $(patsubst tests/unit/%.c,$B/tests/%,$(wildcard tests/unit/test_*.c))
FUZZERS  := $(patsubst tests/fuzz/%.c,$B/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
PAGES    := $(patsubst %.in,$B/%,$(wildcard man/*.in)) $(addprefix $B/,$(wildcard man/*.[178]))
SOURCES  := $(wildcard common/*.[ch] server/*.[ch] server/pipelines/*.[ch] cli/*.[ch] cli/v4l2/*.[ch] \
              loadgen/*.[ch] tests/unit/*.[ch] tests/fuzz/*.[ch] tests/sim/*.[ch] tests/shim/*.c tests/vm/*.c tests/bench/*.[ch] \
              server/plugin/*.h plugins/*.[ch])
DONE      = @printf '  %-5s %s\n' '$1' '$@'

.PHONY: FORCE all programs units fuzzers plugins pages demo test check unit-check integration-check \
        test-vm test-onnx valgrind-check fuzz fuzz-run lint format install clean help
.PHONY: bench bench-check bench-overload bench-loadgen bench-compare bench-capture bench-pipelines \
        bench-split bench-motion bench-passthrough
.DELETE_ON_ERROR:
.SECONDARY:

all: programs plugins pages
programs: $(addprefix $B/,$(PROGRAMS))
units: $(UNITS)
pages: $(PAGES)
plugins: $(PLUGIN_SO)

$B/include/streamd/plugin.h: server/plugin/streamd_plugin.h
	@mkdir -p $(@D)
	@cp $< $@

define link_plugin
	@mkdir -p $(@D)
	@$(CC) $(filter-out -I. -MMD -MP,$(FLAGS)) -I$B/include $(CFLAGS) $(LDFLAGS) -shared -fPIC \
	    -fvisibility=hidden -o $@ $< $(LIBS_$*)
	$(call DONE,LD)
endef

$B/plugins/%.so: plugins/%.c $B/include/streamd/plugin.h
	$(link_plugin)

$B/plugins/onnx.so: $(wildcard plugins/onnx_*.h)

# Other flags, such as a library that was installed meanwhile, make other objects.
$B:
	@mkdir -p $@

$B/flags: FORCE | $B
	$(file >$@.new,$(CC) $(FLAGS) $(CFLAGS))
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$B/%.o: %.c $B/flags
	@mkdir -p $(@D)
	@$(CC) $(FLAGS) $(CFLAGS) -c -o $@ $<
	$(call DONE,CC)

# Pixels by the million: worth the compiler's vector code.
VECTOR := -O3
$B/cli/raw.o $B/server/pipelines/motion_cells.o: private CFLAGS += $(VECTOR)

$B/libcommon.a: $(call objs,$(common))
$B/libstreamd.a: $(call parts,$(streamd))
$B/libstreamctl.a: $(call parts,$(streamctl))
$B/libstreamload.a: $(call parts,$(streamload))
$B/libsim.a: $(filter-out %/sim_main.o,$(call objs,$(sim)))
$B/%.a:
	@rm -f $@
	@$(AR) rcs $@ $^
	$(call DONE,AR)

$B/streamd: $B/server/main.o $B/libstreamd.a $B/libcommon.a
$B/streamctl: $B/cli/main.o $B/libstreamctl.a $B/libcommon.a
$B/streamload: $B/loadgen/main.o $B/libstreamload.a $B/libcommon.a
$(addprefix $B/,$(PROGRAMS)):
	@$(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_$(@F))
	$(call DONE,LD)

$B/tests/%: $B/tests/unit/%.o $B/libsim.a $B/libstreamd.a $B/libstreamctl.a $B/libstreamload.a \
            $B/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS_all)
	$(call DONE,LD)

# It has a plugin in it.
$B/tests/fuzz/fuzz_onnx_config.o: $B/include/streamd/plugin.h
$B/tests/fuzz/fuzz_onnx_config.o: private FLAGS += -I$B/include

$B/fuzz/%: $B/tests/fuzz/%.o $B/libstreamd.a $B/libstreamctl.a $B/libstreamload.a $B/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(FLAGS) -fsanitize=fuzzer $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_all)
	$(call DONE,LD)

$B/bench/%: $B/tests/bench/%.o $B/libstreamctl.a $B/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_streamctl)
	$(call DONE,LD)

$B/bench/check_scenarios: $B/tests/bench/check_scenarios.o $B/libsim.a $B/libstreamd.a $B/libstreamctl.a \
                          $B/libstreamload.a $B/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_all)
	$(call DONE,LD)

# The servers and the client that bench measures against.
YARDS := yard_epoll yard_lws yard_client
$(YARDS:%=$B/bench/%): $B/bench/%: $B/tests/bench/%.o $B/tests/bench/yard.o $B/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ -Wl,--as-needed -lwebsockets -lcrypto
	$(call DONE,LD)

# motion twice in one program: as it is, and without vector code under other names.
$B/bench/plain/%.o: server/pipelines/%.c tests/bench/motion_plain.h $B/flags
	@mkdir -p $(@D)
	@$(CC) $(FLAGS) $(CFLAGS) $(VECTOR) -fno-tree-vectorize -include tests/bench/motion_plain.h -c -o $@ $<
	$(call DONE,CC)

$B/bench/motion_bench: $B/tests/bench/motion_bench.o $B/bench/plain/motion_detect.o \
                       $B/bench/plain/motion_cells.o $B/libstreamd.a $B/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_streamd)
	$(call DONE,LD)

# The same work in a process of its own and as a plugin, for bench-pipelines.
$B/bench/size_worker: server/pipelines/examples/worker.c
	@mkdir -p $(@D)
	@$(CC) $(filter-out -MMD -MP,$(FLAGS)) $(CFLAGS) $(LDFLAGS) -o $@ $<
	$(call DONE,LD)

$B/bench/%.so: tests/bench/%.c $B/include/streamd/plugin.h
	$(link_plugin)

# The decisions on a virtual clock: build/plain/sim --help
$B/sim: $B/tests/sim/sim_main.o $B/libsim.a $B/libstreamd.a $B/libstreamctl.a $B/libstreamload.a $B/libcommon.a
	@$(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_all)
	$(call DONE,LD)

# The OPTIONS part of a page comes from the program's own table.
$B/man/%: man/%.in $(addprefix $B/,$(PROGRAMS))
	@mkdir -p $(@D)
	@$B/$(basename $*) --help-mdoc >$@.options
	@sed -e '/^@OPTIONS@$$/{r $@.options' -e 'd}' $< >$@
	@rm $@.options
	$(call DONE,MAN)

$B/man/%: man/%
	@mkdir -p $(@D)
	@cp $< $@

# --- what people type ---

demo:
	@tools/deps build
	@$(MAKE) --no-print-directory programs
	@tools/demo $B

test:
	@tools/deps build test
	@$(MAKE) --no-print-directory check

check: unit-check integration-check

unit-check: units
	@failed=0; for t in $(UNITS); do \
	    $$t >$$t.log 2>&1 || { grep -v '^\[ RUN\|^\[       OK' $$t.log; failed=1; }; \
	    sed -n 's/^\[==========\] \([0-9]* test(s) run\).*/  \1/p' $$t.log | \
	        sed "s|^|  TEST  $${t##*/}|"; \
	done; exit $$failed

$B/tests/v4l2shim.so: tests/shim/v4l2shim.c
	@mkdir -p $(@D)
	@$(CC) $(filter-out -fsanitize=% -MMD -MP,$(FLAGS)) $(CFLAGS) -shared -fPIC -o $@ $<
	$(call DONE,LD)

integration-check: programs plugins pages $B/tests/v4l2shim.so $(YARDS:%=$B/bench/%)
	@V4L2SHIM=$(abspath $B/tests/v4l2shim.so) STREAMD=$(abspath $B/streamd) STREAMCTL=$(abspath $B/streamctl) \
	    STREAMLOAD=$(abspath $B/streamload) TEST_SLOW=$(if $(SAN),3,1) \
	    TEST_IO_THREADS=$(if $(filter thread,$(SAN)),3) $(PYTHON) -B -m pytest -q -n 4 \
	    -p no:cacheprovider tests/integration

# plugins/onnx.c with the library that it is for: 114 MB from npm, once, into build/npm. Skips
# itself, and says so, where that cannot be had; ONNXRUNTIME=libonnxruntime.so.1 gives another.
test-onnx: programs plugins
	@tools/onnxruntime build/npm && STREAMD=$(abspath $B/streamd) STREAMCTL=$(abspath $B/streamctl) \
	    $(PYTHON) -B -m pytest -q -n 2 -p no:cacheprovider tests/integration/test_onnx.py || test $$? = 77

# The guest's camera is a program; see tests/vm/.
$B/tests/fakeuvc: tests/vm/fakeuvc.c
	@mkdir -p $(@D)
	@$(CC) $(filter-out -MMD -MP,$(FLAGS)) $(CFLAGS) $(LDFLAGS) -o $@ $< -ljpeg
	$(call DONE,LD)

# Skips itself, and says so, where there is no qemu.
test-vm:
	@tools/deps build test
	@tools/deps vm || true
	@$(MAKE) --no-print-directory programs $B/tests/fakeuvc
	@PYTHON=$(PYTHON) tests/vm/test-vm $B

# One session's life under valgrind: no leak, no invalid access.
valgrind-check: programs
	@tools/deps lint
	@BUILD=$(abspath $B) tools/valgrind-session

fuzzers: $(FUZZERS) $(PLUGIN_SO)

# FUZZ_SECONDS=N for each target; what is found lands in build/findings/.
FUZZ_SECONDS ?= 20
fuzz:
	@tools/deps build fuzz
	@$(MAKE) --no-print-directory CC=clang SAN=fuzzer-no-link,address,undefined \
	    FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz-run

fuzz-run: fuzzers
	@for f in $(FUZZERS); do tools/fuzz $$f $(FUZZ_SECONDS) || exit 1; done

# Fails where a scenario takes 5 % more instructions than recorded. RECORD=1 records, and the commit
# says why.
bench-check: $B/bench/check_scenarios
	@tools/deps lint
	@$(PYTHON) -B tests/bench/check.py --program $< --flags='$(strip $(CFLAGS) $(SANF))' \
	    $(if $(RECORD),--record)

# What a frame costs streamd beside bare servers: about 17 minutes, on an otherwise idle machine.
# BENCH="latency memory" measures those, BENCH=list lists them all; INTO=README.md writes there.
bench: programs $(YARDS:%=$B/bench/%)
	@tools/deps build bench
	@mkdir -p build/bench
	@$(PYTHON) -B tests/bench/io_bench.py --build $B --out build/bench.json \
	    $(if $(INTO),--into $(INTO)) $(BENCH)

# Overload from the real programs, beside a server of the usual kind: about 6 minutes, on an
# otherwise idle machine. Writes build/bench/, docs/overload.svg and the tables in README.md.
bench-overload: programs
	@tools/deps build bench
	@mkdir -p build/bench
	@$(PYTHON) -B tests/bench/overload.py --streamd $B/streamd --out build/bench/overload.json
	@$(PYTHON) -B tests/bench/plot.py build/bench/overload.json docs/overload.svg
	@$(PYTHON) -B tests/bench/table.py build/bench/overload.json --into README.md

# Load generators beside each other: about 12 minutes, on an otherwise idle machine. Writes
# build/bench/loadgen.json and the tables in README.md.
bench-loadgen: programs
	@tools/deps build bench
	@mkdir -p build/bench
	@$(PYTHON) -B tests/bench/loadgen.py --build $B --out build/bench/loadgen.json --into README.md

# Is `streamload compare` right about real runs? About 5 minutes.
bench-compare: programs
	@$(PYTHON) -B tests/bench/compare.py --build $B

# About 9 minutes, on an otherwise idle machine.
bench-pipelines: programs plugins $B/bench/size_worker $B/bench/size_plugin.so
	@tools/deps bench
	@$(PYTHON) -B tests/bench/pipelines.py --build $B --into README.md

# About a minute; BESIDE=FILE: another streamctl, to compare with.
bench-passthrough: programs
	@$(PYTHON) -B tests/bench/passthrough.py --build $B $(BESIDE:%=--beside %)

bench-split: $B/bench/split_bench
	@taskset -c 0 $<

bench-motion: $B/bench/motion_bench
	@taskset -c 0 $<

bench-capture: programs $B/bench/capture_bench $B/tests/v4l2shim.so
	@tools/deps bench
	@$(PYTHON) -B tests/bench/capture.py --build $B --into README.md

lint: pages $B/include/streamd/plugin.h
	@tools/deps build lint
	@clang-format --dry-run -Werror $(SOURCES)
	@for p in $(PAGES); do mandoc -Tlint -Wwarning $$p || exit 1; done
	@tools/vectorised server/pipelines/motion_cells.c $(CC) $(filter-out -MMD -MP,$(FLAGS)) $(CFLAGS) $(VECTOR)
	@cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --suppressions-list=.cppcheck \
	    --enable=warning,performance,portability -D_GNU_SOURCE -DVERSION='""' \
	    -D'cJSON_ArrayForEach(e, a)=for (; e;)' -I. -I$B/include common server cli loadgen plugins
	@printf '%s\n' $(filter common/%.c server/%.c cli/%.c loadgen/%.c,$(SOURCES)) $(PLUGINS:%=plugins/%.c) | \
	    xargs -P 2 -n 4 clang-tidy --quiet --warnings-as-errors='*' 2>/dev/null

format:
	@clang-format -i $(SOURCES)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install $(addprefix $B/,$(PROGRAMS)) $(DESTDIR)$(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/share/streamload
	install -m 644 loadgen/report.schema.json $(DESTDIR)$(PREFIX)/share/streamload
	for s in 1 7 8; do \
	    install -d $(DESTDIR)$(PREFIX)/share/man/man$$s; \
	    install -m 644 $B/man/*.$$s $(DESTDIR)$(PREFIX)/share/man/man$$s; \
	done
	for p in $(PROGRAMS); do \
	    $B/$$p --completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$p; \
	done
	install -d $(DESTDIR)$(PREFIX)/include/streamd $(DESTDIR)$(PREFIX)/lib/pkgconfig \
	    $(DESTDIR)$(PREFIX)/lib/streamd/plugins
	install -m 644 server/plugin/streamd_plugin.h $(DESTDIR)$(PREFIX)/include/streamd/plugin.h
	install -m 644 $(PLUGIN_SO) $(DESTDIR)$(PREFIX)/lib/streamd/plugins
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' server/plugin/streamd-plugin.pc.in \
	    >$(DESTDIR)$(PREFIX)/lib/pkgconfig/streamd-plugin.pc

clean:
	rm -rf build

help:
	@sed -n 's/^#   /  /p' Makefile | sed '/^ *$$/d'

-include $(shell find build -name '*.d' 2>/dev/null | grep "^$B/")
