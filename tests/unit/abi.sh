#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# abi.sh ROOT: docs/abi.md says what hv/xen/*.def say. abi.sh ROOT write: makes it so.
cd "$1" || exit 1

table() { # FILE: what is implemented, then what is refused, with the comment above it as the reason
	awk '
	function flush() {
		if (names != "")
			rows = rows "| " names " | -" err " | " why " |\n"
		names = ""
	}
	/^\/\* SPDX/ { next }
	/^\/\*/ && !seen { if ($0 !~ /\*\//) head = 1; seen = 1; next } # the first comment is about the file
	head { if ($0 ~ /\*\//) head = 0; next }
	/^\/\*/ {
		flush()
		why = $0
		sub(/^\/\* */, "", why)
		sub(/ *\*\/$/, "", why)
		next
	}
	/^[A-Z]+\(/ { # to the closing parenthesis, some lines below
		while ($0 !~ /\)$/ && (getline more) > 0)
			$0 = $0 more
		kind = $0
		sub(/\(.*/, "", kind)
		sub(/^[A-Z]+\(/, "")
		sub(/\)$/, "")
		n = split($0, list, /, */)
		for (i = kind == "REFUSED" ? 2 : 1; i <= n; i++) {
			if (kind == "REFUSED")
				names = names (names == "" ? "" : ", ") "`" list[i] "`"
			else
				done = done (done == "" ? "" : ", ") "`" list[i] "`" (kind == "NOTHING" ? " (does nothing)" : "")
		}
		if (kind == "REFUSED") {
			err = list[1]
			flush()
		}
	}
	END {
		flush()
		print "Implemented: " done ".\n"
		if (rows != "")
			printf "| refused | answer | why |\n|---|---|---|\n%s\n", rows
	}' "hv/xen/$1.def"
}

page() {
	cat <<-'END'
	# The Xen ABI that the core speaks

	Made from `hv/xen/*.def` by `tests/unit/abi.sh . write`; a test fails when they differ. The dispatch switches are made from the same
	files. What is in no list answers -ENOSYS. Interface versions: domctl 0x17, sysctl 0x15, platform 0x03000001; xen_version says 4.20.
	Hypercalls come from 64-bit mode at privilege level 0; others get -ENOSYS and -EPERM.

	## Hypercalls

	END
	table hypercalls
	echo "Without sub-operations, or with few: \`multicall\`, \`set_timer_op\`; \`vm_assist\` (runstate_update_flag, else -EINVAL);"
	echo "\`console_io\` (write and read, for the service domain)."
	echo
	while read -r file name who; do
		printf '## %s\n\n%s\n\n' "$name" "$who"
		table "$file"
	done <<-'END'
	memory_ops memory_op For oneself; on other domains for the service domain.
	event_ops event_channel_op For oneself; alloc_unbound, status and reset on other domains for the service domain.
	grant_ops grant_table_op For oneself; setup_table, query_size and get_version of other domains for the service domain.
	sched_ops sched_op For oneself; remote_shutdown for the service domain.
	vcpu_ops vcpu_op For one's own vCPUs.
	hvm_ops hvm_op For oneself; parameters of other domains for the service domain.
	version_ops xen_version For everyone; the command line for the service domain.
	physdev_ops physdev_op For the service domain; others get -ENOSYS.
	platform_ops platform_op For the service domain; others get -EPERM.
	sysctl_ops sysctl For the service domain; others get -EPERM.
	domctl_ops domctl For the service domain; others get -EPERM.
	END
}

if [ "$2" = write ]; then
	page >docs/abi.md
else
	page | diff docs/abi.md - || { echo "docs/abi.md is out of date: run tests/unit/abi.sh . write"; exit 1; }
fi
