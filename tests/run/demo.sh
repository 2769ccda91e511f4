#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# make demo: the story of two levels, told by the commands themselves. Every claim is checked.
set -u
TOP=$(realpath "$(dirname "$0")/../..")
BUILD=${BUILD:-$TOP/build}
STATE=$(mktemp -d "${TMPDIR:-/tmp}/tgt-crypt-demo.XXXXXX")
# shellcheck source=../daemons.sh
. "$TOP/tests/daemons.sh"
RED_TEXT="RED: the merger will be announced on Monday."
GREEN_TEXT="GREEN: lunch is at noon."
DATA_OFFSET=16777216
TEXT_LBA=4096

[ -t 1 ] && bold=$'\e[1m' plain=$'\e[0m' || bold='' plain=''

finish() {
	local status=$?
	trap '' EXIT INT TERM
	[ -z "${load_red-}" ] || kill "$load_red" "$load_green" 2>/dev/null
	tgtd_stop
	keyd_stop
	[ $status = 0 ] || tail -n 5 "$STATE"/*.log >&2
	rm -rf "$STATE"
	exit "$status"
}

fail() {
	echo "make demo: that was not as it should be: $*" >&2
	exit 1
}

tell() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

show() { # COMMAND...: as a person would type it, and what it says
	printf '  $ %s\n' "${*//$STATE\//}"
	"$@" 2>&1 | sed "s#$STATE/##g; s/^/    /"
	return "${PIPESTATUS[0]}"
}

show_brief() { # COMMAND...: the command, and of its answer nothing
	printf '  $ %s\n' "${*//$STATE\//}"
	"$@" >/dev/null
}

iscsi-io() { timeout -k 2 30 "$BUILD/tests/iscsi-io" "$@"; }

write_text() { printf '%-512s' "$2" | iscsi-io write "$1" $TEXT_LBA; } # URL TEXT

read_text() { iscsi-io read "$1" $TEXT_LBA 1 | sed 's/ *$//'; } # URL

refused() { # URL SENSE: a read is
	local said
	said=$(iscsi-io read "$1" $TEXT_LBA 1 2>&1 >/dev/null)
	echo "    $said"
	[ "$said" = "sense $2" ] || fail "the initiator should get sense $2"
}

load() { # NAME URL: sets $!
	setsid setpriv --pdeathsig KILL "$BUILD/tests/iscsi-io" stress "$2" --seconds 30 \
		--connections 2 --log "$STATE/$1.ops" >"$STATE/$1.report" &
	wait_for 10 test -s "$STATE/$1.ops" || fail "the load does not run"
}

# tgtd has made itself unreadable for its own user, so that only root can look for the key.
key_pieces() { # REGEX: how many there should be
	local pieces
	if [ "$(id -u)" != 0 ]; then
		echo "    (only root may look into tgtd's memory: not shown)"
		return
	fi
	pieces=$("$BUILD/tests/memscan" "${TGTD_PID[a]}" "$STATE/red.key" | sed -n 's/^hits //p')
	echo "    pieces of the key found: $pieces"
	[[ $pieces =~ ^$1$ ]] || fail "that many pieces of the key"
}

trap finish EXIT
trap 'exit 130' INT TERM
cd "$STATE" || exit

tell "A key daemon, and a stock tgtd with the plugin"
keyd_start || fail "keyd starts"
tgtd_start || fail "tgtd starts"
show keyadm init || fail init

tell "Two security levels, and a LUN in each"
for level in red green; do
	show keyadm level create $level || fail "level create"
	show_brief keyadm volume create --level $level --size 64M "$STATE/$level.img" || fail "volume create"
done
target_add 1 && lun_add 1 1 "$STATE/red.img" && target_add 2 && lun_add 2 1 "$STATE/green.img" || fail "export"
red=$(url 1 1) green=$(url 2 1)
echo "  exported as $red"
echo "          and $green"

tell "An initiator writes a text to each and reads it back"
write_text "$red" "$RED_TEXT" && write_text "$green" "$GREEN_TEXT" || fail "write"
echo "    $(read_text "$red")"
echo "    $(read_text "$green")"
[ "$(read_text "$red")" = "$RED_TEXT" ] || fail "read"

tell "On the server's disk there is only ciphertext"
show od -A d -t x1z -j $((DATA_OFFSET + TEXT_LBA * 512)) -N 48 "$STATE/red.img"
! grep -q 'merger\|lunch' "$STATE/red.img" "$STATE/green.img" || fail "the text is in a file"
echo "    The text is in neither file."

tell "Level red is suspended: its LUN is not ready, green goes on"
show keyadm level suspend red || fail suspend
refused "$red" 02/04/01
echo "    $(read_text "$green")"
show keyadm level resume red || fail resume
echo "    $(read_text "$red")"
[ "$(read_text "$red")" = "$RED_TEXT" ] || fail "read after resume"

tell "Both LUNs are busy now. tgtd has red's key in its memory, with its round keys:"
keyadm volume key "$STATE/red.img" --out "$STATE/red.key" >/dev/null || fail "volume key"
load red "$red"
load_red=$!
load green "$green"
load_green=$!
sleep 1
key_pieces '[1-9][0-9]*'

tell "Level red is destroyed"
began=$(iscsi-io now)
show keyadm level destroy red --yes || fail destroy
ended=$(iscsi-io now)
echo "    That took $(((ended - began) / 1000000)) milliseconds, with the LUN in use."
key_pieces 0

tell "What the initiators saw"
sleep 1
kill "$load_red" "$load_green"
wait "$load_red" || fail "red's load read wrong data"
wait "$load_green" || fail "green's load read wrong data"
load_red=
tail -n 2 "$STATE/red.ops" | sed 's/^/    /'
late=$(awk -v t="$ended" '$1 > t && $6 == "ok"' "$STATE/red.ops" | wc -l)
echo "    red:   $(grep -c ' ok$' "$STATE/red.ops") commands before; begun after it and answered with data: $late"
refused "$red" 07/74/71
echo "           (logical unit access not authorized)"
errors=$(grep -vc ' ok$' "$STATE/green.ops")
echo "    green: $(wc -l <"$STATE/green.ops") commands, errors: $errors"
[ "$late" = 0 ] && [ "$errors" = 0 ] || fail "neither should be more than 0"
echo "    $(read_text "$green")"

tell "It stays so: keyd and tgtd start again"
tgtd_stop
keyd_stop
keyd_start && tgtd_start || fail "restart"
target_add 1 && target_add 2 && lun_add 2 1 "$STATE/green.img" || fail "green is exported again"
lun_add 1 1 "$STATE/red.img" 2>/dev/null && echo "    red is exported, and answers:" && refused "$(url 1 1)" 07/74/71
grep 'bs_crypt: .*red.img' "$(tgtd_log)" | tail -n 1 | sed "s#$STATE/##g; s/^/    /"
echo "    $(read_text "$(url 2 1)")"

tell "That was all. Nothing is left running, and nothing on your disk."
