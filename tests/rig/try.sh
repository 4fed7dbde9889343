#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What './carrel try' shows: the desk on the emulated laptop's screen, each of its dialogs and the lock, by keys; then Work and
# Personal, each on the whole screen by its hotkey. Runs in the service domain of the disk rig that has them (--desktops); pictures
# of what a person sees come into the build directory's screens/.
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
# Typed again when nothing came of it: on a busy machine keys can come before the lock has its field.
opens() {
	local end=$((SECONDS + 40))
	rig type 'carrel\n'
	until desk_is Locked "b false"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 1
	done
}

until_ok 300 "the compositor runs" systemctl is-active carrel-desk
until_ok 60 "the splash is on the screen" drawn splash
until_ok 180 "the manager answers" carrelctl list
until_ok 180 "the switcher runs" systemctl is-active carrel-switcher
sleep 5
until_ok 60 "the switcher is on the screen" changed switcher 20000 splash
look new-vm n
look settings s
rig key ctrl-alt-l
until_ok 60 "the lock" changed lock 20000 switcher
sleep 5
rig picture lock
until_ok 240 "the password opens it" opens
begins work ctrl-alt-1 1200
begins personal ctrl-alt-2 1200
sleep 20 # its terminal
rig picture personal
rig key ctrl-alt-1
sleep 5
rig picture work
rig key ctrl-alt-0
sleep 10
rig picture running
echo "try: the desk is ready, Work and Personal run. Ctrl+Alt+1 and Ctrl+Alt+2 show them, Ctrl+Alt+0 the switcher; the lock's password is: carrel"
exit 0
