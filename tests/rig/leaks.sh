#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A VM with a screen, sound, a disk and a network is started and taken down a hundred times, and the screen is switched two hundred
# times: the machine has as much memory, as many event channels, xenstore nodes, links and processes as before, and the programs of
# the desk and the manager as many files open and about as much memory. Runs in the service domain of the disk rig. $rounds: how many.
set -u
name=leaks
. /mnt/rig/screen.sh
rounds=${rounds:-100}

# What each process runs, a line each; the kernel's own run nothing.
programs() { for process in /proc/[0-9]*; do readlink "$process/exe"; done 2>/dev/null; }
gone() { [ "$(xl list | wc -l)" = 2 ] && ! systemctl is-active -q carrel-view@round carrel-sound@round; }
# What must be the same before and after, a word and a number a line.
count() {
	echo "free-MiB $(xl info | awk '/^free_memory/ {print $3}')"
	echo "event-channels $(/usr/lib/xen-4.20/bin/lsevtchn 0 | wc -l)"
	echo "xenstore-nodes $(xenstore-ls -f / | grep -c .)"
	echo "links $(ip -o link | wc -l)"
	echo "processes $(programs | wc -l)"
	echo "nft-rules $(nft list ruleset | wc -l)"
	for unit in carrel-desk carrel-switcher carreld; do echo "files-of-$unit $(ls "/proc/$(pid $unit)/fd" | wc -l)"; done
}
# KiB that the programs have.
memory() { for unit in carrel-desk carrel-switcher carreld; do awk -v u=$unit '/^RssAnon/ {print u, $2}' "/proc/$(pid $unit)/status"; done; }
# What the figures are made of, for whoever looks for a leak.
things() {
	xenstore-ls -f / | sed 's/ = .*//'
	programs | sed 's/^/process: /'
	for unit in carrel-desk carrel-switcher carreld; do ls -l "/proc/$(pid $unit)/fd" | sed "s/.* -> /$unit: /"; done
}
look() {
	count >/run/before
	memory >/run/memory
	things | sort >/run/things
}
# same MORE KIB: as at look(), but for so many more of each, and so much more memory of the programs.
same() {
	sleep 15
	journalctl -b | grep -E 'carrel-(view|sound).*code=killed' | tail -n 3 | grep . && fail "a back end did not end in order"
	count >/run/after
	paste -d' ' /run/before /run/after
	while read -r what before _ after; do
		case $what in
		free-MiB) [ "$after" -ge $((before - 1)) ] ;;
		*) [ "$after" -le $((before + $1)) ] ;;
		esac || { things | sort | diff /run/things -; ss -xnp; ps -ef; fail "$what: $before before, $after after"; }
	done < <(paste -d' ' /run/before /run/after)
	paste -d' ' /run/memory <(memory) | tee /run/programs
	while read -r what before _ after; do
		[ "$after" -le $((before + $2)) ] || fail "$what: $before KiB before, $after KiB after"
	done </run/programs
}
round() {
	carrelctl start round >/dev/null 2>&1 || fail "round $1: does not start"
	until live round; do sleep 0.2; done
	[ $(($1 % 4)) != 0 ] || rig key ctrl-alt-1
	carrelctl off round >/dev/null 2>&1 || fail "round $1: cannot be forced off"
	until gone; do sleep 0.2; done
}

until_ok 300 "the desk runs" systemctl is-active carrel-switcher
until_ok 120 "the manager answers" carrelctl list
define_guest round 64M none <<-END || fail "is not defined"
	[network eth0]
	mode=nat
	[display]
	screens=1
	[sound]
	play=true
END
# The first lives fill what is kept for good.
for n in 1 2 3 4; do round $n; done
sleep 15
look
for ((n = 1; n <= rounds; n++)); do
	round $n
	[ $((n % 10)) != 0 ] || echo "$name: $n rounds (${SECONDS} s)"
done
same 0 2048
echo "$name: nothing is left of $rounds rounds"

carrelctl start round >/dev/null 2>&1 || fail "does not start"
until_ok 60 "its view lives" live round
sleep 60 # until its guest has connected all its devices
look
for ((n = 1; n <= 2 * rounds; n++)); do
	rig key ctrl-alt-$((n % 2))
	[ $((n % 20)) -gt 1 ] || until_ok 10 "switch $n" shown "$([ $((n % 2)) = 0 ] || echo round)"
done
same 1 4096
echo "$name: nothing is left of $((2 * rounds)) switches"
exit 0
