#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A level with a label: a tgtd whose label cannot be told, or judged, gets no key of it, whatever its user. That
# the right label gets one is tests/guest/labels.t.
. "$(dirname "$0")/../lib.sh"

label=nobody_u:object_r:nobody_t:s2:c1
[ "$(cat /sys/fs/selinux/enforce 2>/dev/null)" = "" ] || skip_all "SELinux is on here: no made-up label is taken"

cat >"$STATE/keyd.conf" <<-CONF
	[roles]
	security-admin = root
	[levels]
	fetch = root
	[level secret]
	fetch = root
	label = $label
CONF
keyd_start --config "$STATE/keyd.conf" && keyadm init >/dev/null || die "keyd starts and makes a store"
like "keyd says what will come of it" "$(<"$STATE/keyd.log")" "level secret.*SELinux is off.*nobody"
tgtd_ready_or_die
for name in secret open; do
	level_create $name
	volume_create $name $name.img 16M
done
target_add 1
ok "a level without a label is served" lun_add 1 1 "$STATE/open.img"
not_ok "one with a label is not" lun_add 1 2 "$STATE/secret.img"
like "for that reason" "$(grep secret.img "$(tgtd_log)" | tail -n 1)" "label"
like "which the audit log has" "$(keyadm --json audit | grep '"attach"' | tail -n 1)" '"level":"secret".*"detail":".*label.*denied'
is "the other goes on" "$(read_outcome "$(url 1 1)")" ok
ok "administrators are not asked for one" keyadm level destroy secret --yes
keyd_stop

cat >>"$STATE/keyd.conf" <<-CONF
	[level other]
	label =
CONF
refused "an empty label stops keyd" 1 "keyd.conf:[0-9]+: .*context" timeout 10 "$BUILD/keyd" --config "$STATE/keyd.conf" \
	--state "$STATE/store" --socket "$STATE/keyd.sock" --admin-socket "$STATE/admin.sock"

done_testing
