#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Who can write the state directory but has not the root key cannot change, re-order, shorten or make anew the
# audit log unnoticed: the key of its records is sealed under the root key. An older copy of everything shows
# against a head kept outside.
. "$(dirname "$0")/../lib.sh"

WORDS="correct horse battery staple"
store=$STATE/store
log=$store/audit.log
unlock() { keyadm unlock --passphrase-fd 3 3<<<"$WORDS"; }
lines() { wc -l <"$log"; }
keep() { rm -rf "$1" && cp -a "$store" "$1"; }        # FOLDER
put_back() { rm -rf "$store" && cp -a "$1" "$store"; } # FOLDER
start() { keyd_start && unlock >/dev/null || die "keyd starts and is unlocked"; }

# Makes all hashes of the log anew, as anybody can, after a change by python code on the list "records".
remake() { # CODE
	python3 - "$log" "$1" <<-'PY'
		import hashlib, json, sys
		path, code = sys.argv[1:]
		records = [json.loads(line) for line in open(path)]
		exec(code)
		dump = lambda r: json.dumps(r, separators=(",", ":"), ensure_ascii=False)
		prev, out = "0" * 64, ""
		for seq, r in enumerate(records, 1):
		    mac = r.pop("mac", None)
		    for member in ("prev", "hash"):
		        r.pop(member, None)
		    r["seq"] = seq
		    r["prev"] = prev
		    if mac:
		        r["mac"] = mac
		    prev = r["hash"] = hashlib.sha256(dump(r).encode()).hexdigest()
		    out += dump(r) + "\n"
		open(path, "w").write(out)
	PY
}

# What keyd says about the log as it lies there now: at LINE, REASON, at this start and at the next.
noticed() { # NAME LINE REASON [RECORD]
	start
	refused "$1: noticed" 1 "line $2: .*($3)" keyadm audit --verify
	like "$1: and recorded" "$(tail -n 5 "$log")" "${4-audit-broken}"
	keyd_stop
	start
	refused "$1: and still at the next start" 1 "the audit log is broken at line" keyadm audit --verify
	keyd_stop
	put_back "$STATE/whole"
}

keyd_start || die "keyd starts"
keyadm init --custody passphrase --passphrase-fd 3 3<<<"$WORDS" >/dev/null || die "there is a store"
level_create secret
for _ in 1 2 3; do
	keyadm level suspend secret >/dev/null
	keyadm level resume secret >/dev/null
done
ok "a whole log verifies" keyadm audit --verify
like "and it is told what is older than its key" "$(keyadm audit --verify)" \
	"^[0-9]+ records, unbroken; the log's key vouches for 1 to [0-9]+; 1 to 2 are older than the key$"
is "records have a code from then on" "$(tail -n +3 "$log" | grep -c '"mac":"[0-9a-f]\{64\}","hash"')" \
	"$(($(lines) - 2))"
keyadm audit --print-head >"$STATE/head"
like "the head to keep is a number and a hash" "$(<"$STATE/head")" '^[0-9]+:[0-9a-f]{64}$'
ok "the log has the head that was kept" keyadm audit --verify --head "$STATE/head"
ok "which may be given as it is" keyadm audit --verify --head "$(<"$STATE/head")"
keyd_stop
keep "$STATE/whole"
all=$(lines)

# --- without the key ------------------------------------------------------------------------------

remake 'records[4]["event"] = "level-show"'
noticed "an edit with all hashes made anew" 5 "not made with the log's key"
remake 'del records[5]'
noticed "a dropped record" 6 "not made with the log's key"
remake 'records[4], records[5] = records[5], records[4]'
noticed "two records in another order" 5 "not made with the log's key"
remake 'records[0]["uid"] = 77'
noticed "an edit of what is older than the key" 3 "not made with the log's key"
remake 'records.insert(4, dict(records[4]))'
noticed "a record twice" 6 "not made with the log's key"
# The locked keyd writes one line before it is unlocked and knows better.
for left in $((all - 1)) $((all - 5)) 2 0; do
	head -n $left "$STATE/whole/audit.log" >"$log"
	noticed "cut to $left lines" $((left + 2)) "does not follow"
done
rm "$log"
noticed "all of it removed" 2 "does not follow"
remake 'records = [r for r in records if "suspend" not in r["event"]]
for r in records: r.pop("mac", None)'
noticed "made anew without codes, shorter" 3 "permits nothing of the kind"
remake 'for r in records: r.pop("mac", None)'
noticed "made anew without codes, as long" 3 "permits nothing of the kind"
rm "$store/audit.head"
noticed "the sealed head removed" $((all + 2)) "sequence number"
head -n $((all - 1)) "$STATE/whole/audit.log" >"$log"
rm "$store/audit.head"
noticed "and a line with it" $((all + 1)) "sequence number"
newest=$(grep -aob "v1 0*$all " "$store/audit.head" | cut -d: -f1)
printf xxxx | dd of="$store/audit.head" bs=1 seek=$((newest + 40)) conv=notrunc status=none
head -n $((all - 1)) "$STATE/whole/audit.log" >"$log"
noticed "a line, and the slot that names it spoilt" $((all + 1)) "does not follow"
rm -r "$store/keys" "$store/audit.head"
remake 'for r in records: r.pop("mac", None)'
noticed "the log's key removed, as if it had never been" $((all + 2)) "was lost" '"event":"audit-key".*missing.*"result":"failed"'
# --- while it is locked ---------------------------------------------------------------------------

put_back "$STATE/whole"
keyd_start || die "keyd starts, locked"
like "a locked store's log is checked as far as it goes" "$(keyadm audit --verify)" "as far as can be told without the log's key"
not_ok "a wrong passphrase" keyadm unlock --passphrase-fd 3 3<<<"not the words"
ok "unlocked" unlock
ok "what a locked keyd wrote is no break" keyadm audit --verify
like "and is told" "$(keyadm audit --verify)" "; [3-9] were written while the store was locked$"
like "the refusal is there, without a code" "$(grep '"result":"denied"' "$log")" '"event":"unlock".*"prev":"[0-9a-f]*","hash"'
ok "the head that was kept is still in it" keyadm audit --verify --head "$STATE/head"
keyd_stop
keep "$STATE/locked"
remake 'for r in records:
    if r["result"] == "denied": r["uid"] = 77'
start
refused "after the unlocking it is vouched for" 1 "not made with the log's key" keyadm audit --verify

keyd_stop
put_back "$STATE/locked"
keyd_start && keyd_stop || die "keyd starts and ends, locked"
forged=$(($(lines) + 1))
remake 'records.append({"seq": 0, "time": records[-1]["time"], "event": "level-destroy", "uid": 0, "pid": 1, "subject": "secret", "result": "ok"})'
start
refused "a line forged in the log of a locked store, all hashes right" 1 "line $forged: .*permits nothing of the kind" keyadm audit --verify
like "is recorded" "$(tail -n 5 "$log")" "audit-broken"

# --- an older copy of everything, and a changing one while keyd runs ------------------------------

keyd_stop
put_back "$STATE/locked"
start
keyadm audit --print-head >"$STATE/later"
keyd_stop
put_back "$STATE/whole"
start
ok "an older copy of log and head is consistent in itself" keyadm audit --verify
refused "a head kept outside tells" 1 "record [0-9]+, which was kept outside, is not in the log|not the one that was kept outside" \
	keyadm audit --verify --head "$STATE/later"
ok "an older one is in it" keyadm audit --verify --head "$STATE/head"
sed -i '$d' "$log"
refused "a line cut off under a running keyd" 1 "broken at line [0-9]+" keyadm audit --verify
keyd_stop

put_back "$STATE/whole"
start
refused "what is no head is refused" 1 "is neither SEQ:HASH nor a file" keyadm audit --verify --head 12:abc
echo nonsense >"$STATE/bad"
refused "nor is a file without one" 1 "does not begin with a head" keyadm audit --verify --head "$STATE/bad"
refused "--head needs --verify" 1 "goes with --verify" keyadm audit --head "$STATE/head"
refused "another hash for that number is not in the log" 1 "line 5: the record is not the one that was kept outside" \
	keyadm audit --verify --head "5:$(printf '%064d' 7)"

done_testing
