#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# The options in the manual pages are those of the programs, both ways; the example configurations
# work as they are; the README's commands exist.
. "$(dirname "$0")/../lib.sh"

DOCS=$TOP/docs/man

long_options() { grep -oE -- '--[a-z][a-z-]+' | grep -v -- '^--volume-key-file$\|^--key-size$\|^--type$' | sort -u; }

# OF PROGRAM MANUAL: options in the OPTIONS, COMMANDS and SYNOPSIS of the page
for program in keyd keyadm; do
	page=$(ls "$DOCS/$program".[18].scd)
	is "$program --help and $(basename "$page") have the same options" \
		"$("$BUILD/$program" --help | long_options)" "$(grep -E '^\*|^\[|^_|^	?\*' "$page" | long_options)"
done

in_code() { sed -n 's/^\t{"\([a-z_]*\)", .*, set_.*/\1/p' "$TOP/bs_crypt/opts.c" | sort; }
in_manual() { sed -n 's/^\*\([a-z_]*\)=.*/\1/p' "$DOCS/bs_crypt.7.scd" | sort; }
isnt "bs_crypt has options" "$(in_code)" ""
is "which are those of bs_crypt(7)" "$(in_code)" "$(in_manual)"

for page in "$DOCS"/*.scd; do
	scdoc <"$page" >"$STATE/page" 2>"$STATE/err" && man --warnings -l "$STATE/page" >/dev/null 2>>"$STATE/err"
	is "$(basename "$page") is a good page" "$(<"$STATE/err")" ""
done

ok "keyd starts with configs/keyd.conf" keyd_start --config "$TOP/configs/keyd.conf"
ok "and makes a store" keyadm init
tgtd_ready_or_die
level_create secret
mkdir "$STATE/luns"
volume_create secret luns/secret.img 64M
sed "s#/srv/luns#$STATE/luns#" "$TOP/configs/targets.conf" >"$STATE/targets.conf"
isnt "configs/targets.conf names the volume" "$(cat "$STATE/targets.conf")" "$(cat "$TOP/configs/targets.conf")"
ok "tgt-admin takes configs/targets.conf" \
	env TGT_IPC_SOCKET="$STATE/tgtd-$TGT" timeout 30 tgt-admin -c "$STATE/targets.conf" --execute
iqn=$(sed -n 's/^<target \(.*\)>/\1/p' "$STATE/targets.conf")
is "the LUN is served" "$(read_outcome "iscsi://127.0.0.1:${TGTD_PORT[$TGT]}/$iqn/1")" ok
like "with its options" "$(tgt --op show --mode target)" "Backing store type: crypt"
like "and its tuning" "$(tgt --op show --mode target --tid 1)" "MaxRecvDataSegmentLength=1048576"

for target in run test demo bench; do
	like "the README names make $target" "$(cat "$TOP/README.md")" "make $target"
	ok "which there is" make -C "$TOP" -n "$target"
done

done_testing
