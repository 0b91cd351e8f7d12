# SPDX-License-Identifier: GPL-2.0-or-later
#
# The lines of bench/surface.c, each behind the name of its system, as Markdown. The first of `systems` is the host.

function row(title, values,   i, line, value) {
	split(values, value, "|")
	line = "| " title " |"
	for (i = 1; i <= count; i++)
		line = line " " value[i] " |"
	print line
}

function head(title,   i, names, rule) {
	rule = "|---|"
	for (i = 1; i <= count; i++) {
		names = names (i > 1 ? "|" : "") (i == 1 ? "host" : system_of[i])
		rule = rule "---:|"
	}
	row(title, names)
	print rule
}

# One value for every system: counter[system, key]
function numbers(title, key,   i, values) {
	for (i = 1; i <= count; i++)
		values = values (i > 1 ? "|" : "") (counter[system_of[i], key] + 0)
	row(title, values)
}

function texts(title, key,   i, values) {
	for (i = 1; i <= count; i++)
		values = values (i > 1 ? "|" : "") text[system_of[i], key]
	row(title, values)
}

function bits(hex,   i, n) {
	n = 0
	for (i = 1; i <= length(hex); i++)
		n += ones[substr(hex, i, 1)]
	return n
}

function refused(answer) {
	return answer == "EPERM" || answer == "ENOSYS" || answer == "EACCES" || answer == "killed"
}

# Folders two levels deep stand for the files below them.
function folder(path,   part, n) {
	n = split(path, part, "/")
	if (n > 4)
		gsub(/[0-9]+/, "*", part[4])
	return "/" part[2] "/" part[3] (n > 4 ? "/" part[4] : "")
}

# Items of a space-separated list by name, wrapped.
function listing(title, items,   n, i, item, line) {
	n = split(items, item, " ")
	printf("\n%s (%d):\n\n", title, n)
	if (n == 0) {
		print "> none"
		return
	}
	line = ">"
	for (i = 1; i <= n; i++) {
		if (length(line) + length(item[i]) > 104) {
			print line
			line = ">"
		}
		line = line " `" item[i] "`" (i < n ? "," : "")
	}
	print line
}

BEGIN {
	count = split(systems, system_of, " ")
	host = system_of[1]
	split("1 1 2 1 2 2 3 1 2 2 3 2 3 3 4", set, " ")
	for (i = 1; i <= 15; i++)
		ones[substr("123456789abcdef", i, 1)] = set[i]
}

{ who = $1; kind = $2; name = $3; answer = $4 }

kind == "status" { text[who, name] = answer }

kind == "namespace" {
	inode[who, name] = answer
	if (who == host)
		namespaces[++spaces] = name
}

kind == "call" || kind == "other" || kind == "asked" || kind == "power" {
	got[who, kind, name] = answer
	counter[who, kind, "all"]++
	if (who == host)
		names[kind, ++known[kind]] = name
}

kind == "call" || kind == "other" { counter[who, kind] += answer == "through" }

kind == "power" { counter[who, kind] += !refused(answer) }

kind == "writable" {
	base = name ~ /^\/proc/ ? "proc" : "sys"
	counter[who, base answer]++
	if (answer == "host" && who != host) {
		place = folder(name)
		if (!((who, place) in places))
			folders[who] = folders[who] " " place
		places[who, place]++
	}
}

kind == "readable" {
	counter[who, kind]++
	got[who, kind, name] = "yes"
	if (!(name in secret)) {
		secret[name] = 1
		names[kind, ++known[kind]] = name
	}
}

kind == "device" {
	counter[who, kind]++
	devices[who] = devices[who] " " name
}

END {
	head("")
	for (i = 1; i <= count; i++) {
		who = system_of[i]
		shared = ""
		for (j = 1; j <= spaces; j++)
			if (inode[who, namespaces[j]] == inode[host, namespaces[j]])
				shared = shared (shared ? " " : "") namespaces[j]
		text[who, "shared"] = who == host ? "all" : shared ? shared : "none"
		text[who, "filter"] = text[who, "Seccomp"] == 2 ? "yes" : "no"
		text[who, "uid"] = text[who, "root"] == 0 ? "the host's" : "one of its own"
		counter[who, "caps"] = bits(text[who, "CapEff"])
		counter[who, "hostcaps"] = text[who, "root"] == 0 ? bits(text[who, "CapEff"]) : 0
	}
	texts("root's user id", "uid")
	texts("namespaces shared with the host", "shared")
	numbers("capabilities", "caps")
	numbers("of them over the host", "hostcaps")
	texts("system call filter", "filter")
	numbers("of " known["call"] " system calls get past the filter", "call")
	if (known["other"])
		numbers("of " known["other"] " 32-bit ones", "other")
	numbers("of " known["power"] " calls of the host's administrator are not refused", "power")
	numbers("files of the host in /proc that open for writing", "prochost")
	numbers("files of the host in /sys that open for writing", "syshost")
	numbers("files of own namespaces that open for writing", "procown")
	numbers("of the kernel's internals, readable", "readable")
	if (counter[host, "device"])
		numbers("devices that open", "device")
	else {
		text[host, "devices"] = "not tried"
		for (i = 2; i <= count; i++)
			text[system_of[i], "devices"] = counter[system_of[i], "device"] + 0
		texts("devices that open", "devices")
	}

	print "\nCalls of the host's administrator, with arguments that do no harm; what the kernel answered:\n"
	head("call")
	for (j = 1; j <= known["power"]; j++) {
		for (i = 1; i <= count; i++) {
			answer = got[system_of[i], "power", names["power", j]]
			text[system_of[i], "answer"] = refused(answer) ? answer : "**" answer "**"
		}
		texts("`" names["power", j] "`", "answer")
	}

	print "\nArguments that filters look at:\n"
	head("call")
	for (j = 1; j <= known["asked"]; j++) {
		for (i = 1; i <= count; i++)
			text[system_of[i], "answer"] = got[system_of[i], "asked", names["asked", j]]
		texts("`" names["asked", j] "`", "answer")
	}

	print "\nWhat can be read of the kernel's internals:\n"
	head("file")
	for (j = 1; j <= known["readable"]; j++) {
		for (i = 1; i <= count; i++)
			text[system_of[i], "answer"] = got[system_of[i], "readable", names["readable", j]] == "yes" ? "yes" : "-"
		texts("`" names["readable", j] "`", "answer")
	}

	ours = ""
	for (j = 1; j <= known["call"]; j++)
		if (got["lodge", "call", names["call", j]] != "through")
			ours = ours " " names["call", j]
	listing("System calls that lodge's filter refuses", ours)
	for (i = 2; i <= count; i++) {
		who = system_of[i]
		if (who == "lodge")
			continue
		more = less = ""
		for (j = 1; j <= known["call"]; j++) {
			name = names["call", j]
			mine = got["lodge", "call", name] == "through"
			theirs = got[who, "call", name] == "through"
			if (theirs && !mine)
				more = more " " name
			if (mine && !theirs)
				less = less " " name
		}
		if (text[who, "filter"] == "no")
			printf("\n%s has no filter by default.\n", who)
		else if ((more "|" less) in same)
			printf("\nThe filter of %s is that of %s.\n", who, same[more "|" less])
		else {
			same[more "|" less] = who
			listing("Refused by lodge's filter, let through by that of " who, more)
			listing("Refused by the filter of " who ", let through by lodge's", less)
		}
	}
	for (i = 2; i <= count; i++) {
		who = system_of[i]
		if (!folders[who])
			continue
		n = split(folders[who], item, " ")
		items = ""
		for (j = 1; j <= n; j++)
			items = items " " item[j] ":" places[who, item[j]]
		listing("Folders with files of the host that " who " opens for writing, and how many", items)
	}
	for (i = 2; i <= count; i++)
		listing("Devices that open in " system_of[i], devices[system_of[i]])
}
