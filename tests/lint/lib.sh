# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the checks of the tree share. A check prints "FILE:LINE: what is wrong" and fails if it printed anything.

set -euo pipefail
cd "${BASH_SOURCE[0]%/*}/../.."

FOLDERS=(lib cgroup net storage ct vm cmd)

# c_files PATTERN...: the project's own sources of these names
c_files() {
	local args=() pattern
	for pattern; do
		args+=(-o -name "$pattern")
	done
	find "${FOLDERS[@]}" -type f \( "${args[@]:1}" \) | sort
}

# What this check needs to run. In CI everything is there.
need_program() {
	[ -n "$(type -P "$1")" ] && return
	echo "needs the program $1" >&2
	exit 77
}

# complain: pass on what comes in; fail if anything did.
complain() {
	local found
	found=$(cat)
	[ -z "$found" ] || { printf '%s\n' "$found" && exit 1; }
}
