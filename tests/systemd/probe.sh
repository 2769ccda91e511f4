#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# What is tried in the booted machine; every line "NAME=RESULT" is compared by the test.
set -u
LUN=iscsi://127.0.0.1:3999/iqn.2007-06.example.tgt-crypt:s/1

tell() { # NAME COMMAND...: its exit status and first line
	local name=$1 said
	shift
	said=$("$@" 2>&1 </dev/null)
	echo "$name=$? $(head -n 1 <<<"$said")"
}

status_of() { # UNIT FIELD: of its main process
	sed -n "s/^$2:[[:space:]]*\([^[:space:]]*\).*/\1/p" \
		"/proc/$(systemctl show -p MainPID --value "$1")/status"
}

systemd-sysusers /usr/lib/sysusers.d/tgt-crypt.conf
mkdir -p /etc/keyd /etc/tgt/crypt /srv/secret
cat >/etc/keyd/keyd.conf <<-CONF
	[keyd]
	sandbox = required
	[roles]
	security-admin = root
	storage-admin = root
	[level secret]
	fetch = tgt-secret
CONF
# As from a directory service, the user becomes known late: after more failed starts than systemd tolerates by default.
tell keyd-too-early systemctl start keyd
for ((i = 0; i < 300; i++)); do
	[ "$(systemctl show -p NRestarts --value keyd)" -lt 6 ] || break
	sleep 0.1
done
useradd --system --no-create-home tgt-secret
becomes_active() {
	for ((i = 0; i < 100; i++)); do
		systemctl -q is-active keyd && return
		sleep 0.1
	done
	return 1
}
tell keyd-start becomes_active
echo "keyd-user=$(ps -o user= -p "$(systemctl show -p MainPID --value keyd)")"
echo "keyd-capabilities=$(status_of keyd CapEff)$(status_of keyd CapBnd)"
echo "keyd-seccomp=$(status_of keyd Seccomp)"
echo "keyd-files=$(stat -c %a:%U /var/lib/keyd /var/lib/keyd/audit.log | xargs)"
echo passphrase of the store >/tmp/words
# Where systemd itself may not raise the limit, nobody can lock what Argon2 needs.
locked=$(sed -n 's/^Max locked memory *\([0-9]*\).*/\1/p' "/proc/$(systemctl show -p MainPID --value keyd)/limits")
if [ "${locked:-0}" -ge $((257 << 20)) ]; then
	tell init sh -c "keyadm init --custody passphrase --passphrase-fd 0 </tmp/words"
else
	tell init keyadm init
	echo "no-passphrase=$locked"
fi
tell level keyadm level create secret
tell other-level keyadm level create other
tell volume keyadm volume create --level secret --size 8M --sector-size 4096 /srv/secret/a.img
tell other-volume keyadm volume create --level other --size 8M /srv/secret/b.img
chown -R tgt-secret /srv/secret

cat >/etc/tgt/crypt/secret.env <<-ENV
	PORTAL=127.0.0.1:3999
	CONTROL_PORT=7
ENV
cat >/etc/tgt/crypt/secret.conf <<-CONF
	default-driver iscsi
	<target iqn.2007-06.example.tgt-crypt:s>
	  <backing-store /srv/secret/a.img>
	    bs-type crypt
	    block-size 4096
	  </backing-store>
	</target>
CONF
tell tgtd-start systemctl start tgtd-crypt@secret
echo "tgtd-user=$(status_of tgtd-crypt@secret Uid)=$(id -u tgt-secret)"
echo "tgtd-capabilities=$(status_of tgtd-crypt@secret CapEff)"
head -c 4096 /dev/zero | tr '\0' x >/tmp/block
tell write sh -c "/iscsi-io write $LUN 0 </tmp/block"
tell read sh -c "/iscsi-io read $LUN 0 1 | cmp - /tmp/block"
tell other-key runuser -u tgt-secret -- env TGT_IPC_SOCKET=/run/tgtd-crypt/secret/socket tgtadm -C 7 \
	--lld iscsi --op new --mode logicalunit --tid 1 --lun 2 --bstype crypt -b /srv/secret/b.img

# A credential unlocks the store when keyd starts; tgtd stays and goes on.
mkdir -p /etc/systemd/system/keyd.service.d
printf '[Service]\nLoadCredential=keyd.passphrase:/tmp/words\n' \
	>/etc/systemd/system/keyd.service.d/credential.conf
systemctl daemon-reload
tell keyd-restart systemctl restart keyd
echo "locked=$(keyadm --json status | grep -c '"locked": *false')"
tell read-again sh -c "/iscsi-io read $LUN 0 1 | cmp - /tmp/block"
for ((i = 0; i < 100; i++)); do
	keyadm status | grep -q '^consumers *1' && break
	sleep 0.1
done
tell destroy keyadm level destroy secret --yes
tell read-destroyed /iscsi-io read $LUN 0 1
tell tgtd-stop systemctl stop tgtd-crypt@secret
echo "tgtd-result=$(systemctl show -p Result --value tgtd-crypt@secret)"

# Initiators whose names are shell code, at tgtds that let them in, because they have no plugin: of Debian's unit with our
# drop-in, and of a level's. When the units end these, no name is run, and what a client has flushed is there.
mv /usr/lib/tgt/backing-store/bs_crypt.so /tmp
useradd --system --no-create-home tgt-plain
install -d -m 777 /ran
install -d -o tgt-plain /srv/plain
printf 'PORTAL=127.0.0.1:3998\nCONTROL_PORT=8\n' >/etc/tgt/crypt/plain.env
for name in plain tgt; do
	runuser -u tgt-plain -- truncate -s 8M /srv/plain/$name.img
	printf '<target iqn.2007-06.example.tgt-crypt:%s>\n  backing-store /srv/plain/%s.img\n</target>\n' $name $name \
		>/tmp/$name.conf
done
mv /tmp/plain.conf /etc/tgt/crypt/plain.conf
mv /tmp/tgt.conf /etc/tgt/conf.d/probe.conf
attacked() { # NAME UNIT PORT
	local url=iscsi://127.0.0.1:$3/iqn.2007-06.example.tgt-crypt:$1/1
	tell "$1-start" systemctl start "$2"
	mkfifo "/tmp/stay-$1"
	python3 /hostile/names.py stay 127.0.0.1 "$3" "iqn.2007-06.example.tgt-crypt:$1" "touch /ran/$1" \
		<"/tmp/stay-$1" >"/tmp/names-$1" &
	exec 7>"/tmp/stay-$1"
	for ((i = 0; i < 300; i++)); do
		grep -q '^ready' "/tmp/names-$1" && break
		sleep 0.1
	done
	echo "$1-let-in=$(grep -c '^in' "/tmp/names-$1")"
	tell "$1-write" sh -c "/iscsi-io write $url 0 </tmp/block && /iscsi-io flush $url"
	/iscsi-io stress "$url" --connections 2 --depth 4 --reconnect --offset 65536 --slots 64 --seconds 60 >/dev/null 2>&1 7>&- &
	load=$!
	tell "$1-reload" systemctl reload "$2"
	tell "$1-stop" systemctl stop "$2"
	echo "$1-result=$(systemctl show -p Result --value "$2")"
	tell "$1-data" cmp -n 4096 "/srv/plain/$1.img" /tmp/block
	kill $load
	exec 7>&-
}
attacked tgt tgt 3260
attacked plain tgtd-crypt@plain 3998
echo "ran=$(ls /ran)"

tell keyd-stop systemctl stop keyd
echo "keyd-result=$(systemctl show -p Result --value keyd)"
echo "the-end=1"
journalctl --no-pager -o cat -u keyd -u 'tgtd-crypt@*' -u tgt | sed 's/^/# /'
