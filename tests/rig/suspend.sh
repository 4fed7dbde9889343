#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The machine sleeps (S3) with a guest running, wakes up by its clock, and both go on: time, disk, network; then again. After
# that xl suspends the guest in place and resumes it. Runs in the service domain.
set -u
log=/var/log/xen/console/guest-guest.log
rm -f $log
fail() {
	echo "suspend: FAILED: $*"
	tail -n 20 $log
	dmesg | tail -n 20
	xl list
	xl dmesg | tail -n 30
	exit 1
}
rtc=/sys/class/rtc/rtc0
grep -qw mem /sys/power/state || fail "the kernel knows no S3: $(cat /sys/power/state)"

dd if=/dev/zero of=/root/disk bs=1M count=0 seek=64 2>/dev/null
loop=$(losetup -f)
losetup "$loop" /root/disk || fail "no loop device"
xl create /guest/guest.cfg 'vcpus=2' "disk=['phy:$loop,xvda,w']" "vif=['bridge=xenbr0']" \
	'extra="console=hvc0 quiet loglevel=4 rdinit=/init carrel.run=tick"' >/dev/null || fail "xl create: status $?"
# wait_for WORD SECONDS COUNT
wait_for() {
	n=0
	until [ "$(grep -c "$1" $log 2>/dev/null)" -ge "$3" ]; do
		n=$((n + 1))
		[ $n -lt "$2" ] || fail "no $1 in the guest's console ($3)"
		sleep 1
	done
}
wait_for GUEST-READY 300 1
answers() { ping -c 3 -W 5 10.77.0.2 >/root/ping || fail "$1: no answer to ping: $(cat /root/ping)"; }
answers "before"

# The two clocks of the service domain, and the machine's own, by at most 2 seconds apart.
clocks() {
	sys=$(date +%s)
	hw=$(cat $rtc/since_epoch)
	[ $((sys - hw)) -ge -2 ] && [ $((sys - hw)) -le 2 ] || fail "system clock $sys, hardware clock $hw"
}
# How late each tick of the guest's clock arrives here: behind by as much as the console takes, before and after a sleep.
tail -n 0 -f $log | while read -r word tick; do
	[ "$word" != GUEST-TICK ] || echo $(($(date +%s) - ${tick%%[!0-9]*})) >>/root/lags
done &

lag() {
	rm -f /root/lags
	ticks=$(grep -c GUEST-TICK $log)
	wait_for GUEST-TICK 60 $((ticks + 4))
	off=$(sort -n /root/lags | head -n 1)
}
lag
usual=$off
for round in 1 2; do
	clocks
	before=$(cat $rtc/since_epoch)
	echo 0 >$rtc/wakealarm
	echo +8 >$rtc/wakealarm
	echo mem >/sys/power/state || fail "round $round: the kernel did not suspend"
	after=$(cat $rtc/since_epoch)
	[ $((after - before)) -ge 6 ] || fail "round $round: slept for $((after - before)) s"
	clocks
	xl dmesg | grep -q 'carrel: awake' || fail "the core did not sleep"
	answers "round $round"
	lag
	off=$((off - usual))
	[ $off -ge -2 ] && [ $off -le 2 ] || fail "round $round: the guest's clock is $off s more behind than before: $(cat /root/lags), $usual"
	echo "suspend: awake, the guest answers, clocks right ($off)"
done
grep -iE 'soft lockup|hung task|rcu.*stall' $log && fail "the guest complains"

xl suspend guest || fail "xl suspend: status $?"
xl list guest | grep -q 'ss-\|--s' || fail "not suspended: $(xl list guest)"
ticks=$(grep -c GUEST-TICK $log)
sleep 3
[ "$(grep -c GUEST-TICK $log)" = "$ticks" ] || fail "a suspended guest ticks"
xl resume guest || fail "xl resume: status $?"
wait_for GUEST-TICK 60 $((ticks + 3))
answers "after xl resume"
echo "suspend: xl suspend and resume"
xl destroy guest || fail "xl destroy"
losetup -d "$loop"
exit 0
