#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# rig: --direct
# A guest's life, its disk and its network, as a person would feel them. Runs in the service
# domain; each result is a line "BENCH what value unit".
set -u
log=/var/log/xen/console/guest-guest.log
now() { cut -d' ' -f1 /proc/uptime; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN {printf "%.2f", b - a}'; }
fail() {
	echo "bench: $*"
	tail -n 20 $log
	exit 1
}
wait_for() { # wait_for PATTERN SECONDS
	n=0
	until grep -q "$1" $log 2>/dev/null; do
		n=$((n + 1))
		[ $n -lt $(($2 * 10)) ] || fail "no $1"
		usleep 100000
	done
}

echo "BENCH power-on-to-ready $(now) s-of-the-service-domain"
loop=$(losetup -f)
dd if=/dev/zero of=/root/disk bs=1M count=64 2>/dev/null
losetup "$loop" /root/disk || fail "no loop device"
nc -l -p 5001 >/dev/null &

start=$(now)
xl create /guest/guest.cfg "disk=['phy:$loop,xvda,w']" "vif=['bridge=xenbr0']" \
	'extra="console=hvc0 quiet loglevel=4 rdinit=/init carrel.run=bench"' >/dev/null || fail "xl create"
echo "BENCH create $(since "$start") s"
wait_for GUEST-READY 300
echo "BENCH create-to-first-process $(since "$start") s"
wait_for GUEST-BENCH-END 300
sed -n 's/\r//; s/.*GUEST-BENCH /BENCH /p' $log
start=$(now)
xl destroy guest
echo "BENCH destroy $(since "$start") s"

start=$(now)
rounds=5
n=0
while [ $n -lt $rounds ]; do
	xl create -p /guest/guest.cfg >/dev/null || fail "xl create -p"
	xl destroy guest || fail "xl destroy"
	n=$((n + 1))
done
echo "BENCH create-destroy-round $(awk -v t="$(since "$start")" -v n=$rounds 'BEGIN {printf "%.2f", t / n}') s"
