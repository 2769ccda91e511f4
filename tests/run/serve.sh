#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# make run: serves one encrypted LUN on the loopback until Ctrl-C. The next run serves the same data.
#   RUN_DIR  everything that is kept (default build/run); remove it to begin again
#   PORT     default 3260, or the next free one: Debian's tgt package starts a tgtd of its own there
set -u
TOP=$(realpath "$(dirname "$0")/../..")
BUILD=${BUILD:-$TOP/build}
STATE=$(realpath -m "${RUN_DIR:-$BUILD/run}")
LEVEL=demo SIZE=1G
# shellcheck source=../daemons.sh
. "$TOP/tests/daemons.sh"

first_free_port() {
	local port
	for port in {3260..3299}; do
		port_taken "$port" || break
	done
	echo "$port"
}

PORT=${PORT:-$(first_free_port)}
IMAGE=$STATE/$LEVEL.img
IQN=$IQN_PREFIX:$LEVEL
URL=iscsi://127.0.0.1:$PORT/$IQN/1
SCRATCH_LBA=$(((1 << 30) / 512 - 1)) # the last block
TEXT="This block was written through iSCSI by the first make run."

fail() {
	echo "make run: $*" >&2
	exit 1
}

failed_with_log() { # LOG WHAT
	tail -n 5 "$1" >&2
	fail "$2; all of its log is in $1"
}

finish() {
	local status=$?
	trap '' EXIT INT TERM
	tgtd_stop || status=1
	keyd_stop || status=1
	exit "$status"
}

stop() {
	echo
	echo "Stopping. The data stays in $STATE; the next run serves it again."
	exit 0
}

claim_state() {
	mkdir -p "$STATE" && [ -w "$STATE" ] || fail "cannot write to $STATE: set RUN_DIR to another folder"
	exec {lock}>"$STATE/lock"
	flock -w 5 "$lock" || fail "another run uses $STATE: stop it, or set RUN_DIR to another folder"
	[ ${#STATE} -le 90 ] || fail "the path $STATE is too long for a socket: set RUN_DIR to a shorter one"
	[[ $PORT =~ ^[0-9]{1,5}$ ]] || fail "PORT=$PORT is not a port"
	! port_taken "$PORT" || fail "port $PORT is in use (another iSCSI target?): try make run PORT=$((PORT + 1))"
	: >"$STATE/keyd.log"
	: >"$(tgtd_log)"
}

make_on_first_use() { # sets first_use
	first_use=
	! keyadm status | grep -q '^initialized *false' || keyadm init || fail "cannot make a key store"
	keyadm level show "$LEVEL" >"$STATE/level.txt" 2>/dev/null || keyadm level create "$LEVEL" ||
		fail "cannot make level $LEVEL"
	if grep -qw destroyed "$STATE/level.txt"; then
		fail "level $LEVEL was destroyed, its data with it: rm -r $STATE and run again for a new one"
	fi
	if ! keyadm volume show "$IMAGE" >/dev/null 2>&1; then
		[ ! -e "$IMAGE" ] || fail "$IMAGE exists and is no volume of this store: move it away"
		keyadm volume create --level "$LEVEL" --size "$SIZE" "$IMAGE" || fail "cannot make the volume"
		first_use=yes
	fi
}

# On first use a block is written; later runs only read, for the data is the user's by then.
prove() {
	local io=$BUILD/tests/iscsi-io got
	if [ -n "$first_use" ]; then
		printf '%-512s' "$TEXT" | timeout 30 "$io" write "$URL" $SCRATCH_LBA ||
			fail "the initiator cannot write"
	fi
	got=$(timeout 30 "$io" read "$URL" $SCRATCH_LBA 1 | tr -d '\0') || fail "the initiator cannot read"
	if [ "${got%%  *}" = "$TEXT" ]; then
		echo "Proved: an initiator reads \"$TEXT\""
		! grep -qF "$TEXT" "$IMAGE" || fail "but the file holds it in the clear"
		echo "        and the file on the server holds none of it."
	elif [ -n "$first_use" ]; then
		fail "the initiator reads something else than it wrote"
	else
		echo "Proved: an initiator reads the LUN (its last block is yours by now)."
	fi
}

explain() {
	local adm="$BUILD/keyadm --admin-socket $STATE/admin.sock"
	cat <<-TEXT

		Serving a 1 GiB LUN, encrypted in $IMAGE
		  target   $IQN
		  address  127.0.0.1:$PORT

		Connect with open-iscsi (the disk appears as /dev/sdX):
		  sudo iscsiadm -m discovery -t sendtargets -p 127.0.0.1:$PORT
		  sudo iscsiadm -m node -T $IQN -p 127.0.0.1:$PORT --login
		  sudo iscsiadm -m node -T $IQN -p 127.0.0.1:$PORT --logout
		or with libiscsi:
		  iscsi-ls -s iscsi://127.0.0.1:$PORT
		  iscsi-inq $URL
		  qemu-img info $URL        (package qemu-block-extra)

		Administrate the keys:
		  $adm level list
		  $adm level suspend $LEVEL
		  $adm level resume $LEVEL
		and wipe the LUN for ever:
		  $adm level destroy $LEVEL

		Ctrl-C stops.
	TEXT
}

claim_state
trap finish EXIT
trap stop INT TERM
keyd_start || failed_with_log "$STATE/keyd.log" "keyd does not start"
make_on_first_use
tgtd_start_at "$PORT"
tgtd_ready || failed_with_log "$(tgtd_log)" "tgtd does not start"
target_add 1 "$IQN" && lun_add 1 1 "$IMAGE" --bsopts "level=$LEVEL" ||
	failed_with_log "$(tgtd_log)" "tgtd does not export the LUN"
prove
explain
wait -n "$KEYD_PID" "${TGTD_PID[a]}"
alive "$KEYD_PID" || failed_with_log "$STATE/keyd.log" "keyd has ended by itself"
failed_with_log "$(tgtd_log)" "tgtd has ended by itself"
