#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The toolstack's whole vocabulary on one boot: three guests at once, pause, balloon, vCPUs, reboot,
# shutdown, destroy; then create and destroy again and again without losing a page. Runs in the
# service domain, the same on both cores. $rounds: how often (50).
set -u
rounds=${rounds:-50}
dir=/guest
[ -e $dir/guest.cfg ] || dir=/usr/share/carrel/guest
logs=/var/log/xen/console
rm -f $logs/guest-*.log

fail() {
	echo "xl: FAILED: $*"
	tail -n 20 $logs/guest-*.log
	xl list
	xl dmesg | tail -n 20
	exit 1
}
# until_ok SECONDS WHAT COMMAND...: waits for the command to succeed.
until_ok() {
	limit=$1 what=$2 n=0
	shift 2
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		[ $n -lt "$limit" ] || fail "$what: not in $limit s"
		sleep 1
	done
	echo "xl: $what"
}
ready() { [ "$(grep -c GUEST-READY $logs/guest-$1.log)" -ge "${2:-1}" ]; }
state() { xl list "$1" | awk 'NR == 2 {print $5}'; }
memory() { xl list "$1" | awk 'NR == 2 {print $3}'; }
online() { xl vcpu-list "$1" | awk 'NR > 1 && $5 !~ /p/ {n++} END {print n + 0}'; }
is() { [ "$("$1" "$2")" = "$3" ]; }
gone() { ! xl list "$1"; }
free_pages() { xl info | awk '/^free_memory/ {print $3}'; }

for n in 1 2 3; do
	xl create $dir/guest.cfg "name=\"g$n\"" vcpus=$((n == 1 ? 2 : 1)) memory=96 \
		'extra="console=hvc0 quiet loglevel=4 rdinit=/init carrel.run=hotplug"' >/dev/null || fail "xl create g$n"
done
for n in 1 2 3; do until_ok 300 "g$n is up" ready g$n; done

xl pause g2 || fail "xl pause"
until_ok 10 "g2 is paused" sh -c "xl list g2 | grep -q -- '--p'"
xl unpause g2 || fail "xl unpause"
until_ok 30 "g2 runs on" sh -c "xl list g2 | grep -qv -- '--p'"

xl mem-set g1 80 || fail "xl mem-set"
until_ok 60 "g1 gave memory back" is memory g1 80
xl mem-set g1 96 || fail "xl mem-set"
until_ok 60 "g1 got it again" is memory g1 96

xl vcpu-set g1 1 || fail "xl vcpu-set"
until_ok 60 "g1 is on one vCPU" is online g1 1
xl vcpu-set --ignore-host g1 2 || fail "xl vcpu-set"
until_ok 60 "g1 is on two vCPUs" is online g1 2

xl reboot g3 || fail "xl reboot"
until_ok 300 "g3 came up again" ready g3 2
xl shutdown g3 || fail "xl shutdown"
until_ok 120 "g3 shut down" gone g3
xl destroy g1 && xl destroy g2 || fail "xl destroy"
until_ok 30 "g1 and g2 are gone" sh -c '! xl list g1 && ! xl list g2'

# The first round fills what is kept for good: xenstored's tables, the core's allocator.
xl create -p $dir/guest.cfg memory=96 >/dev/null && xl destroy guest || fail "create or destroy"
sleep 1
before=$(free_pages)
n=0
while [ $n -lt "$rounds" ]; do
	xl create -p $dir/guest.cfg memory=96 >/dev/null && xl destroy guest || fail "round $n"
	n=$((n + 1))
done
sleep 1
after=$(free_pages)
[ "$before" = "$after" ] || fail "free memory $before MiB before, $after MiB after $rounds rounds"
echo "xl: no memory lost in create and destroy rounds"
exit 0
