#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# initramfs.sh OUT: makes what the direct rigs boot, in the build root, from its own packages:
#   OUT/vmlinux        Debian's stock kernel as an ELF file
#   OUT/dom0.cpio      a small service domain: xenstored, xenconsoled, xl, and a guest to start
#   OUT/guest.cpio.gz  that guest's initramfs (also inside dom0.cpio, below /guest)
#   OUT/xen            Debian's Xen 4.20, the reference
set -eu
here=$(dirname "$(readlink -f "$0")")
out=$1
parts=/opt/dom0
release=$(ls $parts/usr/lib/modules)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# modules TREE NAME…: the named modules and what they need, unpacked so that nothing is
# decompressed at boot.
modules() {
	tree=$1
	shift
	mkdir -p "$tree/lib/modules/$release"
	for name; do
		modprobe --show-depends -d $parts/usr -S "$release" "$name" 2>/dev/null ||
			modprobe --show-depends -d $parts -S "$release" "$name"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r file; do
		xz -dc "$file" >"$tree/lib/modules/$release/$(basename "$file" .xz)"
	done
	depmod -b "$tree" "$release" 2>/dev/null
}

# skeleton TREE: directories, busybox and a console.
skeleton() {
	mkdir -p "$1"/bin "$1"/sbin "$1"/usr/bin "$1"/usr/sbin "$1"/proc "$1"/sys "$1"/dev "$1"/run \
		"$1"/tmp "$1"/mnt/share "$1"/etc "$1"/root "$1"/var/run "$1"/var/lib "$1"/var/log
	cp /usr/bin/busybox "$1/bin/busybox"
	busybox --list | while read -r applet; do
		[ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"
	done
	mknod -m 600 "$1/dev/console" c 5 1
	mknod -m 666 "$1/dev/null" c 1 3
	printf 'root:x:0:0:root:/root:/bin/sh\n' >"$1/etc/passwd"
	printf 'root:x:0:\n' >"$1/etc/group"
}

pack() { (cd "$1" && find . | sort | cpio -o -H newc --quiet -R 0:0); }

# The guest.
guest=$work/guest
skeleton "$guest"
modules "$guest" xen-netfront xen-blkfront xen-gntalloc xen-evtchn drm_xen_front evdev
cp "$here/guest-init" "$guest/init"
for action in poweroff reboot halt; do
	rm -f "$guest/bin/$action"
	printf '#!/bin/sh\nexec /bin/busybox %s -f\n' $action >"$guest/sbin/$action"
	chmod +x "$guest/sbin/$action"
done
pack "$guest" | gzip -1 >"$out/guest.cpio.gz"

# The service domain.
dom0=$work/dom0
skeleton "$dom0"
modules "$dom0" xenfs xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xen-blkback xen-netback \
	bridge loop virtio_blk virtio_net e1000e ahci sd_mod squashfs
mkdir -p "$dom0/etc/xen" "$dom0/usr/lib" "$dom0/var/lib/xen" "$dom0/var/log/xen" "$dom0/guest" \
	"$dom0/var/lib/xenstored" "$dom0/run/xen" "$dom0/run/xenstored"
rmdir "$dom0/var/run" && ln -s /run "$dom0/var/run"
xen=/usr/lib/xen-4.20
mkdir -p "$dom0$xen/bin"
for program in xl xenstored xenconsoled xenconsole xen-init-dom0 xenstore-control libxl-save-helper xentop \
	lsevtchn xen-hptool test-resource; do
	cp $xen/bin/$program "$dom0$xen/bin/"
	ln -s $xen/bin/$program "$dom0/bin/$program"
done
for program in chmod exists list ls read rm watch write; do
	[ -e /usr/bin/xenstore-$program ] && cp -L /usr/bin/xenstore-$program "$dom0/bin/"
done
# Xen's hotplug scripts want more of these than busybox offers.
for program in flock stat losetup logger; do
	rm -f "$dom0/bin/$program"
	cp "$(command -v $program)" "$dom0/bin/"
done
cp /bin/bash "$dom0/usr/bin/" && ln -s ../usr/bin/bash "$dom0/bin/bash"
cp /etc/xen/xl.conf "$dom0/etc/xen/"
cp -r /etc/xen/scripts "$dom0/etc/xen/"
find "$dom0/bin" "$dom0/usr/bin" "$dom0$xen" -type f | xargs -n1 ldd 2>/dev/null |
	sed -n 's/.*=> \(\/[^ ]*\).*/\1/p;s/^\s*\(\/lib64[^ ]*\).*/\1/p' | sort -u | while read -r lib; do
	mkdir -p "$dom0$(dirname "$lib")"
	cp -L "$lib" "$dom0$lib"
done
# Opened by name at run time: thread cancellation in xl's children.
cp -L /usr/lib/x86_64-linux-gnu/libgcc_s.so.1 "$dom0/lib/x86_64-linux-gnu/" 2>/dev/null ||
	cp -L /usr/lib/x86_64-linux-gnu/libgcc_s.so.1 "$dom0/usr/lib/x86_64-linux-gnu/"
cp "$here/dom0-init" "$dom0/init"
cp $parts/boot/vmlinuz-"$release" "$dom0/guest/vmlinuz"
cp "$out/guest.cpio.gz" "$dom0/guest/initramfs"
cp "$here/guest.cfg" "$dom0/guest/guest.cfg"
pack "$dom0" >"$out/dom0.cpio"

"$here/../../dom0/image/extract-vmlinux" $parts/boot/vmlinuz-"$release" >"$out/vmlinux"
gzip -dc $parts/boot/xen-4.20-amd64.gz >"$out/xen"
ls -l "$out"
