#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# rig: --mem 3G
# Processor time in the service domain for one 1080p picture of a guest, all of it new: carrel-view, by the PV display, beside
# QEMU's own vfb with its VNC, whose client on this machine takes each picture raw and throws it away. Neither has the
# drawing of the viewer's window in it; carrel-desk's share is told apart. Memory of both. Runs in the disk rig.
set -u
name=bench
. /mnt/rig/screen.sh
frames=${frames:-40}

# cpu PID: ns of processor time, of all its threads.
cpu() { awk '{n += $1} END {printf "%.0f", n}' "/proc/$1/task/"*/schedstat; }
memory() { awk '/^RssAnon/ {print $2}' "/proc/$1/status"; }
told() { sed -n 's/.*GUEST-FRAMES \([0-9]*\).*/\1/p' "$logs/guest-$1.log" | tail -n 1; }
draws() { [ "$(told "$1")" -gt "$2" ]; }
# ms FROM TO PICTURES
ms() { awk -v a="$1" -v b="$2" -v n="$3" 'BEGIN {printf "%.2f ms", (b - a) / 1e6 / n}'; }

# The client of QEMU's VNC: no security, a shared desktop, the server's own format, raw.
rfb_connect() {
	exec 4<>/dev/tcp/127.0.0.1/5907 || return
	head -c 12 <&4 >/tmp/rfb # its version
	printf 'RFB 003.008\n' >&4
	head -c 2 <&4 >/tmp/rfb # its kinds of security
	printf '\001' >&4
	head -c 4 <&4 >/tmp/rfb
	printf '\001' >&4
	head -c 24 <&4 >/tmp/rfb
	size=$(od -An -tu1 -N4 /tmp/rfb | awk '{print $1 * 256 + $2 "x" $3 * 256 + $4}')
	head -c "$(($(od -An -tu1 -j23 -N1 /tmp/rfb)))" <&4 >/tmp/rfb # its name
	printf '\002\000\000\001\000\000\000\000' >&4
}
# What has changed; sixty times a second.
rfb_ask_once() { printf '\003\001\000\000\000\000\007\200\004\070' >&4; }
rfb_ask() { while rfb_ask_once; do sleep 0.017; done; }
# QEMU looks at its guest's frame buffer only while it has a client: the size that it knows is right for the next one.
rfb_has_size() {
	rfb_connect && rfb_ask_once || return
	[ "$size" = 1920x1080 ] || { sleep 2; exec 4>&-; return 1; }
}

until_ok 300 "the desk runs" systemctl is-active carrel-switcher
until_ok 120 "the manager answers" carrelctl list
screen_guest draws screen-draw
rig key ctrl-alt-1
until_ok 30 "it is shown" shown draws
until_ok 300 "it draws" draws draws 4
view=$(pid carrel-view@draws) desk=$(pid carrel-desk)
first=$(told draws) view_before=$(cpu "$view") desk_before=$(cpu "$desk")
until_ok 600 "$frames pictures more" draws draws $((first + frames))
n=$(($(told draws) - first))
view_frame=$(ms "$view_before" "$(cpu "$view")" $n)
echo "BENCH view-frame $view_frame"
echo "BENCH desk-frame $(ms "$desk_before" "$(cpu "$desk")" $n)"
echo "BENCH view-memory $(memory "$view") KiB"
rig key ctrl-alt-0
carrelctl off draws >/dev/null 2>&1 || fail "cannot be forced off"

cat >/tmp/vfb.cfg <<-END
	name = "vfb"
	type = "pvh"
	kernel = "/boot/vmlinuz"
	ramdisk = "/guest/initramfs"
	memory = 128
	vcpus = 1
	extra = "console=hvc0 quiet loglevel=4 rdinit=/init carrel.run=screen-fb xen-fbfront.video=8,1920,1080"
	tsc_mode = "native"
	vfb = [ "vnc=1,vnclisten=127.0.0.1,vncunused=0,vncdisplay=7" ]
END
xl create /tmp/vfb.cfg >/dev/null || fail "xl create"
until_ok 300 "vfb draws" draws vfb 4
# libxl starts a PVH guest's QEMU without -vga xenfb, and such a one has no vfb back end.
domid=$(xl domid vfb)
pkill -f "xen-domid $domid "
/usr/libexec/xen-qemu-system-i386 -xen-domid "$domid" -xen-attach -M xenpv,usb=off -nodefaults -vga xenfb -vnc 127.0.0.1:7 -m 128 2>/tmp/qemu.log &
qemu=$!
until_ok 60 "QEMU's VNC has its size" rfb_has_size
rfb_ask &
asks=$!
picture=$((1920 * 1080 * 4))
head -c $((4 * picture)) <&4 >/dev/null
before=$(cpu "$qemu")
head -c $((frames * picture)) <&4 >/dev/null
qemu_frame=$(ms "$before" "$(cpu "$qemu")" "$frames")
echo "BENCH qemu-vfb-frame $qemu_frame"
echo "BENCH view-of-qemu $(awk -v a="${view_frame% ms}" -v b="${qemu_frame% ms}" 'BEGIN {printf "%.0f", 100 * a / b}') %"
echo "BENCH qemu-memory $(memory "$qemu") KiB"
kill $asks $qemu
xl destroy vfb >/dev/null 2>&1
exit 0
