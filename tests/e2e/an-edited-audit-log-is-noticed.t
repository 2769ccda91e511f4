#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Every decision is in the audit log, and a line that is edited, dropped, added or cut off shows.
. "$(dirname "$0")/../lib.sh"

stage secret
log=$STATE/store/audit.log
keyadm level suspend secret >/dev/null
keyadm level resume secret >/dev/null
keyadm volume key "$STATE/secret.img" --out "$STATE/vk" >/dev/null
keyadm level create 'bad name' 2>/dev/null
keyadm level destroy secret --yes >/dev/null

keyadm --json audit >"$STATE/lines"
ok "the audit log is JSON lines with all fields" python3 - "$STATE/lines" <<-'PY'
	import json, sys
	last = None
	for line in open(sys.argv[1]):
	    d = json.loads(line)
	    for field in ("seq", "time", "event", "result", "prev", "hash"):
	        assert field in d, (field, line)
	    assert last is None or (d["seq"] == last["seq"] + 1 and d["prev"] == last["hash"]), line
	    last = d
	assert last["seq"] >= 8, last
PY
text=$(<"$STATE/lines")
for what in init level volume suspend resume destroy attach; do
	like "it has $what" "$text" "\"event\": *\"[a-z._ -]*$what"
done
like "the key's release to an administrator is in it" "$text" '"event": *"[a-z._ -]*key'
ok "it verifies" keyadm audit --verify

keyd_stop
cp "$log" "$STATE/whole"
cp "$STATE/store/audit.head" "$STATE/head"
lines=$(wc -l <"$log")
put_back() { # the log as it was, and its sealed head, which would tell that later records are missing
	cp "$STATE/whole" "$log"
	cp "$STATE/head" "$STATE/store/audit.head"
}
broken() { # NAME LINE: what keyd says about the log as it lies there now
	keyd_start || die "keyd starts in spite of it: $1"
	refused "$1: is noticed" 1 "line $2([^0-9]|$)|seq $2([^0-9]|$)|$2" keyadm audit --verify
	keyd_stop
	put_back
}
sed -i '3s/"uid":\( *\)0/"uid":\17/' "$log"
broken "an edited line" 3
sed -i 4d "$log"
broken "a dropped line" 4
sed -i '5{p;}' "$log"
broken "a line twice" 6
sed -i '2s/,/, /' "$log"
broken "one space more" 2
keyd_start || die "keyd starts"
ok "the whole log verifies again" keyadm audit --verify
keyd_stop

# A crash in the middle of a write leaves half a line: cut off, put aside, recorded.
put_back
printf '{"seq":%d,"time":"20' $((lines + 1)) >>"$log"
ok "keyd starts after a torn last line" keyd_start
ok "the log verifies without it" keyadm audit --verify
like "and says that it was cut" "$(keyadm --json audit | tail -n +$((lines + 1)))" '[Tt]orn|trunc|cut'
ok "what was cut is kept aside" grep -rqs '"time":"20$' "$STATE/store" --include='audit*'

done_testing
