#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyd.conf gives roles: the storage administrator makes volumes and gets no key, the auditor reads.
. "$(dirname "$0")/../lib.sh"

SECURITY=2001 STORAGE=2002 AUDITOR=2003 TGTD=2004

cat >"$STATE/keyd.conf" <<-CONF
	[keyd]
	log-level = info
	[roles]
	security-admin = $SECURITY
	storage-admin = @$STORAGE
	auditor = $AUDITOR
	[levels]
	fetch = root
	[level secret]
	fetch = $TGTD
CONF
keyd_answers() { keyadm_as "$AUDITOR" status; } # root has no role here
keyd_start --config "$STATE/keyd.conf" || {
	# before init status may fail: what counts is an answer
	alive "$KEYD_PID" || die "keyd starts with a configuration"
}
install -d -m 1777 "$STATE/luns"
security() { keyadm_as "$SECURITY" "$@"; }
storage() { keyadm_as "$STORAGE" "$@"; }
auditor() { keyadm_as "$AUDITOR" "$@"; }
denied="role|denied|allow|permi"

refused "the storage administrator cannot init" 1 "$denied" storage init
ok "the security administrator can" security init
refused "root has no role that the file does not give" 1 "$denied" keyadm level create mine
ok "the security administrator makes levels" security level create secret
ok "more than one" security level create open
refused "the storage administrator makes none" 1 "$denied" storage level create mine
refused "nor does the auditor" 1 "$denied" auditor level create mine

ok "the storage administrator makes volumes" storage volume create --level secret --size 16M "$STATE/luns/a.img"
ok "in every level" storage volume create --level open --size 16M "$STATE/luns/b.img"
is "which belong to who made them" "$(stat -c '%u %a' "$STATE/luns/a.img")" "$STORAGE 600"
refused "the auditor makes none" 1 "$denied" auditor volume create --level open --size 16M "$STATE/luns/c.img"
for command in "volume key $STATE/luns/a.img --out $STATE/luns/key" "volume destroy $STATE/luns/a.img --yes" \
	"level destroy secret --yes" "level suspend secret" "level resume secret" "audit"; do
	# shellcheck disable=SC2086 # words of a command line
	refused "the storage administrator may not $command" 1 "$denied" storage $command
done
for command in "volume key $STATE/luns/a.img --out $STATE/luns/key" "level destroy secret --yes" "level suspend secret"; do
	# shellcheck disable=SC2086
	refused "the auditor may not $command" 1 "$denied" auditor $command
done
not_ok "no key came out" test -e "$STATE/luns/key"
for who in security storage auditor; do
	like "$who lists levels" "$($who level list)" 'secret.*active'
	like "$who lists volumes" "$($who volume list)" "$STATE/luns/a.img"
	ok "$who sees the status" $who status
done
ok "the auditor reads the audit log" auditor audit
ok "and verifies it" auditor audit --verify
like "denied requests are in it" "$(auditor --json audit | grep "\"uid\": *$STORAGE" | grep -ci denied)" '^[1-9]'

# Who may fetch: uid $TGTD the level secret, root the others.
tgtd_ready_or_die
target_add 1
ok "root's tgtd opens a volume of level open" lun_add 1 1 "$STATE/luns/b.img"
is "and serves it" "$(read_outcome "$(url 1 1)")" ok
not_ok "but none of level secret" lun_add 1 2 "$STATE/luns/a.img"
like "for a reason that is told" "$(grep 'bs_crypt: ' "$(tgtd_log)" | tail -n 1)" "a.img.*keyd"
is "the good LUN goes on" "$(read_outcome "$(url 1 1)")" ok

refused "a path is no name for who may not read what lies there" 1 "b.img: Permission denied.*UUID" \
	security volume key "$STATE/luns/b.img" --out "$STATE/luns/key"
ok "the security administrator gets a key" security volume key "$(cryptsetup luksUUID "$STATE/luns/b.img")" --out "$STATE/luns/../luns/key"
ok "and destroys" security level destroy open --yes
is "at once" "$(read_outcome "$(url 1 1)")" 07/74/71

# A stranger's noise hides no refusal of somebody who has a role, and fills no disk.
log=$STATE/store/audit.log
refusals() { grep -c "\"uid\":$1,.*\"detail\":\"$2\",\"result\":\"denied\"" "$log"; } # UID DETAIL
for _ in $(seq 25); do keyadm_as 2999 level destroy secret --yes; done 2>/dev/null
is "a refusal that is repeated is recorded once" "$(refusals 2999 LEVEL_DESTROY)" 1
refused "another is refused" 1 "$denied" storage volume key "$STATE/luns/b.img" --out "$STATE/luns/b.key"
is "and recorded" "$(refusals $STORAGE VOLUME_KEY)" 1
keyd_stop
is "the repeats are counted" "$(refusals 2999 '24 more like record [0-9]*')" 1

# A configuration that is wrong is not used.
bad_conf() { # NAME LINE REGEX SECTION
	printf '%s\n' "[${4:-keyd}]" "$2" >"$STATE/bad.conf"
	refused "$1" 1 "bad.conf:[0-9]+.*$3|$3" timeout 10 "$BUILD/keyd" --config "$STATE/bad.conf" \
		--state "$STATE/store" --socket "$STATE/keyd.sock" --admin-socket "$STATE/admin.sock"
}
bad_conf "an unknown key stops keyd" "no-such-key = 1" "bad.conf:2.*no-such-key"
bad_conf "an unknown section stops keyd" "fetch = root" "bad.conf:[12].*nonsense" nonsense
bad_conf "an unknown user stops keyd" "auditor = no-such-user-here" "bad.conf:2.*no-such-user-here" roles
bad_conf "a bad number stops keyd" "revoke-timeout = soon" "bad.conf:2.*revoke-timeout"

done_testing
