#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Builds tgtd alone, with a sanitizer in tgt's own code, from the source of exactly the installed tgt: then
# what our plugin makes tgt do wrong, or tgt our plugin, is seen in both. Kept in the build folder.
# TGT_SOURCE is an unpacked source to take instead.
set -euo pipefail

usage="usage: build-tgtd.sh SANITIZERS BUILD-FOLDER (prints the path of the program)"
sanitize=${1:?$usage}
sanitize=${sanitize%,undefined} # undefined behaviour inside tgt is not ours to see
build=$(realpath "${2:?$usage}")
top=$(dirname "$(realpath "$0")")/../..
out=$build/tgtd-${sanitize//,/-}
version=$(dpkg-query -W -f '${Version}' tgt)

[ "$(cat "$out/version" 2>/dev/null || true)" != "$version" ] || { echo "$out/usr/tgtd" && exit 0; }

if [ -z "${TGT_SOURCE-}" ]; then
	KEEP_SOURCE=1 bash "$top/bs_crypt/tgt-headers.sh" "$build/tgt-source"
	TGT_SOURCE=$build/tgt-source/source
fi
rm -rf "$out"
cp -r "$TGT_SOURCE" "$out"
rm -f "$out/version"
# Its warnings are not ours; the plugin is the only backing store that is loaded.
make -C "$out/usr" -j2 tgtd CC="gcc -fsanitize=$sanitize -fno-omit-frame-pointer -fno-common -w" \
	VERSION="${version%%-*}" >"$build/tgtd-${sanitize//,/-}.log" 2>&1 || {
	tail -n 20 "$build/tgtd-${sanitize//,/-}.log" >&2
	exit 1
}
echo "$version" >"$out/version"
echo "$out/usr/tgtd"
