#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Two initiators: what conflicts with the first one's reservation, by its type, is refused to the second
# (SPC-4 5.13.1, SBC-3 4.17), and nothing else; the tables here are the standards'.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../cdb.sh"

bs=512
out() { random_file "$STATE/$1" "$2" && echo "$STATE/$1"; } # NAME BYTES

# NAME CDB [DATA-OUT]: what a reservation for writes alone refuses, and what one for all does.
writes() {
	echo "WRITE_10 $(cdb 2a 00 100 1) $one"
	echo "WRITE_16 $(cdb 8a 00 100 1) $one"
	echo "WRITE_SAME_10 $(cdb 41 00 100 4) $one"
	echo "WRITE_SAME_16 $(cdb 93 00 100 4) $one"
	echo "WRITE_SAME_16_UNMAP $(cdb 93 08 100 4) $zero"
	echo "WRITE_AND_VERIFY_10 $(cdb 2e 00 100 1) $one"
	echo "WRITE_AND_VERIFY_12 $(cdb ae 00 100 1) $one"
	echo "WRITE_AND_VERIFY_16 $(cdb 8e 00 100 1) $one"
	echo "COMPARE_AND_WRITE $(cdb 89 00 200 1) $twice"
	echo "ORWRITE $(cdb 8b 00 100 1) $one"
	echo "UNMAP $(unmap_cdb 24) $list"
	echo "SYNCHRONIZE_CACHE_10 $(cdb 35 00 0 0)"
	echo "SYNCHRONIZE_CACHE_16 $(cdb 91 00 0 0)"
}
reads() {
	echo "READ_10 $(cdb 28 00 0 0)"
	echo "READ_16 $(cdb 88 00 0 0)"
	echo "VERIFY_10 $(cdb 2f 00 100 1)"
	echo "VERIFY_12 $(cdb af 00 100 1)"
	echo "VERIFY_16 $(cdb 8f 00 100 1)"
	echo "PRE_FETCH_10 $(cdb 34 00 100 1)"
	echo "PRE_FETCH_16 $(cdb 90 00 100 1)"
	echo "GET_LBA_STATUS 9e120000000000000000000000000000"
}
always() {
	echo "TEST_UNIT_READY 000000000000"
	echo "INQUIRY 120000000000"
	echo "READ_CAPACITY_10 25000000000000000000"
	echo "READ_CAPACITY_16 9e100000000000000000000000000000"
	echo "READ_KEYS 5e000000000000000000"
}

talk() { # IN OUT CDB [DATA-OUT]: to the initiator at these pipes; its answer
	local answer
	echo "$3 ${4-}" >&"$1"
	read -r -t 20 answer <&"$2" && echo "$answer"
}
first() { talk "$first_in" "$first_out" "$@"; }
second() { talk "$second_in" "$second_out" "$@"; }

persist() { # WHO ACTION TYPE KEY NEW-KEY: PERSISTENT RESERVE OUT
	unhex "$(beX 8 "$4")$(beX 8 "$5")$(beX 8 0)" >"$STATE/keys"
	"$1" "5f$(beX 1 "$2")$(beX 1 "$3")0000000000$(beX 1 24)00" "$STATE/keys"
}

outcome_of() { # WHO LIST: the commands that conflict
	local who=$1 name hex file
	while read -r name hex file; do
		[ "$($who "$hex" "$file")" != "status 18" ] || echo -n "$name "
	done
}

names() { awk '{ printf "%s ", $1 }'; }

keyd_ready
tgtd_ready_or_die
level_create level
volume_create level lun.img 64M
export_volume 1 lun.img --bsopts discard=on
u=$(url 1 1)
one=$(out one $bs) zero=$STATE/zero list=$STATE/unmap twice=$STATE/twice
zeros $bs >"$zero"
unmap_list 300 4 && mv "$STATE/list" "$list"
zeros $((2 * bs)) >"$twice"
unmap 200 1 >/dev/null # so that COMPARE AND WRITE compares

for who in first second; do
	mkfifo "$STATE/$who.in" "$STATE/$who.out"
	LIMIT=110 io talk "$u" <"$STATE/$who.in" >"$STATE/$who.out" &
done
exec {first_in}>"$STATE/first.in" {first_out}<"$STATE/first.out"
exec {second_in}>"$STATE/second.in" {second_out}<"$STATE/second.out"

is "without a reservation nothing conflicts" "$({ writes; reads; always; } | outcome_of second)" ""
is "nor fails" "$({ writes; reads; } | while read -r _ hex file; do second "$hex" "$file"; done | sort | uniq -c | grep -c .)" 1

is "the first initiator registers" "$(persist first 6 0 0 1)" "status 00"
for type in 1:WRITE_EXCLUSIVE 3:EXCLUSIVE_ACCESS 5:WRITE_EXCLUSIVE_REGISTRANTS 6:EXCLUSIVE_ACCESS_REGISTRANTS \
	7:WRITE_EXCLUSIVE_ALL 8:EXCLUSIVE_ACCESS_ALL; do
	is "it reserves, ${type#*:}" "$(persist first 1 "${type%:*}" 1 0)" "status 00"
	case ${type#*:} in
	WRITE*) refused_to_others=$(writes | names) ;;
	*) refused_to_others=$({ writes; reads; } | names) ;;
	esac
	is "the second is refused what it should be" "$({ writes; reads; always; } | outcome_of second)" "$refused_to_others"
	is "the first nothing" "$({ writes; reads; always; } | outcome_of first)" ""
	is "the second registers" "$(persist second 6 0 0 2)" "status 00"
	case $type in
	[13]:*) refused_to_registered=$refused_to_others ;;
	*) refused_to_registered='' ;;
	esac
	is "then it is refused what its kind is" "$({ writes; reads; always; } | outcome_of second)" "$refused_to_registered"
	is "it takes its registration back" "$(persist second 6 0 2 0)" "status 00"
	is "the first releases" "$(persist first 2 "${type%:*}" 1 0)" "status 00"
	second 000000000000 >/dev/null # an attention, if there is one
done

is "both register" "$(persist second 6 0 0 2)" "status 00"
is "and the first reserves for registrants" "$(persist first 1 5 1 0)" "status 00"
is "and gives up its registration" "$(persist first 0 0 1 0)" "status 00"
is "it is not told of it" "$(first 000000000000)" "status 00"
like "the second is: reservations released" "$(second 000000000000)" 'sense 06/2a/04'
is "once" "$(second 000000000000)" "status 00"
is "the second unregisters" "$(persist second 0 0 2 0)" "status 00"

is "RESERVE (6)" "$(first 160000000000)" "status 00"
is "keeps the second from all but what tells who is there" \
	"$({ writes; reads; echo "MODE_SENSE_6 1a0808000000"; echo "MODE_SENSE_10 5a080800000000000000"; echo "TEST_UNIT_READY 000000000000"; } |
		outcome_of second)" "$({ writes; reads; } | names)MODE_SENSE_6 MODE_SENSE_10 TEST_UNIT_READY "
is "RELEASE (6)" "$(first 170000000000)" "status 00"
is "lets it in" "$(second "$(cdb 2a 00 100 1)" "$one")" "status 00"

done_testing
