#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install.sh ROOT BUILD: what is installed in the service domain is whole: programs, units that name programs and services
# that are there, enabled; and it unpacks over a root as the initramfs does it.
set -eu
top=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
complain() {
	echo "$*"
	bad=1
}
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }

"$top/tests/rig/install-tree" "$build" "$work/install.tar"
mkdir -p "$work/root/usr/lib" "$work/root/usr/bin" "$work/root/etc"
ln -s usr/lib "$work/root/lib"
echo kept >"$work/root/etc/passwd"
busybox sh -n "$top/dom0/image/tree/usr/lib/carrel/initramfs-init" || complain "initramfs-init is no shell script"
busybox tar -xf "$work/install.tar" -C "$work/root"
cd "$work/root"
[ -L lib ] && [ "$(cat etc/passwd)" = kept ] || complain "unpacking replaced what was there"
[ "$(stat -c %a .)" = 755 ] || complain "the root's mode became $(stat -c %a .)"
find . ! -user 0 | grep . && complain "not root's"
find . ! -type l -perm /022 | grep . && complain "others may write"

for file in usr/bin/carrelctl usr/share/man/man1/carrelctl.1 usr/share/bash-completion/completions/carrelctl; do
	[ -s "$file" ] || complain "$file is not installed"
done
usr/bin/carrelctl --version >/dev/null || complain "carrelctl does not run"

for unit in usr/lib/systemd/system/*.service; do
	[ -f "$unit" ] || continue
	# The program after the marks that may stand before it.
	for program in $(sed -n 's/^Exec[A-Za-z]*=[-@:+!|]*\([^ ]*\).*/\1/p' "$unit"); do
		# Unless the unit itself says that it may be missing.
		grep -qx "ConditionPathExists=$program" "$unit" || [ -x ".$program" ] || [ -x "$program" ] ||
			[ -x "$top/dom0/image/tree$program" ] || complain "$unit starts $program, which is not there"
	done
	for target in $(sed -n 's/^WantedBy=//p' "$unit"); do
		[ -L "etc/systemd/system/$target.wants/${unit##*/}" ] || complain "$unit is not enabled for $target"
	done
done
for service in usr/share/dbus-1/system-services/*.service; do
	[ -f "$service" ] || continue
	unit=$(sed -n 's/^SystemdService=//p' "$service")
	[ -z "$unit" ] || [ -f "usr/lib/systemd/system/$unit" ] || complain "$service starts $unit, which is not installed"
done
exit $bad
