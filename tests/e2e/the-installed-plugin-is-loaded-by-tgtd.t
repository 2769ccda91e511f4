#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# make install puts everything where it is looked for, and a stock tgtd loads the plugin from there,
# without LD_PRELOAD. A mount of the test's own stands in for the machine's folder.
. "$(dirname "$0")/../lib.sh"

MODULES=/usr/lib/tgt/backing-store

[ -z "${TGTD_PRELOAD-}" ] || skip_all "a sanitizer's runtime has to be preloaded"
ok "make install" make -C "$TOP" BUILD="$BUILD" DESTDIR="$STATE/root" install
for file in usr/sbin/keyd usr/sbin/keyadm usr/share/man/man1/keyadm.1 usr/share/man/man5/keyd.conf.5 \
	usr/share/man/man7/bs_crypt.7 usr/share/man/man8/keyd.8; do
	ok "$file is installed" test -s "$STATE/root/$file"
done

[ -d $MODULES ] || { mkdir -p $MODULES && at_exit rmdir -p --ignore-fail-on-non-empty $MODULES; }
keyd_ready
level_create l
volume_create l l.img 64M

cat >"$STATE/serve" <<-SCRIPT
	mount --bind "$STATE/root$MODULES" $MODULES &&
	exec tgtd -f -C 0 --iscsi portal=127.0.0.1:\$1
SCRIPT
for ((i = 0; i < 20; i++)); do
	port=$((20000 + RANDOM % 12000))
	KEYD_SOCKET=$STATE/keyd.sock TGT_IPC_SOCKET=$STATE/tgtd-$TGT setsid setpriv --pdeathsig KILL \
		unshare --mount bash "$STATE/serve" $port >>"$(tgtd_log)" 2>&1 &
	# shellcheck disable=SC2004 # the index is a name
	TGTD_PID[$TGT]=$! TGTD_PORT[$TGT]=$port
	tgtd_ready && break
done
ok "tgtd runs without LD_PRELOAD" alive "${TGTD_PID[$TGT]}"
unlike "it is not in its environment" "$(tr '\0' '\n' <"/proc/${TGTD_PID[$TGT]}/environ")" LD_PRELOAD
export_volume 1 l.img
ok "what is written" io write "$(url 1 1)" 0 < <(head -c 4096 /dev/urandom | tee "$STATE/data")
io read "$(url 1 1)" 0 8 >"$STATE/back"
same "is read" "$STATE/data" "$STATE/back"

done_testing
