# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# For tests of exports: a second machine, that is another keyd with another store in $OTHER, and people
# with certificates. Source it after lib.sh.

OTHER=$STATE/other
OTHER_PID=

keyadm_there() { timeout -k 2 "${LIMIT:-20}" "$BUILD/keyadm" --admin-socket "$OTHER/admin.sock" "$@"; }

there_answers() { ! keyadm_there status 2>&1 | grep -q 'start keyd'; }

there_start() { # [keyd's further options]
	mkdir -p "$OTHER"
	setsid setpriv --pdeathsig TERM "$BUILD/keyd" --state "$OTHER/store" --socket "$OTHER/keyd.sock" \
		--admin-socket "$OTHER/admin.sock" "$@" >>"$STATE/keyd-there.log" 2>&1 &
	OTHER_PID=$!
	disown $OTHER_PID # some tests kill it: the shell need not say so
	wait_for 10 there_answers && alive "$OTHER_PID"
}

there_stop() {
	local pid=$OTHER_PID
	OTHER_PID=
	stop_pid "$pid"
}

there_ready() {
	there_start && keyadm_there init >/dev/null || die "keyd starts there and makes a store"
	at_exit there_stop
}

# NAME.key and NAME.pem in $STATE, of an RSA key unless openssl req is told otherwise.
person() { # NAME [openssl req's options]
	local name=$1
	shift
	[ $# -gt 0 ] || set -- -newkey rsa:2048
	openssl req -x509 "$@" -nodes -keyout "$STATE/$name.key" -out "$STATE/$name.pem" -days 2 \
		-subj "/CN=$name" 2>/dev/null || die "openssl makes a certificate for $name"
}

cms_open() { # NAME FILE OUT: by openssl alone
	openssl cms -decrypt -inform DER -in "$2" -recip "$STATE/$1.pem" -inkey "$STATE/$1.key" -out "$3"
}
