#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# carreld, xenconsoled, dnsmasq and the disk back end (the VM's QEMU) are killed in the middle of a start, a stop and a snapshot.
# Whatever came of the job: nothing may be left over (domain, back end, bridge, loop device, lock, half-written file, memory),
# and the next start works. Runs in the service domain of the disk rig. $victims, $phases: which of them.
set -u
. /mnt/rig/common.sh
victims=${victims:-carreld xenconsoled dnsmasq qemu}
phases=${phases:-start stop snapshot}
log=/var/log/xen/console/guest-victim.log
dir=/var/lib/carrel/vms/victim
round=preparing failures=0

fail() {
	echo "kill: FAILED: $round: $*"
	failures=$((failures + 1))
	carrelctl list
	carrelctl jobs
	xl list
	ls -la $dir /run/carrel/vms
	journalctl -u carreld --no-pager -n 20
	tail -n 5 $log
	tail -n 8 /var/log/xen/qemu-dm-victim.log
}
give_up() {
	fail "$@"
	exit 1
}
state() { carrelctl --json show victim | sed -n 's/.*"state" *: *"\([a-z]*\)".*/\1/p' | head -n 1; }
is() { [ "$(state)" = "$1" ]; }
settled() { case $(state) in off | running | crashed) ;; *) return 1 ;; esac; }
came_up() { [ "$(grep -c GUEST-READY $log)" -gt "$1" ]; }
domain() { xl domid victim 2>/dev/null; }
console_known() { [ "$(console_of victim)" = "$(xenstore-read "/local/domain/$(domain)/console/tty")" ]; }
pid_of() {
	case $1 in
	carreld) systemctl show -P MainPID carreld | grep -vx 0 ;;
	xenconsoled) pgrep -x xenconsoled ;;
	dnsmasq) pgrep -x dnsmasq ;;
	qemu) pgrep -f "qemu-system-[^ ]* .*-xen-domid $(domain) " ;;
	esac
}

# What must be gone when the VM is off; prints what is not.
left_over() {
	xl list | awk 'NR > 1 && $1 != "Domain-0" {print "domain " $0}'
	ip -o link | awk -F': ' '$2 ~ /^(cr-|vif|ifb)/ {print "link " $2}'
	losetup -a | sed 's/^/loop device /'
	pgrep -af qemu-system | sed 's/^/process /'
	find /var/lib/carrel /etc/carrel /run/carrel \( -name '*.new' -o -name '*.journal' -o -name '*.*.??????' ! -name '*.snap' \) | sed 's/^/file /'
	find /run/carrel/vms -mindepth 1 | sed 's/^/state /'
	find /run/xen -name '*libxl*' | sed 's/^/socket /'
	flock -n $dir true || echo "lock on $dir"
	[ ! -e /var/lock/xl ] || flock -n /var/lock/xl true || echo "lock of xl"
	command -v xenstore-ls >/dev/null &&
		xenstore-ls -f /local/domain/0/backend 2>/dev/null | awk -F/ 'NF > 6 {print "xenstore " $0; exit}'
	nft list ruleset 2>/dev/null | grep -Em 3 'vif-[0-9a-f]{4}' | sed 's/^/rule /'
}
clean() { [ -z "$(left_over)" ]; }
images_sound() {
	local image
	for image in "$dir"/*.qcow2 "$dir"/*.snap; do
		[ ! -e "$image" ] || qemu-img check -q -f qcow2 "$image" >/tmp/check 2>&1 || [ $? = 3 ] ||
			{ fail "$image: $(head -n 3 /tmp/check)"; return; }
	done
}
# Each layer is in the list, and each line of the list has its layer.
snapshots_whole() {
	local id
	for id in $(sed -n 's/^\[\([0-9]*\)\]$/\1/p' $dir/snapshots.ini 2>/dev/null); do
		[ -e "$dir/xvda.qcow2.$id.snap" ] || fail "snapshot $id is listed, its layer is not there"
	done
	for layer in "$dir"/*.snap; do
		[ -e "$layer" ] || continue
		id=${layer%.snap} id=${id##*.}
		grep -qx "\[$id\]" $dir/snapshots.ini || fail "$layer: half a snapshot"
	done
}
ensure_off() {
	in_time 60 carrelctl list || give_up "carreld does not answer"
	in_time 150 settled || fail "the VM stays in state $(state)"
	is off || carrelctl off victim || fail "cannot be forced off"
	in_time 60 is off || give_up "is $(state), not off"
	in_time 40 clean || fail "left over: $(left_over)"
	images_sound
	snapshots_whole
}
ensure_running() {
	local before
	is running && return
	before=$(grep -c GUEST-READY $log)
	carrelctl start victim || give_up "does not start again"
	in_time 200 came_up "$before" || give_up "its guest does not come up again"
}

# In the middle of what: waits for it, and for what is to be killed where that is not there yet ($pid is empty), and kills.
middle() {
	local end=$((SECONDS + 60))
	case $2 in
	start) until [ -n "$(domain)" ] || [ $SECONDS -gt $end ]; do :; done ;;
	stop) until grep -qs '^phase=stopping' /run/carrel/vms/victim.run || [ $SECONDS -gt $end ] || ! kill -0 "$job" 2>/dev/null; do :; done ;;
	snapshot) until [ -e $dir/snapshots.journal ] || [ $SECONDS -gt $end ] || ! kill -0 "$job" 2>/dev/null; do :; done ;;
	esac
	until [ -n "$pid" ] || pid=$(pid_of "$1") || [ $SECONDS -gt $end ] || ! kill -0 "$job" 2>/dev/null; do :; done
	kill -9 $pid 2>/dev/null && echo "kill: $round: killed $1 ($(echo $pid))" || fail "$1 was not there any more"
}

one_round() {
	local victim=$1 phase=$2 n
	round="$victim in a $phase"
	case $phase in
	start) ensure_off && job_words=(start victim) ;;
	stop) ensure_running && job_words=(shutdown victim --timeout 60) ;;
	snapshot) ensure_running && job_words=(snapshot victim "$victim") ;;
	esac
	[ $phase = start ] && pid='' || pid=$(pid_of "$victim")
	timeout 180 carrelctl "${job_words[@]}" >/tmp/job 2>&1 &
	job=$!
	middle "$victim" "$phase"
	wait $job
	echo "kill: $round: the job ended with status $?: $(tail -n 1 /tmp/job)"
	in_time 60 carrelctl list || give_up "carreld does not answer"
	in_time 60 pid_of xenconsoled || give_up "xenconsoled is not back"
	in_time 150 settled || fail "the VM stays in state $(state)"
	[ "$phase-$victim" = snapshot-qemu ] || [ $phase != snapshot ] || is running || fail "the VM is $(state) after a snapshot"
	! is running || in_time 20 console_known || fail "its console is not $(console_of victim)"
	ensure_off
	ensure_running
	[ -n "$(pid_of dnsmasq)" ] || fail "no dnsmasq for a VM that runs"
	echo "kill: $round: clean, and it starts again"
}

no_desk
systemctl start carreld
in_time 60 carrelctl list || give_up "carreld does not answer"
define_guest victim 256M records <<-END || give_up "is not defined"
	[network eth0]
	mode=nat
END
: >>$log
# The first life fills what is kept for good.
ensure_running
ensure_off
free=$(xl info | awk '/^free_memory/ {print $3}')
for phase in $phases; do
	for victim in $victims; do one_round "$victim" "$phase"; done
done
round=end
ensure_off
sleep 2
now=$(xl info | awk '/^free_memory/ {print $3}')
[ "$now" -ge $((free - 1)) ] || fail "$free MiB were free before, $now MiB are after"
[ $failures = 0 ] && echo "kill: all is clean" || echo "kill: $failures failures"
exit $((failures > 0))
