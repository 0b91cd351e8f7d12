#!/usr/bin/env bats
# shellcheck disable=SC2154 # `status`, `output` are bats's
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Limits of the whole host: raised for MAX_CONTAINERS, never lowered, put back by teardown.

load lib

AIO=/proc/sys/fs/aio-max-nr

setup_file() {
	export BATS_NO_PARALLELIZE_WITHIN_FILE=true
	BEFORE=$(<"$AIO")
	# More than is there, whatever other daemons have set.
	CONTAINERS=$((BEFORE / 4096 + 10))
	WANTED=$((65536 + CONTAINERS * 4096))
	export BEFORE CONTAINERS WANTED
	host_up "MAX_CONTAINERS=\"$CONTAINERS\""
	cp /run/lodge-sysctls "$BATS_FILE_TMPDIR/sysctls"
}

# Beside other daemons the values are theirs to put back.
teardown_file() {
	host_down
	[ "${LG_SHARED_HOST:-0}" != 1 ] || return 0
	local name old new
	while read -r name old new; do
		is "$(<"/proc/sys/${name//.//}")" "$old" "$name after teardown, $new before"
	done <"$BATS_FILE_TMPDIR/sysctls"
	[ ! -e /run/lodge-sysctls ]
}

doctor_says() {
	lodge doctor | tr -s ' \n' ' ' | grep -qE "$1"
}

@test "what is too low is raised, and remembered" {
	is "$(<"$AIO")" "$WANTED" "fs.aio-max-nr"
	grep -qE "^fs.aio-max-nr [0-9]+ $WANTED\$" /run/lodge-sysctls
	doctor_says "ok host limits enough for $CONTAINERS containers"
}

@test "another start raises nothing more, and remembers the first values" {
	is "$(lodged_down)" 0 "lodged's exit status"
	sed -i "s/^MAX_CONTAINERS=.*/MAX_CONTAINERS=\"1\"/" "$LG_ETC/lodge.conf"
	lodged_up
	is "$(<"$AIO")" "$WANTED" "fs.aio-max-nr with fewer containers"
	is "$(grep fs.aio-max-nr /run/lodge-sysctls)" "$(grep fs.aio-max-nr "$BATS_FILE_TMPDIR/sysctls")" "its line"
}

@test "SYSCTLS=no touches nothing, and doctor says what is low" {
	is "$(lodged_down)" 0 "lodged's exit status"
	sed -i "s/^MAX_CONTAINERS=.*/MAX_CONTAINERS=\"$((CONTAINERS + 100))\"/" "$LG_ETC/lodge.conf"
	echo 'SYSCTLS="no"' >>"$LG_ETC/lodge.conf"
	lodged_up
	is "$(<"$AIO")" "$WANTED" "fs.aio-max-nr"
	doctor_says "fs.aio-max-nr is $WANTED, $((CONTAINERS + 100)) containers want .* SYSCTLS is \"no\""
}

@test "a container has 1024 terminals and no more" {
	ct 101
	# shellcheck disable=SC2016 # for the shell inside
	run -0 in_ct 101 grep ' /dev/pts ' /proc/mounts
	like "$output" 'max=1024' "options of its devpts"
}

@test "words that are none are refused with one line" {
	local conf=$LG_ETC/lodge.conf line
	is "$(lodged_down)" 0 "lodged's exit status"
	cp "$conf" "$BATS_TEST_TMPDIR/conf"
	for line in 'MAX_CONTAINERS="many"' 'SYSCTLS="perhaps"'; do
		echo "$line" >"$conf"
		refused 21 "${line%%=*}" timeout 10 "$LG_LODGED" --root "$LODGE_ROOT"
	done
	cp "$BATS_TEST_TMPDIR/conf" "$conf"
	lodged_up
}
