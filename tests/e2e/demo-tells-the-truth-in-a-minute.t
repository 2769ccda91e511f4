#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# make demo's script runs through, in time, and leaves nothing.
. "$(dirname "$0")/../lib.sh"

mkdir "$STATE/tmp"
began=$SECONDS
ok "it succeeds" env TMPDIR="$STATE/tmp" BUILD="$BUILD" timeout 60 bash "$TESTS/run/demo.sh"
said=$(<"$STATE/out")
ok "in less than a minute" [ $((SECONDS - began)) -lt 60 ]
for part in 'RED: the merger' 'in neither file' 'sense 02/04/01' 'sense 07/74/71' 'certificate of destruction' \
	'pieces of the key found: [1-9]' 'pieces of the key found: 0' 'answered with data: 0' 'errors: 0'; do
	like "it shows: $part" "$said" "$part"
done
is "it leaves no file" "$(find "$STATE/tmp" -mindepth 1)" ""
is "and no process" "$(pgrep -f "$STATE/tmp" | wc -l)" 0

done_testing
