#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Custody pkcs11: each level's key is wrapped by an object of its own in a token (SoftHSM2; pkcs11-tool looks into it).
# Destroying a level destroys the object, which is looked at, and no old copy of the store brings the level back; what
# the token does not confirm is not acknowledged. Several stores may share a token.
TEST_LIMIT=240 # some thirty starts of keyd
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../token.sh"

objects() { token_tool --list-objects | sed -n 's/^ *label: *tgt-crypt [0-9a-f]* //p' | sort | xargs; }
store_ids() { token_tool --list-objects | sed -n 's/^ *label: *tgt-crypt \([0-9a-f]*\) .*/\1/p' | sort -u | wc -l; }
with_pin() { keyadm "${@:2}" --passphrase-fd 3 3<<<"$1"; } # PIN ARGUMENTS...
unlock() { with_pin "${1-$PIN}" unlock; }
change() { # CUSTODY [PIN]
	if [ -n "${2-}" ]; then with_pin "$2" custody change --custody "$1"; else keyadm custody change --custody "$1"; fi
}
levels_in() { states | tr ' ' '\n' | sed -n "s/:$1\$//p"; } # STATE
none_destroying() { [ -z "$(levels_in destroying)" ]; }
start() { keyd_start --config "$STATE/keyd.conf" || die "keyd starts"; }
restart() { keyd_stop && start; }
restart_open() { restart && { [ "$(locked)" = false ] || unlock >/dev/null; }; }
same_data() { # FILE: target 1 has what it says
	io read "$(url 1 1)" 0 128 | cmp - "$1"
}
key_opens() { # FILE: its volume key can be read out
	rm -f "$STATE/vk"
	keyadm volume key "$STATE/$1" --out "$STATE/vk"
}

token_make || die "a token is made"

# --- what is refused ------------------------------------------------------------------------------

token_conf
sed -i /pkcs11/d "$STATE/keyd.conf"
start
refused "without a module there is no token" 1 "name pkcs11-module and pkcs11-token in keyd.conf" \
	with_pin "$PIN" init --custody pkcs11
token_conf /nonexistent.so
restart
refused "nor with one that cannot be loaded" 1 "module cannot be loaded" \
	with_pin "$PIN" init --custody pkcs11
token_conf "$MODULE" other
restart
refused "nor where there is no such token" 1 "no token is called so" \
	with_pin "$PIN" init --custody pkcs11
token_conf
restart
refused "nor with a wrong PIN" 1 "not its PIN" with_pin 1234 init --custody pkcs11
is "so nothing was made" "$(objects) $(cd "$STATE/store" && echo root.*)" " root.*"

# --- a store in a token ---------------------------------------------------------------------------

is "no leftover of a failed creation" "$(find "$STATE/store" -name ".next*")" ""
ok "with the PIN there is" with_pin "$PIN" init --custody pkcs11
is "its root key is no file" "$(cd "$STATE/store" && echo root.*)" root.pkcs11
tgtd_ready_or_die
level_create one
level_create two
volume_create one one.img 64M
volume_create two two.img 16M
export_volume 1 one.img
random_file "$STATE/plain" 65536
ok "a LUN is written" io write "$(url 1 1)" 0 <"$STATE/plain"
is "the token has an object for the root key and for each level" "$(objects)" "level one level two root"
is "none of them can be taken out" \
	"$(token_tool --list-objects | grep -c 'Access: *sensitive, always sensitive, never extractable, local')" 3
is "the class of a level is told before" "$(class_of one)" purge
is "and of a volume alone, whose level lives on" \
	"$(keyadm --json volume show "$STATE/one.img" | grep -o '"erase_class": *"[a-z]*"' | grep -o '[a-z]*"$')" 'clear"'
refused "a token is not entered twice" 1 "in a token already" change pkcs11 "$PIN"

restart
is "keyd starts locked" "$(locked)" true
refused "another PIN does not open the store" 1 "still locked: this is not the PIN" unlock wrong-pin
ok "the PIN does" unlock
is "everything is there" "$(states)" "one:active two:active"
is "nobody keeps the PIN" "$(words_in_memory "$KEYD_PID" "$PIN")" 0
ok "a level is suspended" keyadm level suspend two
ok "and resumed" keyadm level resume two
keyd_stop
cp -a "$STATE/store" "$STATE/old"
start && unlock >/dev/null

# --- destroying -----------------------------------------------------------------------------------

keyadm --json level destroy two --yes >"$STATE/certificate"
is "a level is destroyed" $? 0
is "its object is gone, the others are not" "$(objects)" "level one root"
like "the certificate tells what was looked at" "$(<"$STATE/certificate")" \
	'"checked_in_token": *"the level.s wrapping key in the token was destroyed and is not found there'
like "and the class" "$(<"$STATE/certificate")" '"erase_class": *"purge"'
keyd_stop
mv "$STATE/store" "$STATE/new"
cp -a "$STATE/old" "$STATE/store"
start && unlock >/dev/null
is "an old copy of the store does not bring it back" "$(states)" "one:active two:damaged"
not_ok "nor the key of its volume" key_opens two.img
ok "which is to be had for the other level" key_opens one.img
keyd_stop
rm -r "$STATE/store"
mv "$STATE/new" "$STATE/store"
start && unlock >/dev/null

# --- the token is taken away ----------------------------------------------------------------------

level_create three
volume_create three three.img 16M
volume_create one other.img 16M
mv "$STATE/token" "$STATE/away"
refused "no level is made without the token" 1 "token does not answer.*keyadm unlock" keyadm level create four
refused "no key is opened" 1 "token does not answer" key_opens one.img
is "but nothing is called damaged for that" "$(states)" "one:active three:active two:destroyed"
ok "a level is suspended all the same" keyadm level suspend three
ok "and resumed" keyadm level resume three
is "and a client notices nothing" "$(read_outcome "$(url 1 1)")" ok
refused "a destroy is not acknowledged" 1 "never be given out again.*wrapping key in the token.*does not answer" \
	keyadm level destroy three --yes
refused "nor when it is repeated" 1 "does not answer" keyadm level destroy three --yes
is "it stays half done" "$(states)" "one:active three:destroying two:destroyed"
refused "no PIN helps" 1 "the token cannot be used: " unlock
mv "$STATE/away" "$STATE/token"
is "the object is there still" "$(objects)" "level one level three root"
refused "nor does a wrong one when it is back" 1 "not the PIN" unlock wrong-pin
ok "with the PIN a new session is opened" unlock
ok "so that keys open again" key_opens one.img
ok "and the destroy ends" keyadm level destroy three --yes
is "with its object gone" "$(objects)" "level one root"

level_create five
mv "$STATE/token" "$STATE/away"
not_ok "one that is not acknowledged" keyadm level destroy five --yes
mv "$STATE/away" "$STATE/token"
restart && unlock >/dev/null
ok "goes on by itself when keyd starts again" becomes 10 "level one root" objects
like "and ends" "$(states)" "five:destroyed"

# --- a second store in the same token -------------------------------------------------------------

second() { "$BUILD/keyadm" --admin-socket "$STATE/second.admin" "$@"; }
setsid setpriv --pdeathsig TERM "$BUILD/keyd" --config "$STATE/keyd.conf" --state "$STATE/second" \
	--socket "$STATE/second.sock" --admin-socket "$STATE/second.admin" >>"$STATE/second.log" 2>&1 &
SECOND=$!
at_exit stop_pid "$SECOND"
wait_for 10 second status
ok "a second keyd may use the token" second init --custody pkcs11 --passphrase-fd 3 3<<<"$PIN"
ok "with a level of the same name" second level create one
is "their objects are told apart" "$(objects) $(store_ids)" "level one level one root root 2"
ok "it destroys its own" second level destroy one --yes
is "and leaves the other's" "$(objects)" "level one root root"
ok "which opens still" key_opens one.img
ok "it leaves the token" second custody change --custody file
is "with all that it had there" "$(objects) $(store_ids)" "level one root 1"
ok "and the other's key opens" key_opens one.img
stop_pid "$SECOND"

# --- what only the PIN can end --------------------------------------------------------------------

before=$(states)
cp "$STATE/store/root.pkcs11" "$STATE/kept"
change passphrase "$PIN" >/dev/null || die "the store leaves the token"
keyd_stop
cp "$STATE/kept" "$STATE/store/root.pkcs11" # as a crash right after the change leaves it
echo "commit pkcs11 passphrase" >"$STATE/store/rewrap"
start
ok "a change that ended in a crash before the token was cleared is in force" unlock
like "keyd tells what is missing" "$(<"$STATE/keyd.log")" "not proven gone.*keyadm unlock"
refused "no further change is made before" 1 "nothing was changed.*PIN is needed.*keyadm unlock" change file
refused "nor with a wrong PIN" 1 "not the PIN" unlock wrong-pin
ok "the PIN ends it" unlock
is "with nothing left" "$(cd "$STATE/store" && echo root.* rewrap*) $(objects)" "root.passphrase rewrap* "
ok "and once more is no harm" unlock

keyd_stop
cp "$STATE/kept" "$STATE/store/.next-root.pkcs11" # as a crash in the middle of a change leaves it
echo "prepare passphrase pkcs11" >"$STATE/store/rewrap"
start
ok "one that did not come so far is taken back" unlock
like "but for what is in the token" "$(<"$STATE/keyd.log")" "stays there until its PIN is given: keyadm unlock"
refused "which comes first" 1 "nothing was changed.*PIN is needed" change pkcs11 "$PIN"
ok "the PIN takes that back" unlock
is "with nothing left, too" "$(cd "$STATE/store" && echo root.* rewrap* .next*)" "root.passphrase rewrap* .next*"
is "and everything there" "$(states)" "$before"
ok "the token is entered again" change pkcs11 "$PIN"

# --- out of the token and back --------------------------------------------------------------------

before=$(states)
ok "the store leaves the token" change file
is "which is empty then" "$(objects)" ""
is "levels and tombstones are there" "$(states)" "$before"
restart
is "keyd starts open" "$(locked)" false
ok "data is there" same_data "$STATE/plain"
refused "another PIN does not bring it back" 1 "nothing was changed.*not its PIN" change pkcs11 wrong-pin
is "and nothing was changed" "$(objects) $(cd "$STATE/store" && echo root.*)" " root.key"
ok "the PIN does" change pkcs11 "$PIN"
is "with the living level's key alone" "$(objects)" "level one root"
is "that was in a file before, which is told" "$(class_of one)" clear
level_create six
is "and not of a level that never was" "$(class_of six)" purge
restart_open
ok "its key opens from the token" key_opens one.img
is "and the client goes on" "$(becomes 10 ok read_outcome "$(url 1 1)")" ""
ok "data is there, too" same_data "$STATE/plain"

# --- a crash at any moment ------------------------------------------------------------------------

make_and_destroy() { # ROUND
	local i
	for ((i = 0; i < 20; i++)); do
		keyadm level create "c$1-$i"
		[ $((i % 2)) = 0 ] || keyadm level destroy "c$1-$i" --yes
	done
}
wrong=0 seen=0
for ((round = 0; round < 12; round++)); do
	make_and_destroy "$round" >/dev/null 2>&1 &
	wait_for 10 test -d "$STATE/store/levels/c$round-0"
	sleep "0.$(printf '%03d' $((RANDOM % 300)))"
	kill_pid "$KEYD_PID"
	wait $!
	start && unlock >/dev/null
	wait_for 10 none_destroying
	[ -z "$(levels_in damaged)$(levels_in destroying)" ] || wrong=$((wrong + 1))
	in_token=$(token_tool --list-objects | sed -n 's/^ *label: *tgt-crypt [0-9a-f]* level //p' | sort)
	# The living are there, the destroyed are not.
	[ -z "$(comm -23 <(levels_in active | sort) <(echo "$in_token"))" ] || wrong=$((wrong + 1))
	[ -z "$(comm -12 <(levels_in destroyed | sort) <(echo "$in_token"))" ] || wrong=$((wrong + 1))
done
seen=$(states | wc -w)
is "12 crashes in the making and destroying of levels left none half done" "$wrong" 0
ok "of which there were some in every round" [ "$seen" -gt 12 ]

before=$(states)
wrong=0 to=file
for ((round = 0; round < 10; round++)); do
	change "$to" "$([ "$to" = file ] || echo "$PIN")" >/dev/null 2>&1 &
	sleep "0.$(printf '%03d' $((RANDOM % 400)))"
	kill_pid "$KEYD_PID"
	wait $!
	start && unlock >/dev/null || wrong=$((wrong + 1)) # or takes away what is left in the token
	[ "$(states)" = "$before" ] || wrong=$((wrong + 1))
	[ -z "$(find "$STATE/store" -name '.next-*' -o -name '.new-*' -o -name rewrap)" ] || wrong=$((wrong + 1))
	case $(cd "$STATE/store" && echo root.*) in
	root.key) to=pkcs11 want=0 ;;
	root.pkcs11) to=file want=1 ;;
	*) wrong=$((wrong + 1)) ;;
	esac
	[ "$(store_ids)" = "$want" ] || wrong=$((wrong + 1))
done
is "10 crashes in changes of custody left one whole store, and nothing of another in the token" "$wrong" 0
[ "$to" = file ] && change file >/dev/null
ok "data is there at the end" eval "becomes 10 ok read_outcome '$(url 1 1)' && same_data '$STATE/plain'"

done_testing
