#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Random commands of all kinds from several initiators, and a model that knows what each may answer. Then the
# same while the level is suspended and resumed and keyd is killed and started. What the model says is on the
# disk is there after tgtd, too, was killed. OPS is how many commands in all, at least 400000; SEED repeats a run's choices.
OPS=${OPS:-600000}
TEST_LIMIT=${TEST_LIMIT:-$((300 + OPS / 1000))}
. "$(dirname "$0")/../lib.sh"

SEED=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
EACH=$((OPS / 4 > 100000 ? OPS / 4 : 100000))

soak() { # URL OPTIONS...: its report in $STATE/report
	local log=()
	[ $EACH -gt 250000 ] || log=(--log "$STATE/commands.log") # of a long run it would fill the disk
	setpriv --pdeathsig KILL "$BUILD/tests/iscsi-soak" "$@" --ops $EACH "${log[@]}" \
		>"$STATE/report" 2>"$STATE/soak.log"
}

soak_report() { sed -n "s/^$1  *//p" "$STATE/report"; } # FIELD

# Suspends and resumes, kills keyd and starts it, also while the level is suspended, until the soak is over.
disturb() { # PID OF THE SOAK
	disturbed=0
	while alive "$1"; do
		keyadm level suspend l >/dev/null || die "the level is suspended"
		[ $((disturbed % 3)) != 0 ] || restart_keyd
		sleep 0.$((RANDOM % 5))
		keyadm level resume l >/dev/null || die "the level is resumed"
		sleep 0.$((1 + RANDOM % 9))
		[ $((disturbed % 3)) != 1 ] || restart_keyd
		sleep 0.$((1 + RANDOM % 9))
		((++disturbed))
	done
}

restart_keyd() {
	kill_pid "$KEYD_PID"
	sleep 0.$((RANDOM % 5))
	keyd_start || die "keyd starts again"
}

# When a command's answer was wrong, what else was sent to its block is in the log of all commands.
show_wrong() {
	cat "$STATE/soak.log"
	[ ! -s "$STATE/commands.log" ] || tail -n 50 "$STATE/commands.log"
	echo "KEEP_STATE=1 keeps all commands, if they are not more than a million: $STATE/commands.log"
}

run_soak() { # NAME SEED OPTIONS...
	local name=$1 seed=$2 pid
	shift 2
	soak "$(url "$tid" 1)" --seed "$seed" --image "$STATE/model" "$@" &
	pid=$!
	[ -z "${DISTURB-}" ] || disturb $pid
	wait $pid && pass "$name" || fail "$name" "$(show_wrong)"
	diag "$name: seed $seed, $(soak_report commands) commands in $(soak_report seconds) s, $(soak_report mib) MiB," \
		"$(soak_report refused_as_they_must) refused as they must, $(soak_report miscompared) miscompared," \
		"$(soak_report not_ready) not ready${DISTURB:+, $disturbed times suspended}"
}

same_on_disk() { # NAME
	io read "$(url "$tid" 1)" 0 "$(stat -c %s "$STATE/model" | awk -v b="$(block_bytes)" '{ print $1 / b }')" >"$STATE/back"
	same "$1" "$STATE/back" "$STATE/model"
}

# The LUNs: target 1, 2, 3. The third is thin where the plugin has thin LUNs.
kinds=("blocks of 512" "blocks of 4096" "thin, blocks of 512")
block_bytes() { [ "$tid" = 2 ] && echo 4096 || echo 512; }

export_all() {
	target_add 9 && lun_add 9 1 "$STATE/other.img" || die "the other level's volume is exported"
	export_volume 1 512.img
	export_volume 2 4096.img --blocksize 4096
	target_add 3 && lun_add 3 1 "$STATE/thin.img" --bsopts "discard=on" 2>/dev/null || unset "kinds[2]"
}

soak_lun() { # KIND
	run_soak "$1: every answer agrees with the model" $((SEED + tid)) --connections 4 --depth 8
	ok "and commands did meet" [ "$(soak_report miscompared)" -gt 0 ]
	DISTURB=1 run_soak "$1, suspended, resumed, keyd killed: every answer agrees" $((SEED + 10 + tid)) \
		--connections 6 --depth 4 --suspended
	ok "and commands were not ready meanwhile" [ "$(soak_report not_ready)" -gt 0 ]
	cp "$STATE/model" "$STATE/model-$tid"
}

keyd_ready
tgtd_ready_or_die
level_create l
level_create other
volume_create l 512.img 16M
volume_create l 4096.img 24M --sector-size 4096
volume_create l thin.img 16M
volume_create other other.img 16M
export_all
random_file "$STATE/others" $((16 << 20))
io write "$(url 9 1)" 0 --chunk 2048 <"$STATE/others"
for tid in "${!kinds[@]}"; do
	soak_lun "${kinds[tid++]}"
done

kill_pid "${TGTD_PID[a]}"
tgtd_ready_or_die
export_all
for tid in "${!kinds[@]}"; do
	mv "$STATE/model-$((tid + 1))" "$STATE/model"
	same_on_disk "${kinds[tid++]}: another tgtd finds what the model says"
done
io read "$(url 9 1)" 0 32768 --chunk 2048 >"$STATE/back"
same "the other level's volume is as it was" "$STATE/back" "$STATE/others"

done_testing
