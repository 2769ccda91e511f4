#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyadm volume resize on a LUN under load: initiators are told once each, old data stay, the new blocks
# are there, and whoever could not take the new size is named and takes it later.
. "$(dirname "$0")/../lib.sh"

printf '[keyd]\nrevoke-timeout = 3\n[roles]\nsecurity-admin = root\nstorage-admin = root\n[levels]\nfetch = root\n' >"$STATE/keyd.conf"
keyd_ready --config "$STATE/keyd.conf"
tgtd_ready_or_die
level_create l
volume_create l a.img 32M
volume_create l b.img 32M --sector-size 4096
volume_create l other.img 32M
export_volume 1 a.img
export_volume 2 b.img --blocksize 4096
lun_add 1 2 "$STATE/other.img" || die "a second LUN of the target is exported"

resize() { keyadm volume resize "$@"; }
capacity() { io capacity "$(url "$1" 1)"; }
recorded() { keyadm --json volume show "$STATE/$1" | sed 's/.*"size_bytes":\([0-9]*\).*/\1/'; }
length() { stat -c %s "$STATE/$1"; }
attentions() { load_report "$1" "outcome 06/2a/09" | tail -n 1; } # of the last report
flushed() { io flush "$(url "$1" 1)"; }

# --- under load, with both sector sizes ------------------------------------------------------------

random_file "$STATE/old" $((1 << 20))
grows() { # TID FILE BLOCK_BYTES
	local block=$3 old=$((32 << 20)) new=$((48 << 20)) first
	first=$((old / block))
	io write "$(url "$1" 1)" 0 <"$STATE/old" || die "data are written"
	is "$2: the first new block is not there yet" "$(outcome read "$(url "$1" 1)" $first 1)" 05/21/00
	load_start "load$1" "$(url "$1" 1)" --connections 3 --depth 8 --offset $((1 << 20)) --slots 64
	like "$2: grows under load" "$(resize "$STATE/$2" 48M)" "$new bytes; 1 tgtd serve"
	is "$2: initiators see it" "$(capacity "$1")" "$((new / block)) $block"
	is "$2: keyd has it on record" "$(recorded "$2")" $new
	is "$2: the file has the room" "$(length "$2")" $((new + LUKS_DATA_OFFSET))
	is "$2: allocated" "$(($(stat -c '%b * %B' "$STATE/$2") >= new + LUKS_DATA_OFFSET))" 1
	random_file "$STATE/new" $((new - old))
	ok "$2: all new blocks can be written" io write "$(url "$1" 1)" $first <"$STATE/new"
	io read "$(url "$1" 1)" $first $(((new - old) / block)) >"$STATE/read"
	same "$2: and read" "$STATE/new" "$STATE/read"
	is "$2: behind them is the end" "$(outcome read "$(url "$1" 1)" $((new / block)) 1)" 05/21/00
	io read "$(url "$1" 1)" 0 $(((1 << 20) / block)) >"$STATE/read"
	same "$2: the old blocks are what they were" "$STATE/old" "$STATE/read"
	sleep 1
	ok "$2: the load read nothing wrong" load_stop "load$1"
	is "$2: nothing failed, and each connection was told once" "$(load_outcomes "load$1") $(attentions "load$1")" "06/2a/09 ok 3"
	flushed "$1"
	ok "$2: the header is as before" cryptsetup luksDump "$STATE/$2"
	keyadm volume key "$STATE/$2" --out "$STATE/$2.key" >/dev/null
	openssl_sectors "$STATE/$2" "$STATE/$2.key" $(((new - block) / block)) 1 "$block" >"$STATE/last"
	tail -c "$block" "$STATE/new" | cmp -s - "$STATE/last"
	is "$2: openssl reads the last block" $? 0
}
load_start neighbour "$(url 1 2)"
grows 1 a.img 512
grows 2 b.img 4096
load_stop neighbour
load_stop neighbour
is "another LUN of the target notices nothing" "$(load_outcomes neighbour)" ok

# --- told once, however often it grew --------------------------------------------------------------

load_start idle "$(url 1 1)" --connections 2
kill -STOP "${LOAD_PID[idle]}"
for size in 49M 50M 51M; do ok "a.img grows to $size with clients that are silent" resize "$STATE/a.img" $size; done
kill -CONT "${LOAD_PID[idle]}"
both_told() {
	kill -USR1 "${LOAD_PID[idle]}"
	sleep 0.2
	[ "$(attentions idle)" -ge 2 ]
}
wait_for 10 both_told
load_stop idle
is "each is told once" "$(attentions idle)" 2

# --- a repeated command ----------------------------------------------------------------------------

like "the size that it has: it says so" "$(resize "$STATE/a.img" 51M)" "already"
is "and it is recorded once" "$(grep -c '"volume-resize".*53477376 bytes' "$STATE/store/audit.log")" 1
like "with what it was" "$(grep volume-resize "$STATE/store/audit.log" | tail -n 1)" '"detail":"52428800 to 53477376 bytes"'
truncate -s 80M "$STATE/a.img" # as a keyadm leaves it that was killed before keyd recorded the size
ok "what was begun is ended" resize "$STATE/a.img" 60M
is "initiators see it" "$(capacity 1)" "$((60 << 11)) 512"
ok "max is all that the file has" resize "$STATE/a.img" max
is "initiators see that" "$(capacity 1)" "$((64 << 11)) 512"
ok "by UUID" resize "$(keyadm --json volume show "$STATE/a.img" | sed 's/.*"uuid":"\([^"]*\)".*/\1/')" 65M
is "it is the same volume" "$(recorded a.img)" $((65 << 20))

# --- who cannot take it is named -------------------------------------------------------------------

kill -STOP "${TGTD_PID[a]}"
refused "a tgtd that does not answer is named" 1 "1 did not confirm.*tgtd pid ${TGTD_PID[a]} " resize "$STATE/a.img" 66M
kill -CONT "${TGTD_PID[a]}"
ok "it takes the size when it can" becomes 10 "$((66 << 11)) 512" capacity 1
cp --sparse=always "$STATE/a.img" "$STATE/copy" && mv "$STATE/a.img" "$STATE/away" && mv "$STATE/copy" "$STATE/a.img"
load_start stays "$(url 1 1)"
refused "a tgtd whose file is another one is named" 1 "did not confirm" resize "$STATE/a.img" 67M
like "it says why" "$(<"$(tgtd_log)")" "a.img: stays as large as it is: too small"
load_stop stays
is "and serves on, as large as before" "$(load_outcomes stays) $(capacity 1)" "ok $((66 << 11)) 512"
mv "$STATE/away" "$STATE/a.img"
refused "its file is back, and shorter than the volume: that is not made up for unasked" 1 "part of it is lost" resize "$STATE/a.img" 67M
fallocate -l $(((67 << 20) + LUKS_DATA_OFFSET)) "$STATE/a.img"
ok "made as long: the same command goes on" resize "$STATE/a.img" 67M
is "now it has the size" "$(capacity 1)" "$((67 << 11)) 512"

# --- keyd and tgtd come and go ---------------------------------------------------------------------

kill_pid "$KEYD_PID"
keyd_start --config "$STATE/keyd.conf" || die "keyd starts again"
is "keyd has not forgotten the size" "$(recorded a.img)" $((67 << 20))
ok "the tgtd that came back grows its volumes" wait_for 15 resize "$STATE/a.img" 68M
is "initiators see it" "$(capacity 1)" "$((68 << 11)) 512"
ok "a LUN may be opened anew" lun_delete 1 1
like "with no LUN there is nobody to tell" "$(resize "$STATE/a.img" 70M)" "0 tgtd"
ok "it is opened" lun_add 1 1 "$STATE/a.img"
is "with its size" "$(capacity 1)" "$((70 << 11)) 512"
/usr/bin/python3 "$TESTS/crash/consumer.py" "$STATE/keyd.sock" \
	"$(keyadm --json volume show "$STATE/other.img" | sed 's/.*"uuid":"\([^"]*\)".*/\1/')" >"$STATE/earlier" 2>&1 &
earlier=$!
at_exit kill $earlier
wait_for 10 grep -q attached "$STATE/earlier"
refused "a tgtd of an earlier version, which would lose the volume, is named" 1 "pid $earlier uid 0 .*earlier version" resize "$STATE/other.img" 40M
is "and nothing changed" "$(recorded other.img) $(length other.img)" "$((32 << 20)) $(((32 << 20) + LUKS_DATA_OFFSET))"
kill $earlier
wait $earlier 2>/dev/null
ok "without it there is no obstacle" wait_for 10 resize "$STATE/other.img" 40M
is "initiators see it" "$(io capacity "$(url 1 2)")" "$((40 << 11)) 512"
keyadm --json volume destroy "$STATE/other.img" --yes >"$STATE/certificate"
like "the certificate has the new size" "$(<"$STATE/certificate")" "\"size_bytes\": ?$((40 << 20))"

# --- a size that is more than there is, from whoever may resize and lies ------------------------------

# VOLUME_RESIZE with commit 1, as no keyadm sends it (docs/PROTOCOL.md).
forged_resize() { # ID SIZE
	python3 - "$STATE/admin.sock" "$1" "$2" "$TOP/keyd/common/proto.h" <<-'PY'
		import re, socket, struct, sys
		version = int(re.search(r"PROTO_VERSION\s*=?\s*(\d+)", open(sys.argv[4]).read()).group(1))
		admin = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		admin.connect(sys.argv[1])
		admin.send(struct.pack("<4sHHIIQI4096s", b"TGTC", version, 90, 4124, 1, int(sys.argv[3]), 1, sys.argv[2].encode()))
		kind = 65
		while kind == 65:
		    reply = admin.recv(8192)
		    kind, = struct.unpack_from("<H", reply, 6)
		status, text = struct.unpack_from("<I512s", reply, 16)
		print(status, text.split(b"\0")[0].decode())
	PY
}
volume_create l c.img 32M
export_volume 3 c.img
c=$(keyadm --json volume show "$STATE/c.img" | sed 's/.*"uuid":"\([^"]*\)".*/\1/')
io write "$(url 3 1)" 0 <"$STATE/old"
like "a size of 2^62 bytes is recorded, but nobody serves it" "$(forged_resize "$c" $((1 << 62)))" "did not confirm.*resize $c $((32 << 20))"
is "the LUN serves on" "$(capacity 3) $(read_outcome "$(url 3 1)")" "$((32 << 11)) 512 ok"
lun_delete 3 1
ok "opened anew" lun_add 3 1 "$STATE/c.img"
is "it serves what it had" "$(capacity 3) $(read_outcome "$(url 3 1)")" "$((32 << 11)) 512 ok"
kill_pid "$KEYD_PID"
keyd_start --config "$STATE/keyd.conf" || die "keyd starts again"
is "keyd remembers both sizes" "$(keyadm --json volume show "$c" | grep -o '"s[a-z]*_bytes":[0-9]*' | xargs)" \
	"size_bytes:$((1 << 62)) served_bytes:$((32 << 20))"
tgtd_is_back() { ! resize "$c" 31M 2>&1 | grep -q "has not told"; }
wait_for 15 tgtd_is_back
refused "less than was served is refused" 1 "do not shrink" resize "$c" 31M
like "the size is taken back" "$(wait_for 15 resize "$c" 32M; resize "$c" 32M 2>&1)" "$((32 << 20)) bytes already; 1 tgtd"
is "on record, too" "$(recorded c.img) $(length c.img)" "$((32 << 20)) $(((32 << 20) + LUKS_DATA_OFFSET))"
ok "and the volume can grow" resize "$c" 40M
is "which initiators see" "$(capacity 3)" "$((40 << 11)) 512"
refused "what was served is not taken back" 1 "do not shrink" resize "$c" 32M
io read "$(url 3 1)" 0 2048 >"$STATE/read"
same "its data are what they were" "$STATE/old" "$STATE/read"
lun_delete 3 1
ok "a size that nobody has open" resize "$c" 48M
ok "can be taken back" resize "$c" 44M
ok "to what was served" resize "$c" 40M
ok "or be kept" resize "$c" 48M
lun_add 3 1 "$STATE/c.img"
is "as soon as somebody opens it with the room" "$(capacity 3)" "$((48 << 11)) 512"
refused "it is served" 1 "do not shrink" resize "$c" 40M

# --- a destruction while a resize waits ------------------------------------------------------------

kill -STOP "${TGTD_PID[a]}"
resize "$STATE/b.img" 55M >"$STATE/waits" 2>&1 &
waiting=$!
wait_for 5 grep -q 'to 57671680 bytes' "$STATE/store/audit.log"
refused "the volume is destroyed while a resize waits for its tgtd" 1 "1 did not acknowledge" keyadm volume destroy "$STATE/b.img" --yes
wait $waiting
is "which ends without it" "$? $(grep -c 'did not confirm' "$STATE/waits")" "1 1"
kill -CONT "${TGTD_PID[a]}"
ok "the tgtd learns of it when it can" becomes 10 07/74/71 read_outcome "$(url 2 1)"
ok "keyd lives" keyadm status
unlike "no sanitizer has a complaint" "$(<"$(tgtd_log)")" "ERROR: AddressSanitizer|runtime error|ThreadSanitizer"

done_testing
