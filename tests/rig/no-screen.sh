#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A laptop for whose screen the kernel has no driver ('--dom0-cmdline modprobe.blacklist=bochs'): the person reads so on the boot
# framebuffer, nothing tries for ever to start the desk, and the manager works. Runs in the service domain of the disk rig.
set -u
name=no-screen
. /mnt/rig/screen.sh

told() { grep -q 'found no graphics driver' /dev/vcs1; }
ls /dev/dri/card* 2>/dev/null && fail "there is a graphics driver"
rig picture boot
until_ok 180 "the person is told" told
sleep 2
changed no-driver 2000 boot || fail "it is not on the screen"
[ "$(systemctl show -P NRestarts carrel-desk)" = 0 ] || fail "the desk is started again and again"
until_ok 120 "the manager answers" carrelctl list
exit 0
