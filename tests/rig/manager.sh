#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The manager on the whole laptop: two desktops of Debian from one template, each on its own network and deaf to the other;
# memory goes to the one on screen; a snapshot brings back what was broken; carreld is killed and finds them again. Runs in
# the service domain of the disk rig.
set -u
name=manager
. /mnt/rig/common.sh

fail() {
	echo "manager: FAILED: $*"
	carrelctl list
	tail -n 15 $logs/guest-*.log
	journalctl -u carreld --no-pager -n 30
	exit 1
}
address() { carrelctl show "$1" | awk '$1 == "eth0" {print $NF}'; }
memory() { xl list "$1" | awk 'NR == 2 {print $3}'; }
more() { [ "$(memory "$1")" -gt "$(memory "$2")" ]; }

# A world to reach: a namespace behind the default route.
ip netns add world
ip link add up0 type veth peer name eth0 netns world
ip addr add 192.0.2.1/24 dev up0
ip link set up0 up
ip -n world addr add 192.0.2.2/24 dev eth0
ip -n world link set eth0 up
ip route add default via 192.0.2.2

no_desk
systemctl start carreld || fail "carreld does not start"
# There are less than 3 GiB for both, and each may have 1.8: the first one, up by then, gives some back for the second.
for vm in work personal; do
	carrelctl new $vm --from debian --memory-max 1800M --autostart || fail "new $vm"
	carrelctl start $vm || fail "start $vm"
	until_ok 900 "$vm has its console" logged_in $vm 0
done
for vm in work personal; do
	until_ok 300 "$vm has its address" in_guest $vm "ip -4 addr | grep -q $(address $vm)"
	in_guest $vm "ping -c 2 -W 5 192.0.2.2" || fail "$vm does not reach the world"
done
echo "manager: both reach the world"

# address6 VM: what its guest has for the world.
address6() {
	in_guest "$1" "ip -6 -o addr show scope global | sed 's/.*inet6 \\([0-9a-f:]*\\).*/ADDRESS6=\\1=/'"
	sed -n 's/.*ADDRESS6=\([0-9a-f:]\{3,\}\)=.*/\1/p' "$logs/guest-$1.log" | tail -n 1
}
other=$(address personal)
other6=$(address6 personal)
[ -n "$other6" ] && [ -n "$(address6 work)" ] || fail "no IPv6 addresses"
nic="\$(ip -o link | sed -n 's/^2: \\([^:@]*\\).*/\\1/p')"
gateway="\$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')"
in_guest work "arping -c 2 -w 5 -I $nic $gateway" || fail "work does not reach its gateway by ARP"
in_guest work "ping -c 2 -W 3 $other" && fail "work reaches personal by IPv4"
in_guest work "ping -6 -c 2 -W 3 $other6" && fail "work reaches personal by IPv6"
in_guest work "arping -c 2 -w 3 -I $nic $other" && fail "work reaches personal by ARP"
in_guest work "ping -6 -c 2 -W 3 ff02::1%2 | grep -v ' 0 received' | grep -c 'bytes from' | grep -q '^[3-9]'" && fail "work hears others by multicast"
echo "manager: they do not reach each other"

carrelctl foreground work || fail "foreground work"
until_ok 120 "work, on screen, has more memory" more work personal
carrelctl foreground personal || fail "foreground personal"
until_ok 120 "personal, on screen, has more memory" more personal work

in_guest work "echo precious > /root/file; sync" || fail "work cannot write"
carrelctl snapshot work before || fail "snapshot"
in_guest work "rm -rf /root/file /sbin/init /usr/lib/systemd; sync"
carrelctl off work || fail "off"
carrelctl revert --yes work before || fail "revert"
before=$(logins work)
carrelctl start work || fail "start after revert"
until_ok 900 "work is back" logged_in work "$before"
in_guest work "grep -q precious /root/file" || fail "the snapshot lost what was in it"
echo "manager: what was broken is whole again"

# The machine sleeps by logind: carreld suspends both before, the one that starts last first, and resumes them after.
carrelctl set personal policy start-order 200 || fail "set start-order"
awake() { [ "$(xl dmesg | grep -c 'carrel: awake')" -gt "$1" ]; }
running() { carrelctl show "$1" | grep -q 'State *running'; }
# The clock of the emulated console is late by some seconds.
clock_right() { in_guest "$1" "d=\$((\$(date +%s) - $(date +%s))); test \$d -ge -3 -a \$d -le 20"; }
for vm in work personal; do clock_right $vm || fail "the clock of $vm is wrong before the sleep"; done
slept=$(xl dmesg | grep -c 'carrel: awake')
rtc=/sys/class/rtc/rtc0
echo 0 >$rtc/wakealarm
echo +150 >$rtc/wakealarm
start=$(cat $rtc/since_epoch)
systemctl suspend || fail "logind does not suspend the machine"
until_ok 200 "the machine slept and woke up" awake "$slept"
journalctl -b -u carreld | grep 'did not suspend itself' && fail "a VM did not suspend itself"
grep -q . $rtc/wakealarm && fail "it did not sleep until its alarm"
[ $(($(cat $rtc/since_epoch) - start)) -ge 145 ] || fail "it woke up before its alarm"
for vm in work personal; do
	until_ok 60 "$vm runs again" running $vm
	clock_right $vm || fail "the clock of $vm is wrong after the sleep"
	# Its network came back without a carrier for a moment, and it asks for its address again.
	until_ok 120 "$vm reaches the world after the sleep" in_guest $vm "ping -c 2 -W 5 192.0.2.2"
	in_guest $vm "dd if=/dev/zero of=/root/zero bs=1M count=4 conv=fsync" || fail "$vm cannot write after the sleep"
done

# Name, state, address and title: memory may move.
known() { carrelctl list | awk '{print $1, $2, $(NF - 1), $NF}'; }
before=$(known)
pkill -9 carreld
until_ok 60 "carreld is back" carrelctl list
[ "$(known)" = "$before" ] || fail "carreld does not know its VMs any more: $(carrelctl list)"
in_guest personal true || fail "personal noticed"
for vm in work personal; do carrelctl shutdown $vm || fail "shutdown $vm"; done
[ "$(xl list | wc -l)" = 2 ] || fail "domains are left: $(xl list)"
ip -o link | grep -E 'cr-|vif-' && fail "links are left"

# As after a boot: they start by themselves.
rm /run/carrel/autostarted && systemctl restart carreld || fail "carreld does not start"
for vm in work personal; do until_ok 200 "$vm started by itself" running $vm; done
carrelctl off work personal || fail "off"
echo "manager: all is clean"
exit 0
