#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The manager on the whole laptop: two desktops of Debian from one template, each on its own network and deaf to the other;
# memory goes to the one on screen; a snapshot brings back what was broken; carreld is killed and finds them again. Runs in
# the service domain of the disk rig.
set -u
export TERM=dumb
logs=/var/log/xen/console
serial=0

fail() {
	echo "manager: FAILED: $*"
	carrelctl list
	tail -n 15 $logs/guest-*.log
	journalctl -u carreld --no-pager -n 30
	exit 1
}
# until_ok SECONDS WHAT COMMAND...: waits for the command to succeed.
until_ok() {
	local limit=$1 what=$2 n=0
	shift 2
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		[ $n -lt "$limit" ] || fail "$what: not in $limit s"
		sleep 1
	done
	echo "manager: $what"
}
prompt() { tail -c 2000 "$logs/guest-$1.log" | grep -q 'root@'; }
# in_guest VM COMMAND: types it on the VM's console as root; its status.
in_guest() {
	local vm=$1 n=0 tty mark
	shift
	serial=$((serial + 1))
	mark="MARK-$serial"
	tty=$(carrelctl show "$vm" | awk '$1 == "Console" {print $2}')
	# The mark is put together by the shell, so that its echo does not count.
	printf '%s; echo MARK-%s=$?=\n' "$*" "\"\"$serial" >"$tty"
	until grep -q "$mark=[0-9]*=" "$logs/guest-$vm.log"; do
		n=$((n + 1))
		[ $n -lt 300 ] || fail "$vm did not answer to: $*"
		sleep 1
	done
	return "$(sed -n "s/.*$mark=\([0-9]*\)=.*/\1/p" "$logs/guest-$vm.log" | tail -n 1)"
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

systemctl start carreld || fail "carreld does not start"
# There are less than 3 GiB for both, and each may have 1.8: the first one, up by then, gives some back for the second.
for vm in work personal; do
	carrelctl new $vm --from debian --memory-max 1800M || fail "new $vm"
	carrelctl start $vm || fail "start $vm"
	until_ok 900 "$vm has its console" prompt $vm
done
for vm in work personal; do
	until_ok 60 "$vm has its address" in_guest $vm "ip -4 addr | grep -q $(address $vm)"
	in_guest $vm "ping -c 2 -W 5 192.0.2.2" || fail "$vm does not reach the world"
done
echo "manager: both reach the world"

other=$(address personal)
in_guest work "ping -c 2 -W 3 $other" && fail "work reaches personal by IPv4"
in_guest work "arping -c 2 -w 3 -I \$(ip -o link | sed -n 's/^2: \\([^:@]*\\).*/\\1/p') $other" && fail "work reaches personal by ARP"
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
carrelctl start work || fail "start after revert"
until_ok 900 "work is back" prompt work
in_guest work "grep -q precious /root/file" || fail "the snapshot lost what was in it"
echo "manager: what was broken is whole again"

before=$(carrelctl list)
pkill -9 carreld
until_ok 60 "carreld is back" carrelctl list
[ "$(carrelctl list)" = "$before" ] || fail "carreld does not know its VMs any more: $(carrelctl list)"
in_guest personal true || fail "personal noticed"
for vm in work personal; do carrelctl shutdown $vm || fail "shutdown $vm"; done
[ "$(xl list | wc -l)" = 2 ] || fail "domains are left: $(xl list)"
ip -o link | grep -E 'cr-|vif-' && fail "links are left"
echo "manager: all is clean"
exit 0
