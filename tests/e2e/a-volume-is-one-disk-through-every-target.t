#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# What a disk says of its identity is the volume's: multipathing joins the paths to one volume and no others, whatever
# the numbers of targets and LUNs, and with however many tgtds.
. "$(dirname "$0")/../lib.sh"

keyd_ready
level_create level
for volume in one other; do
	volume_create level $volume.img 32M
done
uuid=$(keyadm --json volume show "$STATE/one.img" | grep -o '"uuid": *"[^"]*"' | cut -d'"' -f4)
digits=${uuid//-/}

page() { # URL PAGE: a VPD page, the bytes of its body
	io cdb "$1" "1201${2}00ff00" --in 255 --to "$STATE/page" >/dev/null && tail -c +5 "$STATE/page" | hex
}

tgtd_ready_or_die
export_volume 1 one.img --bsopts shared=on
first=$(url 1 1)
target_add 2
lun_add 2 7 "$STATE/one.img" --bsopts shared=on || die "the volume is exported twice"
second=$(url 2 7)
TGT=b
tgtd_ready_or_die
export_volume 1 other.img
third=$(url 1 1)

is "the serial number is the volume's UUID" "$(unhex "$(page "$first" 80)")" "$uuid"
like "a designator holds 28 digits of it" "$(page "$first" 83)" "$(printf 'IET     %s' "${digits:4}" | hex)"
like "and a number of 128 bits as well" "$(page "$first" 83)" "010300106000${digits:4}"
like "and the short number, which some initiators look at first, has its last 15 digits" "$(page "$first" 83)" "010300083${digits:17}"
is "another LUN on the volume says the same" "$(page "$second" 83)" "$(page "$first" 83)"
unlike "another volume, as the same LUN of another tgtd, has none of it" "$(page "$third" 83)" "${digits:17}"
isnt "nor has it that serial number" "$(page "$third" 80)" "$(page "$first" 80)"

TGT=a
ok "an administrator may name it otherwise" \
	tgt --op update --mode logicalunit --tid 1 --lun 1 --params scsi_sn=mine
like "and that holds" "$(unhex "$(page "$first" 80)")" ' mine$'
done_testing
