#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# The systemd units leave keyd little (exposure 1.5 at most), and a systemd that is booted for the test runs keyd and
# a level's tgtd with them, each as its own user without capabilities, and they do their work. What initiators write as their
# names runs nowhere when the units end.
. "$(dirname "$0")/../lib.sh"

[ -z "${TGTD_PRELOAD-}" ] || skip_all "sanitizers want memory that is writable and executable"
ok "make install" make -C "$TOP" BUILD="$BUILD" DESTDIR="$STATE/root" install
units=$STATE/root/usr/lib/systemd/system

exposure() { # UNIT: in tenths
	systemd-analyze security --offline=true "$units/$1" --no-pager 2>&1 |
		sed -n 's/.*Overall exposure level for [^ ]*: \([0-9]*\)\.\([0-9]\).*/\1\2/p'
}
like "systemd rates keyd.service" "$(exposure keyd.service)" '^[0-9]+$'
ok "1.5 at most" [ "$(exposure keyd.service)" -le 15 ]
ok "tgtd-crypt@.service is good, too" [ "$(exposure tgtd-crypt@.service)" -le 25 ]

cgroups=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
[ -n "$cgroups" ] && mkdir "$cgroups/tgt-crypt-test-$$" 2>"$STATE/err" ||
	{ skip "systemd runs keyd" "no cgroup2 to give to it" && done_testing; }
at_exit find "$cgroups/tgt-crypt-test-$$" -depth -type d -delete
install -D -m 755 "$BUILD/tests/iscsi-io" "$STATE/root/iscsi-io"
install -D -m 644 -t "$STATE/root/hostile" "$TESTS/hostile/names.py" "$TESTS/hostile/initiator.py"
cp "$TESTS/systemd/probe.sh" "$STATE/probe"
: >"$STATE/said"
cat >"$STATE/go" <<-SCRIPT
	echo \$\$ >$cgroups/tgt-crypt-test-$$/cgroup.procs
	exec timeout --foreground -s KILL 150 unshare --mount --pid --fork --kill-child --net --ipc --uts \
		--cgroup bash $TESTS/systemd/boot.sh $STATE
SCRIPT
# systemd has a terminal for its console.
setpriv --pdeathsig TERM script -qec "bash $STATE/go" /dev/null >"$STATE/console.log" 2>&1 </dev/null
[ -s "$STATE/said" ] || { skip "systemd runs keyd" "it does not boot: $(tail -n 1 "$STATE/console.log")" && done_testing; }

said() { sed -n "s/^$1=//p" "$STATE/said"; }
unlike "keyd does not start while it does not know a user of keyd.conf" "$(said keyd-too-early)" '^0 '
like "keyd starts by itself when the user is known" "$(said keyd-start)" '^0 '
is "as its user" "$(said keyd-user)" keyd
is "without a capability" "$(said keyd-capabilities)" 00000000000000000000000000000000
is "confined" "$(said keyd-seccomp)" 2
is "its files are its own" "$(said keyd-files)" "700:keyd 600:keyd"
for step in init level other-level volume other-volume; do
	like "$step is made" "$(said $step)" '^0 '
done
like "tgtd of level secret starts" "$(said tgtd-start)" '^0 '
like "as its user" "$(said tgtd-user)" '^([1-9][0-9]*)=\1$'
is "without a capability" "$(said tgtd-capabilities)" 0000000000000000
like "its LUN is written" "$(said write)" '^0 '
like "and read" "$(said read)" '^0 '
unlike "another level's LUN it cannot open" "$(said other-key)" '^0 '
like "keyd is started again" "$(said keyd-restart)" '^0 '
if [ -z "$(said no-passphrase)" ]; then
	is "and unlocked by a credential" "$(said locked)" 1
else
	skip "and unlocked by a credential" "the machine lets nobody lock more than $(said no-passphrase) bytes"
fi
like "tgtd went on" "$(said read-again)" '^0 '
like "the level is destroyed" "$(said destroy)" '^0 .*1 of 1 consumers confirmed'
like "for tgtd, too" "$(said read-destroyed)" '07/74/71'
is "tgtd ends well" "$(said tgtd-stop)$(said tgtd-result)" "0 success"
for name in tgt plain; do
	like "the unit of tgtd $name starts without the plugin" "$(said $name-start)" '^0 '
	ok "and lets in who has shell code for a name" [ "$(said $name-let-in)" -gt 20 ]
	like "a client writes and flushes" "$(said $name-write)" '^0 '
	unlike "there is no reload, which would run it" "$(said $name-reload)" '^0 '
	is "tgtd $name ends well under load" "$(said $name-stop)$(said $name-result)" "0 success"
	like "what was flushed is there" "$(said $name-data)" '^0 '
done
is "no initiator's name was run" "$(grep '^ran=' "$STATE/said")" "ran="
is "keyd ends well" "$(said keyd-stop)$(said keyd-result)" "0 success"
is "the probe came to its end" "$(said the-end)" 1
[ $tests_failed = 0 ] || diag "$(<"$STATE/said")"

done_testing
