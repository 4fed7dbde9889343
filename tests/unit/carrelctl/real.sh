#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# real.sh CARRELCTL CARRELD: the command line and the real manager, on a private bus above a fake hypervisor (tests/unit/carreld):
# a VM's life from its file to its end.
set -eu
ctl=$1 carreld=$2
work=$(mktemp -d)
trap 'kill $daemon $bus 2>/dev/null || :; wait; chattr -R -i "$work" 2>/dev/null; rm -rf "$work"' EXIT
daemon='' bus=''
die() {
	echo "$*"
	exit 1
}
# Runs carrelctl, which must end with status $1; what it says is in $said.
expect() {
	want=$1 rc=0
	shift
	said=$("$ctl" "$@" 2>&1 </dev/null) || rc=$?
	[ $rc = "$want" ] || die "carrelctl $*: status $rc, not $want: $said"
}
says() {
	case $said in *"$1"*) ;; *) die "no '$1' in: $said" ;; esac
}

mkdir "$work/fake" "$work/etc" "$work/lib" "$work/run"
printf '[machine]\ntotal=4294967296\n' >"$work/fake/domains.ini"
dbus-daemon --session --nofork --nopidfile --address="unix:path=$work/bus" >"$work/bus.log" 2>&1 &
bus=$!
export DBUS_SYSTEM_BUS_ADDRESS="unix:path=$work/bus" CARREL_FAKE="$work/fake" LC_ALL=C.UTF-8
until [ -S "$work/bus" ]; do sleep 0.05; done
expect 8 list
"$carreld" --config-dir "$work/etc" --state-dir "$work/lib" --run-dir "$work/run" >"$work/carreld.log" 2>&1 &
daemon=$!
n=0
until "$ctl" list >/dev/null 2>&1; do
	n=$((n + 1))
	[ $n -lt 100 ] || die "the manager does not come up: $(cat "$work/carreld.log")"
	sleep 0.1
done

printf '[machine]\nmemory-min=256M\nmemory-max=1G\n[disk xvda]\nfile=xvda.qcow2\n' >"$work/deb.vm"
mkdir -p "$work/lib/vms/deb"
qemu-img create -q -f qcow2 "$work/lib/vms/deb/xvda.qcow2" 64M
expect 0 new deb --definition "$work/deb.vm"
expect 0 list && says deb
expect 5 new deb --definition "$work/deb.vm"
printf '[machine]\nvcpus=many\n' >"$work/bad.vm"
expect 2 new bad --definition "$work/bad.vm" && says vcpus
expect 3 start nobody && says nobody

expect 0 set deb vm template true
expect 0 templates && says deb
expect 0 new work --from deb --title 'At work' --memory-max 512M
expect 0 show work --json && says '"title" : "At work"' && says '"memory-max" : 536870912'
expect 3 new other --from nothing
expect 0 start work && says 'start work: done'
expect 5 start work
expect 0 list && says running
expect 0 pause work
expect 0 show work && says paused
expect 0 unpause work
expect 0 stats --json && says memory-total
expect 0 foreground work
expect 0 foreground && says work
expect 5 revert -y work clean
expect 0 off work
expect 0 snapshot work clean -d 'fresh'
expect 0 snapshots work && says fresh
expect 0 revert -y work clean
expect 0 snapshot-delete work clean
expect 3 snapshot-delete work clean
expect 0 clone work copy
expect 0 export copy "$work/copy.qcow2"
qemu-img info "$work/copy.qcow2" | grep -q 'file format: qcow2' || die "the export is no qcow2"
expect 0 import back "$work/copy.qcow2"
expect 0 list && says back
expect 5 delete -y work && says copy
expect 0 delete -y copy back work deb
expect 3 show work
expect 0 reload
expect 0 jobs && says Delete
