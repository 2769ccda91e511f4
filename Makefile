# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# tgt-crypt: encrypted LUNs for tgt. The ways in are `make run`, `make test` and `make demo`.

BUILD    ?= build
PREFIX   ?= /usr
DESTDIR  ?=
# SANITIZE=address,undefined (or thread) builds and tests under $(BUILD)/sanitize-….
SANITIZE ?=

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

PLUGIN_SRC := $(addprefix bs_crypt/, plugin.c opts.c process.c command.c range.c request.c busy.c pool.c volume.c \
	luks.c crypt.c $(if $(IPSEC_MB),crypt_ipsec_mb.c) crypt_openssl.c store_file.c complete.c keysession.c keyconnect.c note.c \
	report.c)
SHARED_SRC := $(addprefix keyd/, channel.c proto.c secret.c cipher.c harden.c)
KEYD_SRC   := $(addprefix keyd/, main.c config.c server.c listener.c peer.c session.c consumer.c holders.c \
	revocation.c admin.c policy.c admin_requests.c admin_custody.c admin_levels.c admin_volumes.c \
	admin_export.c admin_import.c upload.c answer.c \
	inventory.c unlock.c passphrase.c keystore.c keystore_load.c keystore_keys.c keystore_export.c \
	keystore_import.c package.c envelope.c recipients.c export_kind.c record.c wrap.c \
	custody.c custody_file.c custody_passphrase.c stretch.c custody_tpm2.c tpm2.c rewrap.c \
	luks_format.c suspend.c destroy.c erasure.c certificate.c ledger.c audit.c durable.c jsonhelp.c \
	text.c log.c)
KEYADM_SRC := $(addprefix keyd/, keyadm.c keyadm_args.c keyadm_target.c keyadm_volume.c \
	keyadm_export.c keyadm_import.c keyadm_cms.c shares.c export_kind.c keyadm_file.c \
	keyadm_passphrase.c keyadm_destroy.c keyadm_exchange.c keyadm_format.c keyadm_ledger.c client.c \
	passphrase.c text.c)

# What each needs in Debian 12. tests: initiators, an independent oracle, a guest.
DEPS_BUILD := gcc libc6-dev pkg-config dpkg-dev tgt libcryptsetup-dev libssl-dev libinih-dev \
	libjson-c-dev libsystemd-dev libargon2-dev libbsd-dev libgfshare-dev libtss2-dev \
	$(if $(IPSEC_MB),libipsec-mb-dev)
DEPS_TEST  := libcmocka-dev libiscsi-dev libiscsi-bin cryptsetup-bin openssl libgfshare-bin python3 perl procps strace \
	util-linux scdoc man-db clang-format cppcheck shellcheck spin qemu-system-x86 \
	swtpm tpm2-tools libtss2-tcti-swtpm0
# bench: the peers to compare with, and plots.
DEPS_BENCH := qemu-utils qemu-block-extra nbdkit libnbd-bin gocryptfs encfs fio gnuplot-nox fuse3

# ---- Flags ---------------------------------------------------------------------------------------

comma := ,
OUT := $(BUILD)$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE)))
TGT_SRC ?= $(BUILD)/tgt

CFLAGS   ?= -O2 -g
WARN     := -Wall -Wextra -Wconversion -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
# Lines for people are cut to their buffers on purpose.
WARN     += -Wno-format-truncation
HARDEN   := -fstack-protector-strong -fstack-clash-protection -fcf-protection
HARDEN   += $(if $(SANITIZE),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
SAN      := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
ALL_CFLAGS := -std=gnu11 $(CFLAGS) $(WARN) $(HARDEN) $(SAN) -D_GNU_SOURCE -Ikeyd -Ibs_crypt -MMD -MP
ALL_CFLAGS += $(if $(IPSEC_MB),-DHAVE_IPSEC_MB)
ALL_LDFLAGS := $(LDFLAGS) $(SAN) -Wl,-z,relro,-z,now,-z,noexecstack

CRYPTO_LIBS := -lcrypto
PLUGIN_LIBS := -lcryptsetup -ljson-c -lcrypto $(if $(IPSEC_MB),-lIPSec_MB) -lpthread
KEYD_LIBS   := -ltss2-esys -ltss2-rc -ltss2-tctildr -lcryptsetup -lcrypto -largon2 -ljson-c -linih -lsystemd
KEYADM_LIBS := -lcrypto -ljson-c -lbsd -lgfshare

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

# tgt's headers are not ours to mend: -isystem keeps their warnings out.
TGT_OBJECTS := $(call pic,bs_crypt/plugin.c bs_crypt/command.c bs_crypt/complete.c)
$(TGT_OBJECTS): TGT_CFLAGS = -isystem $(TGT_SRC)/usr \
	-DBS_CRYPT_TGT_VERSION='"$(shell dpkg-query -W -f '$${source:Upstream-Version}' tgt)"'
$(TGT_OBJECTS): | $(TGT_SRC)/version

$(BUILD)/tgt/version:
	bash bs_crypt/tgt-headers.sh $(BUILD)/tgt

$(OUT)/pic/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(TGT_CFLAGS) -fPIC -c -o $@ $<

$(OUT)/pie/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(ALL_CFLAGS) -fPIE -c -o $@ $<

MAN := $(patsubst docs/man/%.scd,$(BUILD)/man/%,$(wildcard docs/man/*.scd))
.PHONY: man
man: $(MAN)

$(BUILD)/man/%: docs/man/%.scd
	@mkdir -p $(@D)
	$(Q)scdoc < $< > $@

# ---- Tests ---------------------------------------------------------------------------------------

UNIT  := $(patsubst tests/unit/%.c,$(OUT)/tests/%,$(wildcard tests/unit/test_*.c))
TOOLS := $(OUT)/tests/iscsi-io $(OUT)/tests/memscan $(OUT)/tests/iscsi-load
BENCH_TOOLS := $(OUT)/tests/cipher-speed $(OUT)/tests/slow-file

# A unit test is linked with every part that does not need tgt, or a daemon's main().
UNIT_OBJECTS = $(filter-out $(TGT_OBJECTS), $(call pic,$(PLUGIN_SRC) $(SHARED_SRC) \
	$(filter-out keyd/main.c,$(KEYD_SRC)) \
	$(filter-out keyd/keyadm.c keyd/passphrase.c keyd/text.c keyd/export_kind.c,$(KEYADM_SRC)) \
	tests/bench/histogram.c tests/bench/mark.c))

$(OUT)/tests/test_%: $(OUT)/pie/tests/unit/test_%.o $(OUT)/libunit.a
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka $(PLUGIN_LIBS) $(KEYD_LIBS) $(KEYADM_LIBS)

# Before libunit.a, whose volume it replaces.
$(addprefix $(OUT)/tests/,test_request test_request_now): $(call pie,tests/unit/fake_volume.c)

$(OUT)/libunit.a: $(UNIT_OBJECTS)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(OUT)/tests/iscsi-io: $(call pie,$(filter-out tests/tools/memscan.c,$(wildcard tests/tools/*.c)))
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -liscsi -lpthread

$(OUT)/tests/memscan: $(call pie,tests/tools/memscan.c)
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -lcrypto

LOAD_SRC := $(filter-out tests/bench/cipher_speed.c tests/bench/slow_file.c,$(wildcard tests/bench/*.c)) tests/tools/session.c
$(OUT)/tests/iscsi-load: $(call pie,$(LOAD_SRC))
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -liscsi -ljson-c -lpthread

$(OUT)/tests/cipher-speed: $(OUT)/pie/tests/bench/cipher_speed.o $(OUT)/libunit.a
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ $(PLUGIN_LIBS) $(KEYD_LIBS)

$(OUT)/tests/slow-file: $(OUT)/pie/tests/bench/slow_file.o
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^

.PHONY: run demo bench bench-guest test test-unit test-model test-e2e test-conformance test-guest
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

test: deps
	$(MAKE) all $(TOOLS) $(BENCH_TOOLS) $(UNIT)
	BUILD=$(OUT) SANITIZE=$(SANITIZE) bash tests/run-tests.sh unit model e2e conformance guest

test-unit test-e2e test-guest test-conformance: test-%: all $(TOOLS) $(BENCH_TOOLS) $(UNIT)
	BUILD=$(OUT) SANITIZE=$(SANITIZE) bash tests/run-tests.sh $*

# Needs nothing that is built.
test-model:
	BUILD=$(BUILD) bash tests/run-tests.sh model

# Against LIO over dm-crypt in a virtual machine.
bench-guest: deps
	$(MAKE) all $(TOOLS)
	BUILD=$(OUT) bash tests/guest/lio.sh

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

install: all
	install -D -m 644 $(OUT)/bs_crypt.so $(DESTDIR)$(PREFIX)/lib/tgt/backing-store/bs_crypt.so
	install -D -m 755 $(OUT)/keyd $(DESTDIR)$(PREFIX)/sbin/keyd
	install -D -m 755 $(OUT)/keyadm $(DESTDIR)$(PREFIX)/sbin/keyadm
	for page in $(MAN); do install -D -m 644 $$page \
		$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	install -D -m 644 configs/keyd.conf $(DESTDIR)$(PREFIX)/share/doc/tgt-crypt/keyd.conf
	install -D -m 644 configs/targets.conf $(DESTDIR)$(PREFIX)/share/doc/tgt-crypt/targets.conf
	install -D -m 644 docs/completion/keyadm.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/keyadm

C_FILES  := $(wildcard bs_crypt/*.[ch] keyd/*.[ch] tests/*/*.[ch])
SH_FILES := $(wildcard bs_crypt/*.sh tests/*.sh tests/*/*.sh tests/*/*.t) tests/guest/init .ci/run

format:
	clang-format -i $(C_FILES)

lint: $(TGT_SRC)/version
	clang-format --dry-run -Werror $(C_FILES)
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,performance,portability \
		--suppress=missingIncludeSystem -D__GNUC__ -Ikeyd -Ibs_crypt bs_crypt keyd tests/tools tests/bench
	shellcheck -x $(SH_FILES)

clean:
	rm -rf $(BUILD)

-include $(wildcard $(OUT)/pi?/*/*.d $(OUT)/pi?/tests/*/*.d)
