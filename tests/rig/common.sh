# SPDX-License-Identifier: Apache-2.0
# For scripts in the service domain of the disk rig: ". /mnt/rig/common.sh". They set $name, for their messages, and have fail.
export TERM=dumb
logs=/var/log/xen/console

# in_time SECONDS COMMAND…: whether it succeeds in that time, tried every $beat seconds; what it said last is in /run/in_time.
in_time() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/run/in_time 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep "${beat:-0.5}"
	done
}
# until_ok SECONDS WHAT COMMAND…: waits for the command to succeed.
until_ok() {
	local limit=$1 what=$2
	shift 2
	in_time "$limit" "$@" || { cat /run/in_time; fail "$what: not in $limit s"; }
	echo "$name: $what (${SECONDS} s)"
}
# The emulated processor is for the VMs. Masked: udev wants the one, and the other may be about to start, which brings both back.
no_desk() { systemctl -q mask --runtime --now carrel-desk.service carrel-switcher.service; }
# define_guest VM SIZE RUN: a VM of the rig's own guest (guest-init: carrel.run=RUN) on a new disk; more of its file from stdin.
define_guest() {
	local dir=/var/lib/carrel/vms/$1
	mkdir -p -m 700 "$dir" && rm -f "$dir/xvda.qcow2" && qemu-img create -q -f qcow2 "$dir/xvda.qcow2" "$2" && sync -f "$dir" || return
	cat >"/tmp/$1.vm" <<-END
		[machine]
		vcpus=1
		memory-min=128M
		memory-max=128M
		kernel=/boot/vmlinuz
		ramdisk=/guest/initramfs
		cmdline=console=hvc0 quiet loglevel=4 rdinit=/init carrel.run=$3
		[disk xvda]
		file=xvda.qcow2
	END
	cat >>"/tmp/$1.vm"
	carrelctl new "$1" --definition "/tmp/$1.vm"
}
# Consoles of templates log root in by themselves: how often VM's has, and whether it did since the N-th time.
logins() { cat "$logs/guest-$1.log" 2>/dev/null | grep -c 'automatic login'; }
logged_in() { [ "$(logins "$1")" -gt "$2" ] && tail -c 300 "$logs/guest-$1.log" | grep -q 'root@'; }
# The terminal of a VM's console, as the manager knows it.
console_of() { carrelctl show "$1" | awk '$1 == "Console" {print $2}'; }
# The last record that the guest of a VM with run=records told of.
last_record() { sed -n 's/.*GUEST-RECORD \([0-9]*\).*/\1/p' "$logs/guest-$1.log" | tail -n 1; }
# in_guest VM COMMAND: types it on the VM's console as root; its status.
in_guest() {
	local vm=$1 start=$SECONDS tty serial=$RANDOM$RANDOM mark
	shift
	mark="MARK-$serial"
	tty=$(console_of "$vm")
	# The mark is put together by the shell, so that its echo does not count.
	printf '%s; echo MARK-%s=$?=\n' "$*" "\"\"$serial" >"$tty"
	until grep -q "$mark=[0-9]*=" "$logs/guest-$vm.log"; do
		[ $((SECONDS - start)) -lt 300 ] || fail "$vm did not answer to: $*"
		sleep 0.5
	done
	return "$(sed -n "s/.*$mark=\([0-9]*\)=.*/\1/p" "$logs/guest-$vm.log" | tail -n 1)"
}
