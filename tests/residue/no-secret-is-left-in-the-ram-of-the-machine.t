#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyd, keyadm and tgtd run in a virtual machine whose RAM is a file. After a suspension, a detachment, an export, an
# import, an unlocking and a destruction no 16 bytes of the keys and passphrases concerned are anywhere in that RAM:
# not in the programs, and not in what the kernel has freed. Before, they are found. A killed tgtd is the exception,
# unless the kernel wipes what it frees (init_on_free=1): a second machine shows that.
# shellcheck disable=SC2016 # what is in single quotes is for the guest's shell
TEST_LIMIT=${TEST_LIMIT:-600}
LUNS=16
GUEST_LIMIT=200 # an emulated CPU is slow
# shellcheck source=tests/guest/stage.sh
. "$(dirname "$0")/../guest/stage.sh"
# shellcheck source=tests/backup.sh
. "$TESTS/backup.sh"

RAM=$(mktemp -p "$([ -w /dev/shm ] && echo /dev/shm || echo "$STATE")" tgt-crypt-ram.XXXXXX)
at_exit 'rm -f "$RAM"'
RAM_OPTIONS=(-m 640 -object "memory-backend-file,id=ram,size=640M,mem-path=$RAM,share=on" -machine memory-backend=ram)

found() { # KEYFILE...: how many pieces of them the RAM has
	"$BUILD/tests/memscan" "$RAM" "$@" | sed -n 's/^hits //p'
}
is_found() { [ "$(found "$@")" != 0 ]; }
in_ram() { isnt "$1: in the RAM" "$(found "${@:2}")" 0; }
not_in_ram() { is "$1: nowhere in the RAM" "$(found "${@:2}")" 0; }

# What a guest's shell needs to be brief.
guest_functions='
keyadm() { /bin/keyadm --admin-socket /run/a "$@"; }
start_keyd() { keyd --state "$1" --socket /run/k --admin-socket /run/a </dev/null >>/keyd.log 2>&1 & within 60 "keyadm status >/dev/null"; }
stop_keyd() { kill $(pidof keyd); within 10 "! pidof keyd"; }
start_tgtd() {
	LD_PRELOAD=/lib/bs_crypt.so KEYD_SOCKET=/run/k tgtd -f -C 0 --iscsi portal=127.0.0.1:3260 </dev/null >>/tgtd.log 2>&1 &
	within 60 "tgtadm --lld iscsi --op show --mode system >/dev/null 2>&1" &&
		tgtadm --lld iscsi --op new --mode target --tid 1 --targetname iqn.2007-06.example:t1
}
lun() { tgtadm --lld iscsi --op new --mode logicalunit --tid 1 --lun $1 --bstype crypt --backing-store "$2" --bsopts "${3-shared=off}"; }
'

# Stores and volumes are made here, where it is faster, and so that only their sealed keys come to the guest.
here() { # FOLDER COMMAND...: with a keyd whose store is in the guest's FOLDER then
	rm -rf "$STATE/store"
	keyd_start && "${@:2}" && keyd_stop || die "the store for $1 is made"
	mkdir -p "$STATE/root"
	cp -a "$STATE/store" "$STATE/root/$1"
}

make_levels() { # NAME...: each with a volume; of that the guest gets the headers
	keyadm init >/dev/null && "$BUILD/tests/unseal" root "$STATE/store/root.key" >"$STATE/root.raw" || return
	mkdir -p "$STATE/root"
	local name
	for name; do
		rm -f "$STATE/$name".*
		level_create "$name" && volume_create "$name" "$name.img" 1M || return
		keyadm volume key "$STATE/$name.img" --out "$STATE/$name.volume" >/dev/null || return
		"$BUILD/tests/unseal" "$STATE/root.raw" "$STATE/store/levels/$name/level.key" >"$STATE/$name.level" || return
		head -c 32K "$STATE/$name.img" >"$STATE/root/$name.img"
	done
}

# Its passphrase as give wants it is in $hex.
make_sealed() {
	head -c 16 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$STATE/passphrase"
	hex=$(od -An -v -tx1 "$STATE/passphrase" | tr -d ' \n' | tr 0123456789abcdef fedcba9876543210)
	keyadm init --custody passphrase --passphrase-fd 3 3<"$STATE/passphrase" >/dev/null
}

machine() { # [kernel parameter]: with keyd
	mkdir -p "$STATE/root/run" "$STATE/root/var/run"
	guest_programs "$BUILD/keyd" "$BUILD/keyadm" tgtd tgtadm "$BUILD/tests/give" &&
		guest_add "$STATE" "$(realpath "$BUILD/bs_crypt.so")" lib/bs_crypt.so || die "the guest gets its programs"
	printf '%s' "$guest_functions" >"$STATE/root/residue-init.sh"
	rm -f "$STATE/guest-port".*
	guest_boot_or_die "${RAM_OPTIONS[@]}" ${1:+-append "console=ttyS0 quiet panic=-1 $1"}
	ok "keyd starts in the machine" guest 'mkdir -p /var/run/tgtd; truncate -s 17M /*.img; start_keyd /store'
	ok "tgtd starts" guest start_tgtd
}

guest_image_or_skip

# --- a machine like any other --------------------------------------------------------------------

person admin
here store make_levels doomed held left
here sealed make_sealed
install "$STATE"/admin.* "$STATE/root"
machine
ok "one LUN is served" guest "lun 1 /left.img"
in_ram "left, which is served" "$STATE/left.volume"
not_in_ram "its level's key" "$STATE/left.level"

# Many keys at once, because what the kernel frees it uses again for the next ones first.
lun=1
for name in held doomed; do
	ok "$name: $LUNS LUNs are served" guest "for i in \$(seq $((lun + 1)) $((lun += LUNS))); do lun \$i /$name.img shared=on || exit 1; done"
	ok "$name: it is suspended" guest "keyadm level suspend $name"
	not_in_ram "$name: suspended" "$STATE/$name.volume" "$STATE/$name.level"
	ok "$name: it is resumed, and all fetch the key" guest "keyadm level resume $name"
	in_ram "$name, which is served" "$STATE/$name.volume"
done
ok "a level is suspended" guest "keyadm level suspend held"
not_in_ram "suspended" "$STATE/held.volume" "$STATE/held.level"
ok "a level is destroyed" guest "keyadm level destroy doomed --yes"
not_in_ram "destroyed" "$STATE/doomed.volume" "$STATE/doomed.level"

ok "a LUN is taken away" guest "tgtadm --lld iscsi --op delete --mode logicalunit --tid 1 --lun 1"
not_in_ram "detached" "$STATE/left.volume" "$STATE/left.level"

ok "the level is exported for a certificate" \
	guest "keyadm export --level left --recipient /admin.pem --out /left.export"
not_in_ram "exported" "$STATE/left.volume" "$STATE/left.level"
ok "that level is destroyed" guest "keyadm level destroy left --yes"
ok "and imported" guest "keyadm import /left.export --key /admin.key --force"
not_in_ram "imported" "$STATE/left.volume" "$STATE/left.level"

guest "give $hex sleep 600 >/dev/null 2>&1 &"
ok "a passphrase that is at hand is found" wait_for 100 is_found "$STATE/passphrase"
ok "it is taken away" guest 'kill $(pidof sleep); within 10 "! pidof give"'
ok "keyd starts with another store" guest "stop_keyd; start_keyd /sealed"
ok "it is unlocked" guest "give $hex /bin/keyadm --admin-socket /run/a unlock --passphrase-fd 3"
ok "the passphrase was the right one" guest "keyadm level list"
not_in_ram "unlocked" "$STATE/passphrase"
guest_kill

# --- a machine whose kernel wipes what it frees --------------------------------------------------

here store make_levels killed
machine init_on_free=1
ok "killed is served" guest "lun 1 /killed.img"
in_ram "killed, which is served" "$STATE/killed.volume"
ok "tgtd is killed" guest 'kill -KILL $(pidof tgtd); within 10 "! pidof tgtd"'
ok "keyd has seen it" guest 'within 20 "keyadm level suspend killed"'
not_in_ram "tgtd killed" "$STATE/killed.volume" "$STATE/killed.level"

done_testing
