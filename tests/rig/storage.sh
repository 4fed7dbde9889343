#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the small guests see of their VM files, on the whole laptop: a raw file and a block device by the kernel's back end, discard,
# the changes of a running VM's disk, an OVA out and in again, two VMs on a shared network, a cap; and one VM restarted, paused
# and suspended. Runs in the service domain of the disk rig.
set -u
name=storage
. /mnt/rig/common.sh
vms=/var/lib/carrel/vms

fail() {
	echo "storage: FAILED: $*"
	carrelctl list
	losetup -l
	ls -la $vms/*
	journalctl -u carreld --no-pager -n 20
	tail -n 8 $logs/guest-*.log
	exit 1
}
ready() { [ "$(grep -c GUEST-READY "$logs/guest-$1.log")" -gt "$2" ]; }
# start VM: and waits for its guest's shell.
start() {
	local n
	: >>"$logs/guest-$1.log"
	n=$(grep -c GUEST-READY "$logs/guest-$1.log")
	carrelctl start "$1" || fail "start $1"
	until_ok 200 "$1 is up" ready "$1" "$n"
}
# pattern WORD: 16 MiB of it.
pattern() { yes "$1" | head -c 16777216 | md5sum; }
write() { in_guest "$1" "yes $3 | dd of=/dev/$2 bs=64k count=256 iflag=fullblock conv=notrunc,fsync 2>/dev/null"; }
holds() { [ "$(dd if="$1" bs=1M count=16 2>/dev/null | md5sum)" = "$(pattern "$2")" ]; }
used() { du -k "$1" | cut -f1; }
smaller() { [ "$(used "$1")" -lt "$2" ]; }
address() { carrelctl show "$1" | awk '$1 == "eth0" {print $NF}'; }
# The lowest rank that the kernel's back end of the VM's disks has.
back_end_nice() { cat /proc/[0-9]*/stat 2>/dev/null | awk -v n="($(xl domid "$1").xvd" 'index($2, n) == 1 {print $19}' | sort -n | tail -n 1; }
ranked() { [ "$(back_end_nice "$1")" = "$2" ]; }
# The control group of these threads, and what it allows: one line when all disks have the same.
group() { echo "/sys/fs/cgroup/system.slice/carreld.service/domain-$(xl domid "$1")"; }
limits() { cut -d' ' -f2- "$(group "$1")/io.max" | sort -u; }
in_group() {
	local pid
	for pid in $(cat /proc/[0-9]*/stat 2>/dev/null | awk -v n="($(xl domid "$1").xvd" 'index($2, n) == 1 {print $1}'); do
		grep -qx "$pid" "$(group "$1")/cgroup.procs" || return
	done
}
# slow VM DISK: its 8 MiB take three seconds at least.
slow() {
	local start=$SECONDS
	in_guest "$1" "dd if=/dev/zero of=/dev/$2 bs=1M count=8 conv=notrunc,fsync 2>/dev/null" && [ $((SECONDS - start)) -ge 3 ]
}
state() { carrelctl show "$1" | awk '$1 == "State" {print $2}'; }
cpu_seconds() { xl list "$1" | awk 'NR == 2 {print $6}'; }
# uses VM AT-LEAST AT-MOST: percent of one CPU in the next ten seconds.
uses() {
	local used start
	used=$(cpu_seconds "$1") start=$(cut -d' ' -f1 /proc/uptime)
	sleep 10
	awk -v a="$used" -v b="$(cpu_seconds "$1")" -v t="$start" -v u="$(cut -d' ' -f1 /proc/uptime)" -v least="$2" -v most="$3" 'BEGIN {
		p = 100 * (b - a) / (u - t)
		printf "%d percent\n", p
		exit !(p >= least && p <= most)}'
}

no_desk
systemctl start carreld
until_ok 60 "the manager answers" carrelctl list
truncate -s 32M /root/block && block=$(losetup -f --show /root/block) || fail "no block device"
define_guest plain 64M none <<-END || fail "plain is not defined"
	[disk xvdb]
	file=xvdb.raw
	format=raw
	[disk xvdc]
	file=$block
END
carrelctl start plain && fail "it starts without its raw image"
truncate -s 32M $vms/plain/xvdb.raw
start plain
for disk in xvdb xvdc; do write plain $disk "on-$disk" || fail "plain cannot write $disk"; done
carrelctl snapshot plain no && fail "there is a snapshot of a raw disk"
carrelctl off plain || fail "off plain"
holds $vms/plain/xvdb.raw on-xvdb || fail "the raw file does not hold what was written"
holds "$block" on-xvdc || fail "the block device does not hold what was written"
[ "$(losetup -l | grep -c xvdb.raw)" = 0 ] || fail "its loop device is left"
start plain
before=$(used $vms/plain/xvdb.raw)
in_guest plain blkdiscard /dev/xvdb || fail "plain cannot discard"
until_ok 60 "what was discarded of a raw file is free again" smaller $vms/plain/xvdb.raw $((before - 15000))
carrelctl shutdown plain || fail "shutdown plain"

define_guest thin 64M none </dev/null || fail "thin is not defined"
carrelctl set thin "disk xvda" track-changes true || fail "set track-changes"
start thin
mark=$(carrelctl changes mark thin xvda) || fail "no mark"
[ -z "$(carrelctl changes list thin xvda "$mark")" ] || fail "changes before any"
write thin xvda first || fail "thin cannot write"
changed() { carrelctl changes list thin xvda "$1" | awk '{n += $2} END {print n + 0}'; }
[ "$(changed "$mark")" = 16777216 ] || fail "16 MiB were written, $(changed "$mark") bytes changed"
later=$(carrelctl changes mark thin xvda) || fail "no second mark"
in_guest thin "dd if=/dev/urandom of=/dev/xvda bs=64k count=2 seek=300 conv=notrunc,fsync 2>/dev/null" || fail "thin cannot write"
[ "$(changed "$later")" = 131072 ] || fail "128 KiB were written, $(changed "$later") bytes changed"
carrelctl off thin || fail "off thin"
[ "$(changed "$later")" = 131072 ] || fail "off, it does not know its changes any more"
start thin
before=$(used $vms/thin/xvda.qcow2)
in_guest thin "dd if=/dev/xvda bs=1M count=16 2>/dev/null | md5sum | grep -q $(pattern first | cut -c1-32)" || fail "thin lost what it wrote"

# One VM, without the machine.
n=$(grep -c GUEST-READY $logs/guest-thin.log)
carrelctl reboot thin || fail "reboot"
until_ok 200 "thin is up after its restart" ready thin "$n"
carrelctl pause thin || fail "pause"
[ "$(state thin)" = paused ] || fail "it is $(state thin)"
carrelctl unpause thin || fail "unpause"
carrelctl suspend thin || fail "suspend"
[ "$(state thin)" = suspended ] || fail "it is $(state thin)"
carrelctl resume thin || fail "resume"
in_guest thin "echo awake | dd of=/dev/xvda bs=512 seek=70000 conv=notrunc,fsync 2>/dev/null" || fail "thin cannot write after its sleep"

in_guest thin '(while :; do :; done) & :' || fail "thin does not compute"
until_ok 60 "thin uses a CPU" uses thin 40 100
carrelctl set thin policy cap 20 || fail "set cap"
sleep 1
uses thin 15 22 || fail "it does not use what its cap allows"
carrelctl set thin policy cap 0 || fail "set cap"
until_ok 60 "thin uses a CPU again" uses thin 40 100
in_guest thin 'kill %1' || fail "thin computes on"

in_guest thin blkdiscard -l 8388608 /dev/xvda || fail "thin cannot discard"
until_ok 60 "what was discarded of an image is free again" smaller $vms/thin/xvda.qcow2 $((before - 8000))
write thin xvda second || fail "thin cannot write what it discarded"
start plain
carrelctl foreground thin || fail "foreground"
until_ok 60 "the kernel's back end of the one in the background comes last" ranked plain 13
[ "$(limits plain)" = 'rbps=104857600 wbps=104857600 riops=2000 wiops=2000' ] || fail "it has no limits: $(limits plain)"
in_group plain || fail "its threads are not in the group with the limits"
for device in $(cut -d' ' -f1 "$(group plain)/io.max"); do echo "$device wbps=2097152" >"$(group plain)/io.max"; done
for disk in xvdb xvdc; do slow plain $disk || fail "what a guest writes to $disk in the background is not held back"; done
kill -9 "$(systemctl show -p MainPID --value carreld)"
until_ok 60 "the manager answers after it was killed" carrelctl list
carrelctl foreground plain || fail "foreground"
until_ok 60 "and first on screen" ranked plain 0
[ -z "$(limits plain)" ] || fail "it keeps limits on screen: $(limits plain)"
carrelctl foreground --none && carrelctl shutdown plain thin || fail "shutdown"

carrelctl export thin /root/thin.ova || fail "export"
carrelctl import again /root/thin.ova --memory-max 128M || fail "import"
rm /root/thin.ova
for key in kernel=/boot/vmlinuz ramdisk=/guest/initramfs "cmdline=console=hvc0 quiet rdinit=/init"; do
	carrelctl set again machine "${key%%=*}" "${key#*=}" || fail "set ${key%%=*}"
done
start again
in_guest again "dd if=/dev/xvda bs=1M count=16 2>/dev/null | md5sum | grep -q $(pattern second | cut -c1-32)" || fail "the OVA lost what was written"
carrelctl off again || fail "off again"

for vm in one two; do
	define_guest $vm 16M none <<-END || fail "$vm is not defined"
		[network eth0]
		mode=shared
		network=team
	END
	start $vm
	in_guest $vm "ip addr flush dev eth0; ip addr add $(address $vm)/24 dev eth0" || fail "$vm has no address"
done
in_guest one "ping -c 3 -W 5 $(address two)" || fail "they do not reach each other on their shared network"
in_guest one "ip addr flush dev eth0; ip addr add $(address two | sed 's/[0-9]*$/99/')/24 dev eth0"
in_guest one "ping -c 3 -W 2 $(address two)" && fail "another's address gets through"
carrelctl off one two || fail "off"
for vm in plain thin again one two; do carrelctl delete --yes $vm || fail "delete $vm"; done
[ -z "$(ls $vms | grep -vx debian)" ] || fail "left over: $(ls $vms)"
ip -o link | grep -E 'cr-|vif-' && fail "links are left"
[ -z "$(find /sys/fs/cgroup/system.slice/carreld.service -name 'domain-*')" ] || fail "a control group is left"
losetup -d "$block" && rm /root/block
[ -z "$(losetup -a)" ] || fail "loop devices are left"
exit 0
