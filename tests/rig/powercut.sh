#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One boot between two power cuts ('carrel rig --cuts N --script tests/rig/powercut.sh'): a guest writes numbered, summed, flushed
# records to its disk while snapshots, clones and reverts go on, until the rig kills the machine. After the next boot each record
# that the rig heard of is there, no image is damaged, nothing is half made. The VMs are on a disk of their own that outlives the cuts.
# With --dom0-cmdline carrel.encrypted the VM is encrypted, and has no clones.
set -u
. /mnt/rig/common.sh
log=/var/log/xen/console/guest-cut.log
dir=/var/lib/carrel/vms/cut
grep -qw carrel.encrypted /proc/cmdline && encrypted=yes || encrypted=

fail() {
	echo "powercut: FAILED: $*"
	carrelctl list
	ls -la $dir /var/lib/carrel/vms /etc/carrel/vms
	cat $dir/snapshots.ini
	journalctl -u carreld --no-pager -n 20
	tail -n 5 $log /var/log/xen/qemu-dm-cut.log
	exit 1
}
# with COMMAND…: carrelctl's, which reads the passphrase.
with() { carrelctl "$@" ${encrypted:+--passphrase-fd 3} 3<<<'correct horse'; }
# Nothing is being merged.
settled() {
	local image
	[ -z "$(find "$dir" -name '*.new')" ] || return 1
	for image in "$dir"/*.qcow2 "$dir"/*.snap; do [ ! -e "$image" ] || qemu-img info "$image" || return 1; done
}
# carreld merges what deletions left as soon as it is unlocked, and an image that it writes cannot be looked at.
unlock() {
	[ -n "$encrypted" ] || return 0
	with unlock cut || fail "cannot be unlocked"
	sleep 1
	in_time 120 settled || fail "its images are in use"
}
lock() { [ -z "$encrypted" ] || carrelctl lock cut || fail "cannot be locked"; }
define() {
	if [ -z "$encrypted" ]; then
		define_guest cut 64M records </dev/null
	else
		define_guest tiny 64M records </dev/null && carrelctl set tiny vm template true && with new cut --from tiny
	fi || fail "is not defined"
}
checked() { sed -n 's/.*GUEST-RECORDS good=\([0-9]*\).*/\1/p' $log | sed -n "$1p"; }
has_checked() { [ -n "$(checked "$1")" ]; }
# start N: the VM, for the N-th time since this boot; all records up to $acked are there.
start() {
	with start cut || fail "does not start"
	in_time 200 has_checked "$1" || fail "its guest does not come up"
	[ "$(checked "$1")" -ge "$acked" ] || fail "record $acked was flushed, good are only those up to $(checked "$1")"
	echo "powercut: $(checked "$1") records are good, $acked were told of"
}
# The images that something needs into $kept: the live one, those that the list names, and what they stand on.
find_kept() {
	local id image chain tops=("$dir/xvda.qcow2")
	for id in $(sed -n 's/^\[\([0-9]*\)\]$/\1/p' $dir/snapshots.ini 2>/dev/null); do tops+=("$dir/xvda.qcow2.$id.snap"); done
	kept=()
	for image in "${tops[@]}"; do
		chain=$(qemu-img info --backing-chain "$image") || fail "$image: it, or what it stands on, is not there"
		mapfile -t -O ${#kept[@]} kept < <(sed -n 's/^image: //p' <<<"$chain")
	done
}
# Layers that nothing needs, of which a cut may leave some for the next deletion, or for when the VM is off.
spare() {
	local image layer
	find_kept
	for image in "$dir"/*.snap; do
		for layer in "${kept[@]}"; do [ ! "$image" -ef "$layer" ] || continue 2; done
		[ ! -e "$image" ] || echo "$image"
	done
}
tidied() { [ -z "$(spare)" ]; }
check_files() {
	local image left_over
	left_over=$(find /var/lib/carrel /etc/carrel \( -name '*.new' -o -name '*.journal' -o -name '*.*.??????' ! -name '*.snap' \))
	[ -z "$left_over" ] || fail "left over: $left_over"
	find_kept
	for image in "${kept[@]}" /var/lib/carrel/vms/copy/*.qcow2; do
		[ ! -e "$image" ] || qemu-img check -q -f qcow2 "$image" >/tmp/check 2>&1 || [ $? = 3 ] || fail "$image: $(head -n 3 /tmp/check)"
	done
	# A clone is whole or not there.
	if [ -e /etc/carrel/vms/copy.vm ]; then
		qemu-img info --backing-chain /var/lib/carrel/vms/copy/xvda.qcow2 >/dev/null || fail "half a clone"
		carrelctl delete copy --yes || fail "the clone cannot be deleted"
	else
		[ ! -e /var/lib/carrel/vms/copy ] || fail "half a clone: $(ls /var/lib/carrel/vms/copy)"
	fi
}

for disk in /sys/block/*; do
	[ "$(cat "$disk/serial" 2>/dev/null)" = carreldata ] && data=/dev/${disk##*/}
done
[ -n "${data:-}" ] || fail "no disk for the VMs: run this by 'carrel rig --cuts N'"
no_desk
systemctl stop carreld
# The rig saves the machine here: each boot but the first goes on from this line.
echo @cut >"$CARREL_CHANNEL"
read -r _ acked left <"$CARREL_CHANNEL"
blockdev --flushbufs "$data" # what was read of it before the last cut
mkdir -p /mnt/data /etc/carrel && mount "$data" /mnt/data && mkdir -p /mnt/data/lib /mnt/data/etc || fail "$data is not mounted"
mount --bind /mnt/data/lib /var/lib/carrel && mount --bind /mnt/data/etc /etc/carrel || fail "the VMs' disk is not mounted"
systemctl start carreld
in_time 60 carrelctl list || fail "carreld does not answer"
if carrelctl show cut >/dev/null 2>&1; then unlock && check_files && lock; else define; fi
: >>$log
start 1
if [ "$left" = 0 ]; then
	carrelctl off cut || fail "cannot be forced off"
	unlock
	in_time 120 tidied || fail "layers that nothing needs stay: $(spare)"
	check_files
	lock
	systemctl stop carreld
	exit 0
fi

# tell LINE: the records from that line of the guest's console on.
tell() { tail -n "$1" -F $log 2>/dev/null | sed -u -n 's/.*GUEST-RECORD \([0-9]*\).*/CARREL-CUT-ACK \1/p' & }
echo CARREL-CUT-ARMED
tell +1
life=1 n=0
carrelctl --json snapshots cut | grep -o '"name" *: *"[^"]*"' | cut -d'"' -f4 >/tmp/old # those that clones stood on, too
while read -r name; do carrelctl snapshot-delete cut "$name" || fail "snapshot $name cannot be deleted"; done </tmp/old
while :; do
	n=$((n + 1))
	known=$(last_record cut)
	carrelctl snapshot cut s$n || fail "snapshot s$n"
	sleep $((RANDOM % 3))
	if [ $((n % 3)) = 0 ]; then
		carrelctl off cut || fail "cannot be forced off"
		sleep 2
		kill $! # none of before is told after this
		echo "CARREL-CUT-REVERT ${known:-0}"
		acked=${known:-0}
		unlock
		carrelctl revert --yes cut s$n || fail "revert to s$n"
		if [ -z "$encrypted" ]; then
			carrelctl clone cut copy || fail "clone"
			carrelctl delete copy --yes || fail "the clone cannot be deleted"
		fi
		life=$((life + 1))
		tell 0
		start $life
	elif [ $n -gt 1 ]; then
		carrelctl snapshot-delete cut s$((n - 1)) || fail "snapshot s$((n - 1)) cannot be deleted"
	fi
done
