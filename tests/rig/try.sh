#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What './carrel try' shows: the desk on the emulated laptop's screen, with Work and Personal: those of the disk image that has
# them (--desktops), or else two desktops made here from the template with a console. Runs in the service domain of the disk rig;
# pictures of what a person sees come into the build directory's screens/.
set -u
name=try
. /mnt/rig/screen.sh

# look PICTURE KEY: what opens by KEY and goes by Escape.
look() {
	rig key "$2"
	until_ok 90 "$1" changed "$1" 20000 switcher
	sleep 3
	rig picture "$1"
	rig key esc
	sleep 3
}
running() { carrelctl show "$1" | grep -q 'State  *running'; }

until_ok 300 "the compositor runs" systemctl is-active carrel-desk
until_ok 60 "the splash is on the screen" drawn splash
until_ok 180 "the manager answers" carrelctl list
until_ok 180 "the switcher runs" systemctl is-active carrel-switcher
for vm in work personal; do
	carrelctl show $vm >/dev/null 2>&1 || carrelctl new $vm --from debian --title "${vm^}" || fail "$vm cannot be made"
	carrelctl show $vm | grep -q 'State  *off' && { carrelctl start $vm || fail "$vm does not start"; }
done
sleep 5
until_ok 60 "the switcher is on the screen" changed switcher 20000 splash
look new-vm n
look settings s
rig key ctrl-alt-l
until_ok 60 "the lock" changed lock 20000 switcher
sleep 3
rig picture lock
rig type 'carrel\n'
until_ok 240 "the password opens it" desk_is Locked "b false"
for vm in work personal; do
	until_ok 300 "$vm runs" running $vm
	if [ "$(carrelctl get $vm display screens 2>/dev/null || echo 0)" -gt 0 ]; then
		until_ok 600 "the screen of $vm" live $vm
		rig key ctrl-alt-$([ $vm = work ] && echo 1 || echo 2)
		full() { drawn $vm && [ "$answer" -ge 100 ]; }
		until_ok 900 "$vm has drawn its desktop" full
		rig key ctrl-alt-0
	fi
done
sleep 5
rig picture switcher
echo "try: the desk is ready. Ctrl+Alt+1 and 2 are the desktops, Ctrl+Alt+0 the switcher; the lock's password is: carrel"
exit 0
