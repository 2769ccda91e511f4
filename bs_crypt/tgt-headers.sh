#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Puts the headers of exactly the installed tgt into DIR/usr: Debian ships no -dev package, so they
# come from the source package, through a source list of our own; the system's lists stay as they are.
# KEEP_SOURCE=1: all of the source, in DIR/source.
set -euo pipefail

dir=${1:?usage: tgt-headers.sh DIR}
version=$(dpkg-query -W -f '${Version}' tgt)
[ "$(cat "$dir/version" 2>/dev/null || true)" = "$version" ] && [ -d "$dir/usr/iscsi" ] && exit 0

rm -rf "$dir"
mkdir -p "$dir/fetch/lists/partial"
: > "$dir/fetch/deb.sources"
: > "$dir/fetch/deb.list"
for file in /etc/apt/sources.list.d/*.sources; do
	[ -e "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >> "$dir/fetch/deb.sources"
	echo >> "$dir/fetch/deb.sources"
done
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
	[ -e "$file" ] && sed -n 's/^deb /deb-src /p' "$file" >> "$dir/fetch/deb.list"
done

here=$(cd "$dir/fetch" && pwd)
mkdir "$here/parts"
mv "$here/deb.sources" "$here/deb.list" "$here/parts/"
apt=(-q -o Dir::Etc::SourceList=- -o Dir::Etc::SourceParts="$here/parts"
	-o Dir::State::Lists="$here/lists" -o APT::Sandbox::User=root)
log=$here/log
{
	apt-get "${apt[@]}" update
	(cd "$here" && apt-get "${apt[@]}" source --download-only "tgt=$version")
	dpkg-source --no-check -x "$here"/tgt_*.dsc "$here/source"
} > "$log" 2>&1 || {
	tail -n 20 "$log" >&2
	echo "tgt-headers: cannot get the source of tgt $version; set TGT_SRC to an unpacked one" >&2
	exit 1
}
mkdir -p "$dir/usr/iscsi"
cp "$here"/source/usr/*.h "$dir/usr/"
cp "$here"/source/usr/iscsi/*.h "$dir/usr/iscsi/"
[ -z "${KEEP_SOURCE-}" ] || mv "$here/source" "$dir/source"
rm -rf "$here"
echo "$version" > "$dir/version"
