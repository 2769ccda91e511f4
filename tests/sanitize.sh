# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# For tests of SANITIZE: a keyd that allows it, and the command. Source lib.sh first.

SANITIZE_CDB=48030000000000000000 # SBC-4 5.30: CRYPTOGRAPHIC ERASE

# A command's outcome in one word: "ok", a sense such as 05/20/00, "status 18", or "lost".
cdb_outcome() { # URL CDB
	local said
	said=$(LIMIT=${LIMIT:-90} io cdb "$1" "$2" 2>/dev/null)
	case $said in
	'status 00'*) echo ok ;;
	*sense*) sed -n '1s/.* sense \([0-9a-f/]*\).*/\1/p' <<<"$said" ;;
	status*) cut -d' ' -f1,2 <<<"$said" ;;
	*) echo lost ;;
	esac
}

sanitize() { cdb_outcome "$1" $SANITIZE_CDB; } # URL

# keyd.conf for a level where initiators may. Further levels have to be told apart by a section, too.
sanitize_conf() { # LEVEL
	cat >"$STATE/keyd.conf" <<-END
		[keyd]
		revoke-timeout = ${REVOKE_TIMEOUT:-5}
		[roles]
		security-admin = root
		storage-admin = root
		auditor = root
		[levels]
		fetch = root
		[level $1]
		fetch = root
		sanitize = yes
	END
}

stage_sanitizable() { # LEVEL: as stage does, with 64 MiB
	sanitize_conf "$1"
	keyd_ready --config "$STATE/keyd.conf"
	tgtd_ready_or_die
	level_create "$1"
	volume_create "$1" "$1.img" 64M
	export_volume 1 "$1.img"
}

volume_says() { # FILE MEMBER
	keyadm --json volume show "$STATE/$1" | python3 -c 'import json, sys
print(json.load(sys.stdin)[sys.argv[1]])' "$2"
}

fingerprint() { volume_says "$1" fingerprint; } # FILE
uuid_of() { volume_says "$1" uuid; }            # FILE

audited() { keyadm --json audit | grep "\"event\":\"$1\""; } # EVENT

scan() { "$BUILD/tests/memscan" "$@"; }

opens() { # FILE KEYFILE: cryptsetup finds that the key is the image's
	timeout 20 cryptsetup open --test-passphrase --type luks2 --volume-key-file "$STATE/$2" --key-size 256 \
		"$STATE/$1" x
}

# How many blocks of 512 bytes are the same at the same place.
same_blocks() { # FILE FILE
	python3 -c 'import sys
a, b = (open(f, "rb").read() for f in sys.argv[1:])
print(sum(a[i:i + 512] == b[i:i + 512] for i in range(0, min(len(a), len(b)), 512)))' "$1" "$2"
}

# Whether both copies of a LUKS2 header say the same (but for their magic, salt, offset and checksum).
header_copies() { # FILE
	python3 -c 'import sys
f = open(sys.argv[1], "rb").read(32768)
print("same" if f[4096:16384] == f[16384 + 4096:32768] and f[6:72] == f[16384 + 6:16384 + 72] else "different")' \
		"$STATE/$1"
}
