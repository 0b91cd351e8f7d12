# Bash completion for lodge. The command itself knows what may stand where.
# SPDX-License-Identifier: GPL-2.0-or-later

_lodge()
{
	local IFS=$'\n' line
	local words=("${COMP_WORDS[@]:1:COMP_CWORD}")

	COMPREPLY=()
	for line in $("${COMP_WORDS[0]}" __complete -- "${words[@]}" 2>/dev/null); do
		if [ "$line" = '!file' ]; then
			compopt -o default
		else
			COMPREPLY+=("${line%%$'\t'*}")
		fi
	done
}
complete -F _lodge lodge
