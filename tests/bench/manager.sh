#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# rig: --mem 4G --timeout 1800
# The manager on the whole laptop: a start by carrelctl beside a bare 'xl create' of the same disk; the disk of the VM on screen,
# alone and beside one that writes flat out; a clone. Runs in the service domain of the disk rig; the rest is in manager.host.
set -u
. /mnt/rig/common.sh
beat=0.1
vms=/var/lib/carrel/vms

fail() {
	echo "bench: FAILED: $*"
	carrelctl list
	xl list
	journalctl -u carreld --no-pager -n 15
	tail -n 5 $logs/guest-*.log
	exit 1
}
now() { cut -d' ' -f1 /proc/uptime; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN {printf "%.2f", b - a}'; }
count() { grep -c "$2" "$logs/guest-$1.log"; }
more() { [ "$(count "$1" "$2")" -gt "$3" ]; }
gone() { ! xl domid "$1"; }
# define VM RUN: a VM of the rig's guest on a disk of its own.
define() {
	define_guest $1 256M $2 <<-END || fail "$1 is not defined"
		[network eth0]
		mode=nat
	END
	: >>$logs/guest-$1.log
}

no_desk
systemctl start carreld
in_time 60 carrelctl list || fail "carreld does not answer"
define first none
define front disk-bench
define back flood

cat >/tmp/bare.cfg <<-END
	name = "bare"
	type = "pvh"
	kernel = "/boot/vmlinuz"
	ramdisk = "/guest/initramfs"
	memory = 128
	vcpus = 1
	extra = "console=hvc0 quiet loglevel=4 rdinit=/init"
	tsc_mode = "native"
	disk = [ "format=qcow2, vdev=xvda, access=rw, backendtype=qdisk, target=$vms/first/xvda.qcow2" ]
	vif = [ "bridge=xenbr0" ]
END
: >>$logs/guest-bare.log
for _ in 1 2; do
	n=$(count first GUEST-READY) start=$(now)
	carrelctl start first >/dev/null 2>&1 || fail "start first"
	echo "BENCH carrelctl-start $(since "$start") s"
	in_time 200 more first GUEST-READY "$n" || fail "first does not come up"
	echo "BENCH carrelctl-to-first-process $(since "$start") s"
	carrelctl off first >/dev/null 2>&1 || fail "off first"
	in_time 60 gone first || fail "first does not go"
	n=$(count bare GUEST-READY) start=$(now)
	xl create /tmp/bare.cfg >/dev/null || fail "xl create"
	echo "BENCH xl-create $(since "$start") s"
	in_time 200 more bare GUEST-READY "$n" || fail "bare does not come up"
	echo "BENCH xl-create-to-first-process $(since "$start") s"
	xl destroy bare || fail "xl destroy"
	in_time 60 gone bare || fail "bare does not go"
done

carrelctl clone first second >/dev/null 2>&1 || fail "clone first"
carrelctl delete second --yes >/dev/null 2>&1 || fail "delete second"
start=$(now)
carrelctl clone first third >/dev/null 2>&1 || fail "clone first"
echo "BENCH clone $(since "$start") s"
if [ -e /etc/carrel/vms/debian.vm ]; then
	start=$(now)
	carrelctl new fourth --from debian >/dev/null 2>&1 || fail "new --from debian"
	echo "BENCH clone-of-8GiB-template $(since "$start") s"
	echo "BENCH clone-takes $(du -k $vms/fourth/xvda.qcow2 | cut -f1) KiB"
fi

# figures AS: what front measured in the five whole rounds from now on, the median of each.
figures() {
	local n line
	n=$(count front GUEST-BENCH-ROUND)
	in_time 300 more front GUEST-BENCH-ROUND "$n" || fail "front does not measure"
	line=$(grep -n GUEST-BENCH-ROUND $logs/guest-front.log | tail -n 1 | cut -d: -f1)
	in_time 900 more front GUEST-BENCH-ROUND $((n + 5)) || fail "front does not measure"
	sed -n "$line,\$s/\r//; $line,\$s/.*GUEST-BENCH \([^ ]*\) \([0-9.]*\) \([^ ]*\)\$/\1 \2 \3/p" $logs/guest-front.log |
		awk 'n[$1]++ < 5' | sort -k 1,1 -k 2,2n | awk 'NR % 5 == 3' >/tmp/$1
	awk -v as=-"$1" '{print "BENCH " $1 as " " $2 " " $3}' /tmp/$1
}
carrelctl start front >/dev/null 2>&1 || fail "start front"
carrelctl foreground front || fail "foreground front"
figures alone
carrelctl start back >/dev/null 2>&1 || fail "start back"
in_time 300 more back GUEST-FLOOD 0 || fail "back does not write"
figures beside
# 100: as alone, in time as in throughput.
join /tmp/alone /tmp/beside | awk '{print "BENCH " $1 "-kept " ($3 ~ /\/s$/ ? 100 * $4 / $2 : 100 * $2 / $4) " %"}'
n=$(count back GUEST-FLOOD) start=$(now)
in_time 300 more back GUEST-FLOOD $((n + 1)) || fail "back starves"
echo "BENCH background-write $(awk -v t="$(since "$start")" -v n=$(($(count back GUEST-FLOOD) - n)) 'BEGIN {printf "%.2f", 64 * n / t}') MiB/s"
carrelctl off front back >/dev/null 2>&1
exit 0
