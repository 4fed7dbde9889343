#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The desk on the laptop's own screen and keyboard: switcher, its dialogs and the lock by keys; what is typed reaches the desktop on
# screen and no other; whatever is killed comes back, and so does the screen; an output that goes and comes. Runs in the service
# domain of the disk rig that has Work and Personal (--desktops). "quick" in $1, or a machine without them: without desktops.
set -u
name=desk
. /mnt/rig/screen.sh
another() { [ "$(systemctl is-active "$1")" = active ] && [ "$(pid "$1")" != "$2" ]; }
# kill_unit UNIT: it is back, as another process.
kill_unit() {
	local before
	before=$(pid "$1")
	[ "$before" -gt 0 ] || fail "$1 does not run"
	kill -9 "$before"
	until_ok 120 "$1 is back" another "$1" "$before"
}
# Minutes pass, figures and pictures of the cards change: the buttons at the top and the keys' line at the bottom stay.
bottom="0 680 1280 120"
switcher_is_back() { looks now 300 switcher "$bottom"; }

until_ok 300 "the compositor runs" systemctl is-active carrel-desk
until_ok 60 "its splash is on the screen" drawn splash
until_ok 120 "the switcher runs" systemctl is-active carrel-switcher
until_ok 120 "the manager answers" carrelctl list
until_ok 60 "the switcher is on the screen" changed switcher 20000 splash
sleep 5
rig picture switcher

# dialog PICTURE KEY: opens by KEY, and Escape closes it.
dialog() {
	rig key "$2"
	until_ok 60 "$1 opens" changed "$1" 20000 switcher
	sleep 3
	rig picture "$1"
	rig key esc
	until_ok 60 "$1 closes" switcher_is_back
}
dialog new-vm n
dialog settings s

rig key ctrl-alt-l
until_ok 30 "the screen is locked" desk_is Locked "b true"
until_ok 60 "the lock is on the screen" changed lock 20000 switcher
sleep 3
rig picture lock
rig key ctrl-alt-0 ctrl-alt-1
rig type 'not this\n'
sleep 10
rig picture lock-refused
desk_is Locked "b true" || fail "a wrong password opened the screen"
desk_is Shown 's ""' || fail "a hotkey worked under the lock"
rig type 'carrel\n'
until_ok 60 "the password opens it" desk_is Locked "b false"
until_ok 60 "the switcher is back" switcher_is_back

# Killed while the screen is locked: it stays so.
rig key ctrl-alt-l
until_ok 30 "the screen is locked again" desk_is Locked "b true"
kill_unit carrel-desk.service
until_ok 60 "it is locked after a crash" desk_is Locked "b true"
until_ok 120 "the lock is back on the screen" looks now 60000 lock
rig type 'carrel\n'
until_ok 60 "the password opens it still" desk_is Locked "b false"
for unit in carrel-switcher.service carreld.service; do
	kill_unit $unit
	until_ok 120 "the switcher is on the screen after $unit was killed" switcher_is_back
done
# The compositor has its devices from seatd, and starts anew with it.
before=$(pid carrel-desk)
kill_unit seatd.service
until_ok 40 "the compositor starts over when seatd was killed" another carrel-desk.service "$before"
until_ok 120 "the switcher is on the screen after seatd was killed" switcher_is_back

# An output that goes and comes, as far as the kernel lets a script pull its plug.
connector=$(echo /sys/class/drm/card*-*)
mkdir -p /run/udev/rules.d
echo 'SUBSYSTEM=="drm", ACTION=="change", ENV{HOTPLUG}="1"' >/run/udev/rules.d/99-rig.rules
udevadm control --reload
plug() {
	echo "$1" >"$connector/status"
	udevadm trigger --action=change --subsystem-match=drm
}
# Without its EDID the output may come back in another mode: what counts is that the switcher is there and takes keys.
output_goes_and_comes() {
	plug off
	until_ok 60 "the compositor sees the output go" sh -c 'journalctl -b -u carrel-desk | grep -q "output .* is gone"'
	plug detect
	until_ok 60 "the output is back" drawn now
	rig key ctrl-alt-0
	sleep 10
	rig picture switcher-back
	rig key n
	until_ok 60 "the switcher on it takes keys" changed now 20000 switcher-back
	rig key esc
}

# A guest that fills its display's ring and rings the bells of its display and its keyboard as fast as it can.
floods() { sed -n 's/.*GUEST-FLOOD \([0-9]*\).*/\1/p' $logs/guest-flood.log | tail -n 1; }
floods_on() { [ "$(floods)" -gt "$1" ]; }
floods_and_hotkeys_work() {
	local n before
	screen_guest flood screen-flood
	until_ok 120 "it floods" floods_on 1000
	for n in 1 2 3 4 5; do
		before=$(floods)
		rig key "$1"
		until_ok 10 "$1 shows flood" shown flood
		until_ok 20 "it floods on" floods_on "$before"
		rig key ctrl-alt-0
		until_ok 10 "Ctrl+Alt+0 shows the switcher" shown ""
	done
	rig key n
	sleep 20
	rig picture flooded
	until_ok 60 "the switcher takes keys meanwhile" changed now 20000 switcher
	rig key esc
	remove_guest flood
}

# Two guests by the stock drivers: each has the keys that were pressed while it was on screen, and no others.
keys() { grep -c 'GUEST-KEY' "$logs/guest-$1.log"; }
has_keys() { [ "$(keys "$1")" = "$2" ]; }
selected() { sed -n 's/.*GUEST-SELECTED \([0-9a-f-]*\).*/\1/p' "$logs/guest-$1.log"; }
has_texts() { [ "$(grep -c 'GUEST-TEXT' "$logs/guest-$1.log")" = "$2" ]; }
keys_reach_the_one_on_screen() {
	local vm
	for vm in left right; do
		screen_guest $vm screen-keys
		until_ok 120 "$vm has its screen" grep -q GUEST-SCREEN $logs/guest-$vm.log
	done
	rig key ctrl-alt-1
	until_ok 30 "left is shown" shown left
	sleep 3
	rig picture left
	rig type 'abc'
	until_ok 30 "left has its keys" has_keys left 3
	until_ok 30 "they are on its screen" changed left-typed 10000 left
	rig key ctrl-alt-2
	until_ok 30 "right is shown" shown right
	until_ok 30 "they are not on right's" changed right 10000 left-typed
	rig type 'de'
	until_ok 30 "right has its keys" has_keys right 2
	rig key ctrl-alt-0
	until_ok 30 "the switcher is shown" shown ""
	rig type 'x'
	sleep 5
	has_keys left 3 && has_keys right 2 || fail "keys of others: left has $(keys left), right $(keys right)"
	# The text that is selected in left goes into right, once: the next press takes right's.
	carry left ctrl-alt-1 right ctrl-alt-2
	until_ok 20 "right has the text" has_texts right 1
	grep -q "GUEST-TEXT $(selected left)" $logs/guest-right.log || fail "right has another text than left's"
	rig key ctrl-alt-v
	until_ok 10 "right's is read next" text_is_read right
	has_texts right 1 && has_texts left 0 || fail "a text went where nobody carried it"
	for vm in left right; do
		remove_guest $vm
	done
}

ended_in_order() { ! journalctl -b | grep -E 'carrel-(view|sound)@.*code=(killed|dumped)' | grep -v status=9; }
[ "${1:-}" != quick ] && carrelctl show work >/dev/null 2>&1 || {
	floods_and_hotkeys_work ctrl-alt-1
	keys_reach_the_one_on_screen
	output_goes_and_comes
	ended_in_order || fail "a back end did not end in order"
	echo "$name: no desktops here; the rest is left out"
	exit 0
}

floods_and_hotkeys_work ctrl-alt-3
begins work ctrl-alt-1 900
begins personal ctrl-alt-2 900
sleep 30
rig picture personal
rig key ctrl-alt-1
sleep 10
rig picture work
rig type 'touch here; clear; echo typed into work\n'
until_ok 60 "what is typed appears in Work" changed work-typed 500 work
in_guest work "test -e /home/user/here" || fail "Work did not take what was typed"
rig key ctrl-alt-2
until_ok 30 "Personal again" shown personal
sleep 10
# A cursor may blink, the clock may go on.
looks personal-after 1500 personal || fail "Personal's picture changed by $answer pixels"
in_guest personal "test ! -e /home/user/here" || fail "Personal got what was typed into Work"
echo "$name: what was typed is in Work alone"

# As a program in the desktop sees the clipboard.
clipboard() { echo "runuser -u user -- env XDG_RUNTIME_DIR=/run/user/1000 WAYLAND_DISPLAY=wayland-0 $1"; }
in_guest work "$(clipboard 'wl-copy carried') >/dev/null 2>&1" || fail "Work has no clipboard"
carry work ctrl-alt-1 personal ctrl-alt-2
has_clip() { in_guest "$1" "test \"\$($(clipboard 'wl-paste -n'))\" = $2"; }
until_ok 60 "what was copied in Work can be pasted in Personal" has_clip personal carried

for unit in carrel-view@personal.service carrel-desk.service carreld.service; do
	kill_unit $unit
	rig key ctrl-alt-2
	until_ok 120 "Personal is on the screen after $unit was killed" looks now 6000 personal
done
rig key ctrl-alt-0
until_ok 30 "Ctrl+Alt+0 shows the switcher" shown ""
sleep 10
rig picture switcher-live
output_goes_and_comes
[ "$(xl list | wc -l)" -ge 4 ] || fail "a VM is gone: $(xl list)"
exit 0
