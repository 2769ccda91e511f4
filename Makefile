# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# tgt-crypt: encrypted LUNs for tgt. The ways in are `make run`, `make test` and `make demo`.

BUILD    ?= build
PREFIX   ?= /usr
DESTDIR  ?=
# SANITIZE=address,undefined (or thread) builds and tests under $(BUILD)/sanitize-….
SANITIZE ?=
# COVERAGE=1 counts what runs, under $(BUILD)/coverage; `make coverage` does all of it.
COVERAGE ?=

# Not empty: build the engine on Intel's multi-buffer library, which exists for x86-64 only.
IPSEC_MB ?= $(filter x86_64,$(shell uname -m))

SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules
# V=1 shows the commands.
Q := $(if $(V),,@)
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

# ---- Sources, in the order in which data (bs_crypt) and keys (keyd) flow through them -----------

PLUGIN_SRC := $(addprefix bs_crypt/, plugin.c opts.c process.c initiator.c login.c guard.c opcodes.c inquiry.c command.c cdb.c \
	caching.c command_sanitize.c \
	capacity.c range.c request.c request_work.c provision.c provision_map.c busy.c pool.c volume_open.c volume_key.c volume.c luks.c crypt.c \
	$(if $(IPSEC_MB),crypt_ipsec_mb.c) crypt_openssl.c store_file.c complete.c keysession.c keymessages.c keysanitize.c keyconnect.c note.c \
	report.c)
SHARED_SRC := $(addprefix keyd/common/, channel.c proto.c page.c secret.c cipher.c harden.c text.c random.c)
KEYD_SRC   := $(addprefix keyd/, main.c config.c server.c sandbox.c sandbox_files.c sandbox_libraries.c sandbox_calls.c \
	listener.c helper.c peer.c places.c session.c consumer.c holders.c revocation.c precedence.c policy.c label.c suspend.c \
	$(addprefix admin/, admin.c admin_requests.c admin_custody.c admin_levels.c admin_volumes.c admin_resize.c admin_destroy.c \
		admin_records.c upload.c admin_export.c admin_import.c unlock.c inventory.c answer.c) \
	$(addprefix store/, keystore.c keystore_load.c keystore_keys.c keystore_resize.c keystore_renew.c record.c wrap.c rewrap.c luks_format.c \
		keystore_export.c keystore_import.c package.c envelope.c recipients.c durable.c reserve.c) \
	$(addprefix custody/, custody.c custody_file.c custody_passphrase.c stretch.c custody_tpm2.c tpm2.c \
		custody_pkcs11.c token.c) \
	$(addprefix destroy/, pending.c pending_json.c moment.c destroy.c sanitize_request.c sanitize.c erasure.c certificate.c zeroize.c \
		zeroize_offline.c zeroize_holders.c zeroize_medium.c zeroize_record.c) \
	$(addprefix records/, audit.c audit_exports.c audit_repeats.c repeats.c audit_line.c audit_head.c audit_locked.c audit_verify.c mac.c serverkeys.c publish.c \
		publish_journal.c publish_kernel.c ledger.c) \
	$(addprefix common/, signature.c export_kind.c passphrase.c reading.c jsonhelp.c log.c))
KEYADM_SRC := $(addprefix keyd/keyadm/, keyadm.c keyadm_args.c keyadm_path.c keyadm_users.c keyadm_target.c keyadm_volume.c keyadm_resize.c keyadm_identity.c keyadm_header.c \
		keyadm_passphrase.c \
		keyadm_destroy.c keyadm_requests.c keyadm_zeroize.c keyadm_audit.c keyadm_certificate.c \
		keyadm_export.c keyadm_import.c keyadm_cms.c shares.c keyadm_file.c keyadm_exchange.c \
		keyadm_format.c keyadm_format_certificate.c keyadm_ledger.c client.c) \
	$(addprefix keyd/common/, signature.c export_kind.c passphrase.c reading.c) bs_crypt/luks.c

# What each needs in Debian 12. tests: initiators, an independent oracle, a guest.
DEPS_BUILD := gcc libc6-dev pkg-config dpkg-dev tgt libcryptsetup-dev libssl-dev libinih-dev \
	libjson-c-dev libsystemd-dev libargon2-dev libseccomp-dev libaudit-dev libbsd-dev libselinux1-dev libtss2-dev \
	libp11-kit-dev libgfshare-dev $(if $(IPSEC_MB),libipsec-mb-dev)
DEPS_TEST  := libcmocka-dev libiscsi-dev libiscsi-bin cryptsetup-bin openssl libgfshare-bin python3 perl procps strace \
	util-linux gdb e2fsprogs xfsprogs btrfs-progs scdoc man-db clang-format cppcheck shellcheck spin checkpolicy \
	qemu-system-x86 diffutils dmsetup fio sg3-utils systemd swtpm tpm2-tools libtss2-tcti-swtpm0 softhsm2 opensc clang clang-tidy \
	libclang-rt-14-dev afl++ gcovr
# bench: the peers to compare with, and plots.
DEPS_BENCH := qemu-utils qemu-block-extra nbdkit libnbd-bin gocryptfs encfs gnuplot-nox fuse3

# ---- Flags ---------------------------------------------------------------------------------------

comma := ,
INCLUDES := -Ibs_crypt -Ikeyd $(addprefix -Ikeyd/, admin common custody destroy keyadm records store) \
	$(shell pkg-config --cflags p11-kit-1 2>/dev/null)
OUT := $(BUILD)$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE)))$(if $(COVERAGE),/coverage)
TGT_SRC ?= $(BUILD)/tgt
# The last of what tgt-headers.sh puts there.
TGT_HEADERS := $(TGT_SRC)/usr/iscsi/iscsid.h

# What is counted is what is written: not optimized.
CFLAGS   ?= $(if $(COVERAGE),-O0,-O2) -g
WARN     := -Wall -Wextra -Wconversion -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
# Lines for people are cut to their buffers on purpose.
WARN     += -Wno-format-truncation
HARDEN   := -fstack-protector-strong -fstack-clash-protection -fcf-protection
HARDEN   += $(if $(SANITIZE)$(COVERAGE),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
SAN      := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
ALL_CFLAGS := -std=gnu11 $(CFLAGS) $(WARN) $(HARDEN) $(SAN) -D_GNU_SOURCE $(INCLUDES) -MMD -MP
ALL_CFLAGS += $(if $(IPSEC_MB),-DHAVE_IPSEC_MB)
ALL_LDFLAGS := $(LDFLAGS) $(SAN) -Wl,-z,relro,-z,now,-z,noexecstack

# tests/coverage/counts.c writes the counts of processes that are confined, or somebody else's.
COUNTED   = $(if $(COVERAGE),$(if $(filter bs_crypt/% keyd/%,$<),--coverage -fprofile-update=atomic))
COUNTS   := $(if $(COVERAGE),$(OUT)/pic/tests/coverage/counts.o)
ALL_LDFLAGS += $(if $(COVERAGE),--coverage)

CRYPTO_LIBS := -lcrypto
PLUGIN_LIBS := -lcryptsetup -ljson-c -lcrypto $(if $(IPSEC_MB),-lIPSec_MB) -lpthread
KEYD_LIBS   := -ltss2-esys -ltss2-rc -ltss2-tctildr -lp11-kit -lcryptsetup -lcrypto -largon2 -ljson-c -linih -lsystemd \
	-lselinux -lseccomp -laudit -lpthread
KEYADM_LIBS := -lcryptsetup -lcrypto -ljson-c -lbsd -lgfshare

# ---- Build ---------------------------------------------------------------------------------------

.PHONY: all
all: $(OUT)/bs_crypt.so $(OUT)/keyd $(OUT)/keyadm man

pic  = $(patsubst %.c,$(OUT)/pic/%.o,$(1))
pie  = $(patsubst %.c,$(OUT)/pie/%.o,$(1))

$(OUT)/bs_crypt.so: $(call pic,$(PLUGIN_SRC) $(SHARED_SRC)) bs_crypt/bs_crypt.map
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -Wl,--version-script=bs_crypt/bs_crypt.map -o $@ \
		$(filter %.o,$^) $(PLUGIN_LIBS)

$(OUT)/keyd: $(call pie,$(KEYD_SRC) $(SHARED_SRC))
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ $(KEYD_LIBS)

$(OUT)/keyadm: $(call pie,$(KEYADM_SRC) $(SHARED_SRC))
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ $(KEYADM_LIBS)

# What knows tgt. Its headers are not ours to mend: -isystem keeps their warnings out.
TGT_SRCS    := $(addprefix bs_crypt/, plugin.c login.c guard.c opcodes.c inquiry.c command.c cdb.c caching.c command_sanitize.c capacity.c complete.c)
TGT_OBJECTS := $(call pic,$(TGT_SRCS))
$(TGT_OBJECTS): TGT_CFLAGS = -isystem $(TGT_SRC)/usr -isystem $(TGT_SRC)/usr/iscsi \
	-DBS_CRYPT_TGT_VERSION='"$(shell dpkg-query -W -f '$${source:Upstream-Version}' tgt)"'
$(TGT_OBJECTS): | $(TGT_HEADERS)

$(BUILD)/tgt/usr/iscsi/iscsid.h:
	bash bs_crypt/tgt-headers.sh $(BUILD)/tgt

$(OUT)/pic/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(TGT_CFLAGS) $(COUNTED) -fPIC -c -o $@ $<

$(OUT)/pie/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(COUNTED) -fPIE -c -o $@ $<

MAN := $(patsubst docs/man/%.scd,$(BUILD)/man/%,$(wildcard docs/man/*.scd))
.PHONY: man
man: $(MAN)

$(BUILD)/man/%: docs/man/%.scd
	@mkdir -p $(@D)
	$(Q)scdoc < $< > $@

# ---- Tests ---------------------------------------------------------------------------------------

UNIT  := $(patsubst tests/unit/%.c,$(OUT)/tests/%,$(wildcard tests/unit/test_*.c))
TOOLS := $(addprefix $(OUT)/tests/, iscsi-io memscan unseal iscsi-load iscsi-soak intruder.so hang give)
BENCH_TOOLS := $(OUT)/tests/cipher-speed $(OUT)/tests/slow-file

# A unit test is linked with every part that does not need tgt, or a daemon's main().
UNIT_OBJECTS = $(filter-out $(TGT_OBJECTS), $(call pic,$(PLUGIN_SRC) $(SHARED_SRC) \
	$(filter-out keyd/main.c,$(KEYD_SRC)) \
	$(filter-out keyd/keyadm/keyadm.c $(KEYD_SRC),$(KEYADM_SRC)) \
	tests/bench/histogram.c tests/bench/mark.c))

$(OUT)/tests/test_%: $(OUT)/pie/tests/unit/test_%.o $(OUT)/libunit.a
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) $(WRAPS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka $(PLUGIN_LIBS) $(KEYD_LIBS) $(KEYADM_LIBS)

# Before libunit.a, whose volume, or the C library, whose calls they replace.
$(addprefix $(OUT)/tests/,test_request test_request_split test_request_now test_provision): $(call pie,tests/unit/fake_volume.c)
$(addprefix $(OUT)/tests/,test_store test_store_now test_store_discard): $(call pie,tests/unit/fake_kernel.c)

# Sweeps in which every call fails once. A test's symbols say which calls it takes the place of.
FAULTS := $(call pie,tests/unit/faults.c)
WRAPS   = $$(nm $(filter %.o,$^) | sed -n 's/.* T __wrap_/-Wl,--wrap=/p')
SWEEPS := $(patsubst tests/unit/%.c,$(OUT)/tests/%,$(wildcard tests/unit/test_faults_*.c))
$(addprefix $(OUT)/tests/,test_luks_format test_keyadm_target): $(FAULTS)
SMALL_KEYDS := $(SWEEPS) $(addprefix $(OUT)/tests/,test_precedence test_patience)
$(SMALL_KEYDS): $(FAULTS) $(call pie,tests/unit/sweep.c tests/unit/small_keyd.c tests/fuzz/lab.c)

# Fuzz targets with main() and inputs of their own: what fuzzing found stays mended.
FUZZ    := $(filter-out fuzz,$(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)))
REPLAYS := $(addprefix $(OUT)/tests/test_fuzz_,$(FUZZ))
$(REPLAYS): $(OUT)/tests/test_fuzz_%: $(OUT)/pie/tests/fuzz/fuzz_%.o $(call pie,tests/fuzz/replay.c tests/fuzz/lab.c) $(OUT)/libunit.a
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(PLUGIN_LIBS) $(KEYD_LIBS) $(KEYADM_LIBS)
$(OUT)/pie/tests/fuzz/replay.o: ALL_CFLAGS += -DCORPUS='"$(CURDIR)/tests/fuzz/corpus"'

$(OUT)/libunit.a: $(UNIT_OBJECTS)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

ifdef COUNTS
COUNTING := $(OUT)/bs_crypt.so $(OUT)/keyd $(OUT)/keyadm $(UNIT) $(REPLAYS)
$(COUNTING): $(COUNTS)
$(COUNTING): ALL_LDFLAGS += -Wl,--wrap=open,--wrap=syscall,--wrap=_exit
$(COUNTS): ALL_CFLAGS += -DCOUNTS_DIR='"$(abspath $(OUT))"'
endif

OTHER_TOOLS := $(addprefix tests/tools/,memscan.c key_pieces.c unseal.c intruder.c)
$(OUT)/tests/iscsi-io: $(call pie,$(filter-out $(OTHER_TOOLS),$(wildcard tests/tools/*.c)))
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -liscsi -lpthread

$(OUT)/tests/memscan: $(call pie,tests/tools/memscan.c tests/tools/key_pieces.c)
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -lcrypto

$(OUT)/tests/unseal: $(call pie,tests/tools/unseal.c)
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -lcrypto

$(OUT)/tests/give: $(call pie,tests/residue/give.c)
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^

$(OUT)/tests/intruder.so: $(call pic,tests/tools/intruder.c)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -o $@ $^

# ---- Faults of the store, power cuts: a library in tgtd, and who knows what must come of it --------

FAULT_TOOLS := $(addprefix $(OUT)/tests/, faulty.so sweep oracle writers cuts)
$(OUT)/tests/faulty.so: $(call pic,tests/fault/faulty.c)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -o $@ $^

$(OUT)/tests/sweep: $(call pie,$(addprefix tests/fault/,sweep.c commands.c model.c control.c write_cache.c) tests/tools/session.c)
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -liscsi

$(OUT)/tests/hang: $(call pie,$(addprefix tests/fault/,hang.c control.c write_cache.c) tests/tools/session.c)
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -liscsi

$(OUT)/tests/writers: $(call pie,tests/powercut/writers.c $(addprefix tests/fault/,control.c write_cache.c) \
	$(addprefix tests/tools/,session.c stamp.c))
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -liscsi -lpthread

$(OUT)/tests/cuts: $(call pie,$(addprefix tests/powercut/,cuts.c disk.c promise.c) tests/fault/essiv.c tests/tools/stamp.c)
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -lcrypto

$(OUT)/tests/oracle: $(call pie,tests/fault/oracle.c tests/fault/essiv.c)
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -lcrypto

LOAD_SRC := $(filter-out tests/bench/cipher_speed.c tests/bench/slow_file.c,$(wildcard tests/bench/*.c)) tests/tools/session.c
$(OUT)/tests/iscsi-load: $(call pie,$(LOAD_SRC))
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -liscsi -ljson-c -lpthread

$(OUT)/tests/iscsi-soak: $(call pie,$(wildcard tests/soak/*.c) tests/tools/session.c)
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -liscsi

$(OUT)/tests/cipher-speed: $(OUT)/pie/tests/bench/cipher_speed.o $(OUT)/libunit.a
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ $(PLUGIN_LIBS) $(KEYD_LIBS)

$(OUT)/tests/slow-file: $(OUT)/pie/tests/bench/slow_file.o
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^

.PHONY: run demo bench bench-guest conformance coverage test tests-built \
	$(addprefix test-,unit model e2e conformance guest guest-long crash residue linear fault powercut soak hostile)
run: deps
	$(MAKE) all $(TOOLS)
	BUILD=$(OUT) bash tests/run/serve.sh

demo: deps
	$(MAKE) all $(TOOLS)
	BUILD=$(OUT) bash tests/run/demo.sh

# QUICK=1: 3 minutes instead of 30. ONLY=plain,luns: these scenarios alone.
bench: deps
	$(MAKE) all $(TOOLS) $(BENCH_TOOLS)
	python3 tests/bench/bench.py --build $(OUT) $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

# All programs of the plain suites.
tests-built: all $(TOOLS) $(BENCH_TOOLS) $(UNIT) $(REPLAYS) $(FAULT_TOOLS)

test: deps
	$(MAKE) all $(TOOLS) $(BENCH_TOOLS) $(UNIT) $(REPLAYS)
	BUILD=$(OUT) SANITIZE=$(SANITIZE) bash tests/run-tests.sh unit model e2e conformance guest

test-unit test-e2e test-guest test-conformance: test-%: all $(TOOLS) $(BENCH_TOOLS) $(UNIT) $(REPLAYS)
	BUILD=$(OUT) SANITIZE=$(SANITIZE) bash tests/run-tests.sh $*

# KEYS=100 GIB=20: more keys and more I/O. ROUNDS=1000: more destructions.
test-residue test-linear test-guest-long: test-%: all $(TOOLS)
	BUILD=$(OUT) SANITIZE=$(SANITIZE) bash tests/run-tests.sh $*

# KILLS=1000 VARIANTS=200 SEED=n: longer, deeper, the same again.
test-crash: all
	BUILD=$(OUT) SANITIZE=$(SANITIZE) bash tests/run-tests.sh crash

# Writes docs/CONFORMANCE.md anew, which test-conformance compares with.
conformance: all $(TOOLS)
	BUILD=$(OUT) bash tests/conformance/report.sh

# FAULTS=30000; CUTS=1000 COMMANDS=20000; SEED=n: more of them, the same again.
test-fault test-powercut: test-%: all $(TOOLS) $(FAULT_TOOLS)
	BUILD=$(OUT) SANITIZE=$(SANITIZE) bash tests/run-tests.sh $*

# OPS=10000000 SEED=n: more commands, the same again. COUNT, ROUNDS: of the hostile ones. With SANITIZE tgtd,
# too, is built with it.
test-soak test-hostile: test-%: all $(TOOLS)
	BUILD=$(OUT) SANITIZE=$(SANITIZE) bash tests/run-tests.sh $*

# What the units and the end-to-end tests reach: build/coverage/report.txt. Fails below 90 % of lines, 80 % of branches.
ifdef COVERAGE
coverage: all $(TOOLS) $(BENCH_TOOLS) $(UNIT) $(REPLAYS)
	BUILD=$(OUT) bash tests/coverage/run.sh
else
coverage: deps
	$(MAKE) coverage COVERAGE=1
endif

# Needs nothing that is built.
test-model:
	BUILD=$(BUILD) bash tests/run-tests.sh model

# Against LIO over dm-crypt in a virtual machine.
bench-guest: deps
	$(MAKE) all $(TOOLS)
	BUILD=$(OUT) bash tests/guest/lio.sh

# ---- Fuzzing (tests/README.md), static analysis ----------------------------------------------------

# For each target; all together take FUZZ_SECONDS times their number, on two CPUs half of it.
FUZZ_SECONDS ?= 35
FUZZ_CC      ?= clang
FUZZ_OUT     ?= $(BUILD)/fuzz
FUZZ_CFLAGS  := -std=gnu11 -O1 -g -Wall -D_GNU_SOURCE $(INCLUDES) $(if $(IPSEC_MB),-DHAVE_IPSEC_MB) -MMD -MP \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_OBJECTS  = $(patsubst %.c,$(FUZZ_OUT)/obj/%.o,$(filter-out $(TGT_SRCS) \
	keyd/main.c keyd/keyadm/keyadm.c,$(sort $(PLUGIN_SRC) $(SHARED_SRC) $(KEYD_SRC) $(KEYADM_SRC)) tests/fuzz/lab.c))

$(FUZZ_OUT)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -c -o $@ $<

$(FUZZ_OUT)/libfuzz.a: $(FUZZ_OBJECTS)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(FUZZ_OUT)/fuzz_%: $(FUZZ_OUT)/obj/tests/fuzz/fuzz_%.o $(FUZZ_OUT)/libfuzz.a
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $@ $^ $(PLUGIN_LIBS) $(KEYD_LIBS) $(KEYADM_LIBS)

.PHONY: fuzz fuzz-afl analyze
# FUZZ="proto store": these targets alone.
fuzz: $(addprefix $(FUZZ_OUT)/fuzz_,$(FUZZ))
	BUILD=$(BUILD) SECONDS_EACH=$(FUZZ_SECONDS) bash tests/fuzz/run.sh $(FUZZ)

# The same targets for long runs with afl-fuzz(1).
fuzz-afl:
	$(MAKE) FUZZ_CC=afl-clang-fast FUZZ_OUT=$(BUILD)/fuzz-afl $(addprefix $(BUILD)/fuzz-afl/fuzz_,$(FUZZ))

analyze: $(TGT_HEADERS)
	@FLAGS="-std=gnu11 -D_GNU_SOURCE $(INCLUDES) $(if $(IPSEC_MB),-DHAVE_IPSEC_MB) -isystem $(TGT_SRC)/usr -isystem $(TGT_SRC)/usr/iscsi \
		-DBS_CRYPT_TGT_VERSION=\"any\"" bash tests/analyze.sh $(sort $(PLUGIN_SRC) $(SHARED_SRC) $(KEYD_SRC) $(KEYADM_SRC))

# ---- Install, clean code -------------------------------------------------------------------------

.PHONY: deps install format lint clean
deps:
	@missing=$$(for p in $(DEPS_BUILD) $(DEPS_TEST) $(DEPS_BENCH); do \
		[ "$$(dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null)" = installed ] || echo $$p; \
	done); \
	[ -z "$$missing" ] && exit 0; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	echo "Installing: "$$missing; \
	$$sudo apt-get -q update && \
	DEBIAN_FRONTEND=noninteractive $$sudo apt-get -q -y --no-install-recommends install $$missing

UNITS := $(wildcard configs/systemd/*.service)

install: all
	install -D -m 644 $(OUT)/bs_crypt.so $(DESTDIR)$(PREFIX)/lib/tgt/backing-store/bs_crypt.so
	install -D -m 755 $(OUT)/keyd $(DESTDIR)$(PREFIX)/sbin/keyd
	install -D -m 755 $(OUT)/keyadm $(DESTDIR)$(PREFIX)/sbin/keyadm
	for page in $(MAN); do install -D -m 644 $$page \
		$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	install -D -m 644 configs/keyd.conf $(DESTDIR)$(PREFIX)/share/doc/tgt-crypt/keyd.conf
	install -D -m 644 configs/targets.conf $(DESTDIR)$(PREFIX)/share/doc/tgt-crypt/targets.conf
	for unit in $(UNITS); do install -d $(DESTDIR)$(PREFIX)/lib/systemd/system && \
		sed 's#/usr/sbin/key#$(PREFIX)/sbin/key#; s#/usr/libexec/#$(PREFIX)/libexec/#' $$unit > \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/}; done
	install -D -m 755 configs/tgtd-targets $(DESTDIR)$(PREFIX)/libexec/tgt-crypt/tgtd-targets
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system/tgt.service.d
	sed 's#/usr/libexec/#$(PREFIX)/libexec/#' configs/systemd/tgt.service.conf > \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/tgt.service.d/tgt-crypt.conf
	install -D -m 644 configs/systemd/tgt-crypt.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/tgt-crypt.conf
	install -D -m 644 configs/systemd/keyd-custody.conf $(DESTDIR)$(PREFIX)/share/doc/tgt-crypt/keyd-custody.conf
	install -D -m 644 docs/completion/keyadm.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/keyadm

C_FILES  := $(wildcard bs_crypt/*.[ch] keyd/*.[ch] keyd/*/*.[ch] tests/*/*.[ch])
SH_FILES := $(wildcard bs_crypt/*.sh tests/*.sh tests/*/*.sh tests/*/*.t tests/*/*/*.t) tests/guest/init .ci/run configs/tgtd-targets

format:
	clang-format -i $(C_FILES)

lint: $(TGT_HEADERS)
	clang-format --dry-run -Werror $(C_FILES)
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,performance,portability \
		--suppress=missingIncludeSystem -D__GNUC__ $(INCLUDES) bs_crypt keyd tests/tools tests/bench \
		tests/fault tests/powercut
	shellcheck -x $(SH_FILES)

clean:
	rm -rf $(BUILD)

-include $(shell [ ! -d $(FUZZ_OUT) ] || find $(FUZZ_OUT) -name '*.d')
-include $(wildcard $(OUT)/pi?/*/*.d $(OUT)/pi?/keyd/*/*.d $(OUT)/pi?/tests/*/*.d)
