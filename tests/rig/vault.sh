#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An encrypted VM on the whole laptop, whose kernel has dm-crypt: nothing that its guest wrote is to be read in the volume's file, a
# wrong passphrase opens nothing, a killed carreld finds it again, and the volume is closed when the VM is off or the machine
# could not start it; unlocked, its disks can be put back to a snapshot and exported while it is off. Runs in the service domain
# of the disk rig.
set -u
name=vault
. /mnt/rig/common.sh
log=$logs/guest-secret.log
dir=/var/lib/carrel/vms/secret

fail() {
	echo "vault: FAILED: $*"
	carrelctl list
	ls -la /dev/mapper "$dir" /var/lib/carrel/vms
	losetup -a
	journalctl -u carreld --no-pager -n 20
	tail -n 5 "$log" /var/log/xen/qemu-dm-secret.log
	exit 1
}
# with PASSPHRASE COMMAND…: carrelctl's, which reads it from descriptor 3.
with() {
	local passphrase=$1
	shift
	carrelctl "$@" --passphrase-fd 3 3<<<"$passphrase"
}
closed() { [ ! -e /dev/mapper/carrel-secret ] && ! mountpoint -q "$dir" && [ -z "$(losetup -a)" ]; }
good() { sed -n 's/.*GUEST-RECORDS good=\([0-9]*\).*/\1/p' "$log" | tail -n 1; }
checks() { [ "$(grep -c GUEST-RECORDS "$log")" -gt "$1" ]; }
# Whether a file has a record of the guest's to read.
readable() { grep -aEq '^R [0-9]+ [0-9]+ +[0-9]+$' "$1"; }
more() { [ "$(last_record secret)" -gt "$1" ]; }

no_desk
systemctl start carreld
until_ok 60 "the manager answers" carrelctl list
define_guest tiny 64M records </dev/null || fail "tiny is not defined"
carrelctl set tiny vm template true || fail "tiny is no template"
with 'correct horse' new secret --from tiny || fail "no encrypted VM"
closed || fail "its volume is open though it never ran"
: >>"$log"

with 'battery staple' start secret && fail "a wrong passphrase starts it"
carrelctl start secret </dev/null && fail "it starts without a passphrase"
closed || fail "a wrong passphrase opened it"
with 'correct horse' start secret || fail "does not start"
mountpoint -q "$dir" || fail "its directory is not its volume"
until_ok 200 "its guest writes" checks 0
until_ok 60 "20 records are flushed" more 20

readable $dir/xvda.qcow2 || fail "no record is to be read even in the open volume"
taken=$(last_record secret)
carrelctl snapshot secret while-open || fail "no snapshot"
pkill -9 carreld
until_ok 60 "carreld is back" carrelctl list
until_ok 60 "its guest writes on" more $((taken + 100))
known=$(last_record secret)
carrelctl off secret || fail "cannot be forced off"
until_ok 60 "its volume is closed" closed
for file in /var/lib/carrel/vms/*; do
	[ ! -f "$file" ] || ! readable "$file" || fail "$file: what the guest wrote can be read"
	[ ! -f "$file" ] || ! grep -aq 'correct horse' "$file" || fail "$file: the passphrase can be read"
done
journalctl -b | grep -q 'correct horse' && fail "the passphrase is in the journal"

# As when the machine has just started: nobody has used the device mapper.
modprobe -r dm_crypt dm_mod && rm -rf /dev/mapper || fail "the device mapper's drivers stay"
with 'correct horse' start secret || fail "does not start again"
until_ok 200 "its guest is up again" checks 1
[ "$(good)" -ge "$known" ] || fail "record $known was flushed, good are only those up to $(good)"
known=$(good)
carrelctl off secret || fail "cannot be forced off"
until_ok 60 "its volume is closed" closed

carrelctl revert --yes secret while-open && fail "its disks are reached while they are locked"
with 'battery staple' unlock secret && fail "a wrong passphrase unlocks it"
closed || fail "a wrong passphrase opened it"
with 'correct horse' unlock secret || fail "cannot be unlocked"
carrelctl snapshots secret | grep -q while-open || fail "its snapshot is not listed"
carrelctl export secret /root/secret.raw || fail "cannot be exported"
readable /root/secret.raw || fail "its export has no record"
rm /root/secret.raw
pkill -9 carreld
until_ok 60 "carreld is back" carrelctl list
until_ok 60 "a new carreld closes its volume" closed
with 'correct horse' unlock secret || fail "cannot be unlocked again"
carrelctl revert --yes secret while-open || fail "cannot be put back"
carrelctl lock secret || fail "cannot be locked"
closed || fail "its volume is open though it is locked"
printf 'correct horse\nbattery staple\n' | carrelctl passphrase secret --passphrase-fd 0 || fail "its passphrase is not changed"
with 'correct horse' start secret && fail "the old passphrase starts it"
with 'battery staple' start secret || fail "does not start after it was put back"
until_ok 200 "its guest is up again" checks 2
[ "$(good)" -ge "$taken" ] && [ "$(good)" -lt "$known" ] || fail "put back to record $taken, it has $(good), as if never; $known were there"
carrelctl shutdown secret || fail "does not shut down"
until_ok 60 "its volume is closed" closed
carrelctl delete secret --yes || fail "cannot be deleted"
ls /var/lib/carrel/vms | grep secret && fail "something of it is left"
exit 0
