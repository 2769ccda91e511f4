# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Completion of keyadm(1) for bash: commands, options, and the names of levels as keyd tells them.

_keyadm_levels()
{
	keyadm level list 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_keyadm_requests()
{
	keyadm requests 2>/dev/null | awk '/^[0-9a-f]/ { print $1 }'
}

_keyadm_words()
{
	case "$1" in
	'') echo 'init unlock custody status level volume requests approve cancel zeroize certificate export import ledger audit' ;;
	'custody') echo 'change' ;;
	'level') echo 'create list show suspend resume destroy' ;;
	'volume') echo 'create list show key resize relocate destroy' ;;
	'certificate') echo 'show key verify' ;;
	'certificate show') _keyadm_levels ;;
	'approve' | 'cancel') _keyadm_requests ;;
	'ledger') echo 'destroyed' ;;
	'level show' | 'level suspend' | 'level resume' | 'level destroy') _keyadm_levels ;;
	esac
}

_keyadm_options()
{
	case "$1" in
	'init') echo '--custody --pin --passphrase-fd' ;;
	'custody change') echo '--custody --pin --passphrase-fd' ;;
	'unlock') echo '--passphrase-fd' ;;
	'level destroy' | 'volume destroy') echo '--yes --emergency' ;;
	'zeroize') echo '--all --yes --config --state' ;;
	'volume create') echo '--level --size --sector-size --cipher --force --sparse' ;;
	'volume list') echo '--level' ;;
	'volume key') echo '--out' ;;
	'certificate key') echo '--out' ;;
	'certificate verify') echo '--key' ;;
	'export') echo '--level --all --out --recipient --passphrase-fd --split' ;;
	'import') echo '--level --key --passphrase-fd --share --force' ;;
	'audit') echo '--verify --head --print-head' ;;
	esac
	echo '--admin-socket --json --help'
}

# The values of option $1; fails if it has none.
_keyadm_value()
{
	case "$1" in
	--level) _keyadm_levels ;;
	--custody) echo 'file passphrase tpm2 pkcs11' ;;
	--sector-size) echo '512 4096' ;;
	--cipher) echo 'aes-cbc-essiv:sha256 aes-xts-plain64' ;;
	--size | --out | --admin-socket | --passphrase-fd | --head | --key | --recipient | --split | --share | --config | --state) ;;
	*) return 1 ;;
	esac
}

_keyadm()
{
	local cur="${COMP_WORDS[COMP_CWORD]}" command='' i values
	for ((i = 1; i < COMP_CWORD; i++)); do
		case "${COMP_WORDS[i]}" in
		--level | --custody | --sector-size | --cipher | --size | --out | --admin-socket | --passphrase-fd | --head | --key | --recipient | --split | --share | --config | --state) ((i++)) ;;
		-*) ;;
		*) command+="${command:+ }${COMP_WORDS[i]}" ;;
		esac
	done
	if values="$(_keyadm_value "${COMP_WORDS[COMP_CWORD - 1]}")"; then
		mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
	elif [[ "$cur" == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_keyadm_options "$command")" -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -W "$(_keyadm_words "$command")" -- "$cur")
	fi
}

complete -o default -F _keyadm keyadm
