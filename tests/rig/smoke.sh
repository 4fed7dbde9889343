#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The same on both cores: a 2-vCPU guest with disk and network comes up, answers a ping, writes
# and reads back 64 MiB through its disk, and goes. Runs in the service domain. Bochs, the Intel
# rig, counts every instruction and takes its time: 4 MiB there.
set -u
# What xenconsoled (--log=guest) keeps of the guest's console.
log=/var/log/xen/console/guest-guest.log
rm -f $log
fail() {
	echo "smoke: FAILED: $*"
	tail -n 20 $log; tail -n 20 /var/log/xen/xen-hotplug.log
	xl list
	xl dmesg | tail -n 20
	exit 1
}
dir=/guest
mib=64
grep -q GenuineIntel /proc/cpuinfo && mib=4

dd if=/dev/zero of=/root/disk bs=1M count=0 seek=64 2>/dev/null
loop=$(losetup -f)
losetup "$loop" /root/disk || fail "no loop device"

xl create $dir/guest.cfg 'vcpus=2' "disk=['phy:$loop,xvda,w']" "vif=['bridge=xenbr0']" \
	'extra="console=hvc0 quiet loglevel=4 rdinit=/init carrel.run=disk carrel.mib='$mib'"' >/dev/null || fail "xl create: status $?"
echo "smoke: created"
wait_for() {
	n=0
	until grep -q "$1" $log 2>/dev/null; do
		n=$((n + 1))
		[ $n -lt "$2" ] || fail "no $1 in the guest's console"
		sleep 1
	done
	grep -o "$1.*" $log | tr -d '\r' | head -n 1
}
wait_for 'GUEST-READY' 300 | sed 's/ mem=.*//'
wait_for 'GUEST-DISK xvda' 10
ping -c 3 -W 5 10.77.0.2 >/root/ping || fail "no answer to ping: $(cat /root/ping)"
echo "smoke: ping answered"
wait_for 'GUEST-DISK-CHECK' 300
xl destroy guest || fail "xl destroy"
sleep 1
xl list guest >/dev/null 2>&1 && fail "guest still listed"
echo "smoke: destroyed"
losetup -d "$loop"
rm /root/disk
exit 0
