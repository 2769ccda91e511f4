# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# CDBs and parameter lists in hex, for tests that speak SCSI. Source lib.sh first,
# and set u, the URL of the LUN, and bs, the size of its blocks.
: "${u=}" "${bs=512}"

beX() { printf "%0$(($1 * 2))x" "$2"; } # BYTES VALUE

# A CDB of OPCODE by its size: FLAGS (byte 1), LBA, BLOCKS.
cdb() { # OPCODE FLAGS LBA BLOCKS
	case $1 in
	0[8a]) echo "$1$(beX 3 "$3")$(beX 1 $(($4 % 256)))00" ;;
	[2345]?) echo "$1$2$(beX 4 "$3")00$(beX 2 "$4")00" ;;
	a[0-9a-f]) echo "$1$2$(beX 4 "$3")$(beX 4 "$4")0000" ;;
	89) echo "$1$2$(beX 8 "$3")000000$(beX 1 "$4")0000" ;;
	*) echo "$1$2$(beX 8 "$3")$(beX 4 "$4")0000" ;;
	esac
}

send() { io cdb "$u" "$@" 2>&1; } # CDB [--in N | --out FILE]

answer() { # CDB [...]: "ok", or the sense, or another status
	send "$@" | sed -n 's/^status 0[04].*/ok/p; s/^status 02 sense \(\S*\).*/\1/p; s/^status \(18\)/\1/p'
}

data_is() { # NAME LBA BLOCKS FILE: read by READ (16)
	io read "$u" "$2" "$3" >"$STATE/back"
	same "$1" "$STATE/back" "$4"
}

zeros() { head -c "$1" /dev/zero; } # BYTES

reads_zeros() { # NAME LBA BLOCKS: bs is the size of a block
	zeros $(($3 * bs)) >"$STATE/zeros"
	data_is "$1" "$2" "$3" "$STATE/zeros"
}

unmap_descriptors() { # LBA BLOCKS...: in hex
	while [ $# -gt 0 ]; do
		printf '%s%s00000000' "$(beX 8 "$1")" "$(beX 4 "$2")"
		shift 2
	done
}

unmap_list() { # LBA BLOCKS...: UNMAP's parameter list, SBC-3 5.28.2, into $STATE/list
	local n=$(($# * 8)) # two make one of 16 bytes
	unhex "$(beX 2 $((n + 6)))$(beX 2 $n)00000000$(unmap_descriptors "$@")" >"$STATE/list"
}

unmap_cdb() { echo "42${2-00}0000000000$(beX 2 "$1")00"; } # LIST-BYTES [FLAGS]

unmap() { # LBA BLOCKS...: one UNMAP of all of them
	unmap_list "$@"
	send "$(unmap_cdb "$(stat -c %s "$STATE/list")")" --out "$STATE/list"
}

lba_status() { # LBA [ALLOCATION-LENGTH]: "LBA+BLOCKS STATUS" for each descriptor
	local data
	data=$(send "9e12$(beX 8 "$1")$(beX 4 "${2:-4096}")0000" --in "${2:-4096}" | sed -n 's/^data //p')
	for ((i = 16; i + 32 <= 2 * (16#${data:0:8} + 4) && i + 32 <= ${#data}; i += 32)); do
		echo "$((16#${data:i:16}))+$((16#${data:i + 16:8})) ${data:i + 24:2}"
	done
}

page() { send "1201${1}00ff00" --in 255 | sed -n 's/^data //p'; } # CODE: a VPD page, in hex
field() { echo $((16#${1:$2 * 2:$3 * 2})); } # PAGE BYTE BYTES
