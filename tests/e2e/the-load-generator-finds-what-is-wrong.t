#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# iscsi-load's figures add up, and it does not overlook damage, errors, silence or a lost target.
. "$(dirname "$0")/../lib.sh"

load() { timeout -k 2 60 "$BUILD/tests/iscsi-load" "$@"; }

# Runs in the background and waits until the load is on.
load_on() { # NAME iscsi-load's arguments...
	local name=$1
	shift
	load --json "$STATE/$name.json" "$@" >"$STATE/$name.table" 2>&1 &
	LOAD_PID[$name]=$!
	sleep 1.5
}

ends_with_error() { # TEST LOAD
	local status
	wait "${LOAD_PID[$2]}"
	status=$?
	is "$1" "$status" 1
}

field() { json "$STATE/$1.json" "($2)"; } # NAME EXPRESSION

stage red blue
u=$(url 1 1)
other=$(url 2 1)
small=(--area 4m --size 8k --depth 8 --warmup 0)

# --- nothing is wrong
ok "a clean run succeeds" load --verify --clients 2 "${small[@]}" --read 50 --seconds 2 --threads 2 \
	--server-pid "${TGTD_PID[a]}" --json "$STATE/clean.json" "$u"
is "no errors, no mismatches" "$(field clean 'd["errors"]["count"], d["errors"]["first"],
d["verify"]["mismatches"], d["verify"]["first"]')" "(0, None, 0, None)"
is "commands and bytes add up" "$(field clean 'd["commands"] == d["read"]["commands"] + d["write"]["commands"],
d["bytes"] == d["commands"] * 8192, 1.9 < d["seconds"] < 2.5')" "(True, True, True)"
is "rates are those of the counts" "$(field clean 'abs(d["IOPS"] * d["seconds"] / d["commands"] - 1) < 0.001,
abs(d["MB_s"] * 1e6 * d["seconds"] / d["bytes"] - 1) < 0.001,
abs(sum(d["per_client_MB_s"]["list"]) / d["MB_s"] - 1) < 0.001')" "(True, True, True)"
is "half of the commands are reads" "$(field clean '0.4 < d["read"]["commands"] / d["commands"] < 0.6')" True
is "every block that was read was checked" \
	"$(field clean 'd["verify"]["blocks_checked"] >= d["read"]["commands"] * 16 > 0')" True
is "latencies are in order" "$(field clean 'all(0 < l["min"] <= l["p50"] <= l["p90"] <= l["p99"] <= l["p99.9"]
<= l["max"] for l in d["latency_us"].values())')" True
is "depth, rate and latency agree (Little's law)" \
	"$(field clean '0.4 < d["IOPS"] * d["latency_us"]["all"]["mean"] / 1e6 / 16 < 1.1')" True
is "the target's CPU time is told" \
	"$(field clean '0 < d["server_cpu_seconds"] < 60 and d["server_cpu_s_per_GiB"] > 0')" True
is "a block says where it belongs" "$(io read "$u" 8195 1 | od -An -td8 -j8 -N8 | tr -d ' ')" 8195
ok "a later run finds them" load --verify --no-fill --clients 2 "${small[@]}" --seconds 1 "$u"
ok "results go to stdout alone" sh -c '"$@" 2>/dev/null | python3 -m json.tool' sh \
	"$BUILD/tests/iscsi-load" --seconds 1 "${small[@]}" --json - "$u"

# --- a fixed rate
ok "a rate is kept" load "${small[@]}" --rate 300 --seconds 2 --json "$STATE/rate.json" "$u"
is "closely" "$(field rate '570 <= d["commands"] <= 630')" True

# --- damage
head -c 512 /dev/urandom | io write "$u" 1003
not_ok "damage before a run is found" load --verify --no-fill "${small[@]}" --seconds 1 \
	--json "$STATE/before.json" "$u"
like "with its place" "$(field before 'd["verify"]["first"]')" '^LBA 1003 holds no whole mark.*client 0'
is "and in the count" "$(field before 'd["verify"]["mismatches"] > 0 and d["errors"]["count"] == 0')" True

ok "filling mends it" load --verify "${small[@]}" --seconds 1 "$u"
io read "$u" 2000 1 >"$STATE/old"
load_on during --verify "${small[@]}" --seconds 3 "$u" # fills first: all is well again
io write "$u" 2000 <"$STATE/old"
ends_with_error "a block of an earlier run that comes back is found" during
like "with its place and its writer" "$(field during 'd["verify"]["first"]')" \
	'^LBA 2000 holds version 1 of LBA 2000 by writer ([0-9a-f]+), want version 1 to 1 by writer [0-9a-f]+'
load_on stale --verify --area 512k --size 8k --depth 8 --read 50 --seconds 4 "$u"
for _ in {1..20}; do # until a read is quicker than the next write to the place
	io read "$u" 160 1 >"$STATE/old" && sleep 0.05
	io write "$u" 160 <"$STATE/old"
done
ends_with_error "an older version of the same run is found" stale
is "and nothing else" "$(field stale 'd["errors"]["count"], d["verify"]["first"][:22]')" \
	"(0, 'LBA 160 holds version ')"
load_on moved --verify "${small[@]}" --seconds 3 --quiet "$u"
io read "$u" 16 1 | io write "$u" 17
ends_with_error "a block in another's place is found" moved
like "with both places, even when quiet" "$(<"$STATE/moved.table")" \
	'^iscsi-load: LBA 17 holds version 1 of LBA 16 '

# --- a client that does not read
ok "stalled clients are no error" load "${small[@]}" --clients 3 --stall 2 --seconds 2 \
	--json "$STATE/stall.json" "$u"
is "and in no figure" "$(field stall 'len(d["per_client_MB_s"]["list"]), d["commands"] > 0,
abs(d["per_client_MB_s"]["mean"] / d["MB_s"] - 1) < 0.001')" "(1, True, True)"
is "the target could not send all they had asked for" \
	"$(field stall '0 < d["stalled"]["bytes_unread"] < d["stalled"]["bytes_asked"] == 2 * 32 * (4 << 20) // 4')" True

# --- errors
load_on suspend "${small[@]}" --seconds 3 "$u"
keyadm level suspend red >/dev/null
ends_with_error "a level suspended during the load is an error" suspend
like "with its sense" "$(field suspend 'd["errors"]["first"]')" '^read of 16 blocks at LBA [0-9]+: sense 02/04/01'
is "and counted, after what went well" "$(field suspend 'd["errors"]["kinds"]["02/04/01"] == d["errors"]["count"] > 0,
d["commands"] > 0')" "(True, True)"
like "the table says so, too" "$(<"$STATE/suspend.table")" '^[0-9]+ errors, first: .*sense 02/04/01'
not_ok "filling a suspended level fails" load --verify "${small[@]}" --json "$STATE/fill.json" "$u"
like "with its sense" "$(field fill 'd["errors"]["first"]')" '^write of .*02/04/01'
keyadm level resume red >/dev/null
load_on destroy --verify --read 50 "${small[@]}" --seconds 3 "$u"
keyadm level destroy red --yes >/dev/null
ends_with_error "a level destroyed during the load is an error" destroy
is "with its sense" "$(field destroy 'list(d["errors"]["kinds"]), d["verify"]["mismatches"]')" "(['07/74/71'], 0)"

# --- usage
refused "no URL" 2 "give the URL of a LUN" load
refused "no URL of a LUN" 2 "give the URL of a LUN" load nonsense
refused "a depth out of range" 2 "depth 0: give a number from 1 to" load --depth 0 "$other"
refused "a size that is no number" 2 "size 4q: give a number" load --size 4q "$other"
refused "a size that is no multiple of a block" 2 "multiple" load --size 700 "$other"
refused "an area that the LUN does not have" 2 "smaller --area or fewer" load --clients 4 --area 32m "$other"
refused "an area too small to verify" 2 "change --area, --size or --depth" \
	load --verify --depth 32 --area 64k "$other"
refused "nobody to measure" 2 "give --clients 2" load --stall 1 "$other"
refused "a process that is not there" 2 "no such process" load --server-pid 2147483647 "$other"
refused "results that cannot be kept" 2 "No such file" load --json /nonexistent/x "$other"
not_ok "an unknown option" load --bogus "$other"

# --- silence, and a target that goes away
load_on silence "${small[@]}" --timeout 1 --seconds 4 "$other"
kill -STOP "${TGTD_PID[a]}"
ends_with_error "no answer is an error" silence
kill -CONT "${TGTD_PID[a]}"
is "for every command in flight" "$(field silence 'd["errors"]["kinds"], d["errors"]["lost_connections"]')" \
	"({'timeout': 8}, 1)"
load_on gone "${small[@]}" --clients 2 --seconds 20 "$other"
kill_pid "${TGTD_PID[a]}"
ends_with_error "a lost connection is an error" gone
is "and ends the load" "$(field gone 'list(d["errors"]["kinds"]), d["errors"]["lost_connections"], d["seconds"] < 10')" \
	"(['lost'], 2, True)"
refused "no target at all" 1 "does a target listen there" load "$other"

done_testing
