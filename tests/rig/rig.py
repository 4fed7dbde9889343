#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Boots the emulated laptop. Runs in the build root; called by './carrel rig'."""

import argparse
import fcntl
import glob
import hashlib
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from cuts import Cut
from hands import Failed, Hands, Qmp

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CACHE = "/cache"

# Exit statuses of a rig; anything else is the script's own.
CORE_PANIC, DOM0_PANIC, LOST, REFUSED, TIMEOUT = 120, 121, 122, 123, 124
CUT, SAVED = -1, -2  # the power was cut, the machine's state saved, as it should be
MEANING = {CORE_PANIC: "the core panicked", DOM0_PANIC: "the service domain panicked",
           LOST: "the machine stopped before the script's end",
           REFUSED: "the core refused to start", TIMEOUT: "time limit reached"}

ENDINGS = [
    (re.compile(r"^carrel: panic"), CORE_PANIC),
    (re.compile(r"^carrel: cannot start: "), REFUSED),
    (re.compile(r"^\(XEN\) Panic on CPU|^Panic on CPU"), CORE_PANIC),
    (re.compile(r"Kernel panic - not syncing"), DOM0_PANIC),
    (re.compile(r"^\(XEN\) Hardware Dom0 crashed|^carrel: .*service domain (crashed|died)"), DOM0_PANIC),
]
EXIT = re.compile(r"CARREL-(?:SCRIPT|GUEST)-EXIT (\d+)")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1bc|\r")

# What QEMU's TCG gets wrong is hidden: see README.md.
QEMU_CPU = "EPYC,+svm,+npt,-rdtscp,-avx,-avx2,-fma,-f16c,-monitor," \
    "-fxsr-opt,-misalignsse,-osvw,-topoext,-nrip-save,-xsavec"  # not in TCG at all; it would warn


def say(text):
    print(f"rig: {text}", file=sys.stderr, flush=True)


def options(argv):
    p = argparse.ArgumentParser(prog="carrel rig", description="Boot the emulated laptop.")
    p.add_argument("--core", choices=["carrel", "xen"], default="carrel",
                   help="which hypervisor: ours, or Debian's Xen 4.20 as the reference")
    p.add_argument("--cpu", choices=["amd", "intel"], default="amd",
                   help="amd: QEMU with SVM and VT-d; intel: Bochs with VT-x (small service domain)")
    p.add_argument("--smp", type=int, default=1, metavar="N", help="physical processors (1)")
    p.add_argument("--mem", default="", metavar="SIZE", help="memory, as 1536M or 2G")
    p.add_argument("--share", metavar="DIR", help="show DIR, read-only, as /mnt/share")
    p.add_argument("--script", metavar="FILE", help="run FILE as root in the service domain, then stop")
    p.add_argument("--timeout", type=int, metavar="S", help="time limit in seconds")
    p.add_argument("--screenshot", metavar="FILE", help="save the screen as a PNG at the end (amd)")
    p.add_argument("--keep", action="store_true", help="keep the run's directory and say where it is")
    p.add_argument("--direct", action="store_true",
                   help="no disk: QEMU loads the core, the kernel and a small initramfs (amd)")
    p.add_argument("--cd", action="store_true",
                   help="with --direct: GRUB loads the same from a CD. What QEMU loads itself it writes again at a wake-up from RAM")
    p.add_argument("--firmware", choices=["bios", "uefi"], default="uefi", help="of the disk rig")
    p.add_argument("--cmdline", default="", metavar="TEXT", help="added to the core's command line")
    p.add_argument("--dom0-cmdline", default="", metavar="TEXT", help="added to the service domain's")
    p.add_argument("--dom0-mem", default="", metavar="SIZE", help="the service domain's memory (768M, 1G on the disk rig)")
    p.add_argument("--qemu-args", default="", metavar="TEXT", help="added to QEMU's command line, e.g. '-d int'")
    p.add_argument("--guest", metavar="FILE",
                   help="boot this PVH ELF alone as the service domain, with --dom0-cmdline; a bare name is one of tests/guests")
    p.add_argument("--core-file", metavar="FILE", help="boot this ELF instead of the one that was built")
    p.add_argument("--accel", choices=["tcg", "kvm", "auto"], default="tcg",
                   help="of amd: tcg emulates the CPU (tests are sure of it); kvm lends this machine's, if it may nest; auto: kvm if it can")
    p.add_argument("--without", choices=["iommu", "svm", "acpi", "kernel", "pvh"], action="append", default=[],
                   help="a machine or boot loader that lacks it; pvh: Debian's bzImage as the kernel (--direct); acpi: of UEFI (SeaBIOS makes its own tables)")
    p.add_argument("--refused", metavar="WORD",
                   help="succeed when the core refuses to start with a message that has this word, on serial and on the screen")
    p.add_argument("--console", action="store_true", help="show the console too, not only the script's output")
    p.add_argument("--window", action="store_true",
                   help="show the screen in a window on $DISPLAY; its own keys are those with the right Ctrl (amd)")
    p.add_argument("--vnc", action="store_true", help="lend a VNC viewer the screen, keyboard and pointer, and say where (amd)")
    p.add_argument("--stay", action="store_true",
                   help="of the disk rig: after a script that succeeded the machine stays on, until it is turned off or Ctrl-C")
    p.add_argument("--channel", choices=["ttyS1", "hvc0"], default="ttyS1",
                   help="what carries the script's output from the disk rig: a second serial port, or the console")
    p.add_argument("--cuts", type=int, default=0, metavar="N",
                   help="of the disk rig: cut the power N times at odd moments after the script is armed, and boot once more "
                        "(tests/rig/powercut.sh); --timeout is of each boot")
    p.add_argument("--seed", type=int, metavar="N", help="of --cuts: the moments of an earlier run again")
    p.add_argument("--desktops", action="store_true",  # the driver chooses the image
                   help="a disk image with the desktops Work and Personal, which is larger and made when first asked for")
    p.add_argument("--image", help=argparse.SUPPRESS)
    p.add_argument("--log", metavar="FILE", help="copy the console there (default: OUT/rig.log)")
    opts = p.parse_args(argv)
    if opts.guest:
        opts.direct = opts.cpu == "amd"
        opts.mem = opts.mem or "512M"
        opts.dom0_mem = opts.dom0_mem or "128M"
        if "/" not in opts.guest:
            opts.guest = f"/out/tests/guests/{opts.guest}"
    if not opts.dom0_mem:
        opts.dom0_mem = "768M" if opts.direct or opts.cpu == "intel" else "1G"
    return opts


def small_parts():
    """The direct rigs' kernel and initramfs, made once for each version of their recipe."""
    sources = ["initramfs.sh", "guest-init", "dom0-init", "guest.cfg", "../../dom0/image/extract-vmlinux"]
    digest = hashlib.sha256(os.environ.get("CARREL_ROOT", "").encode())
    for name in sources:
        with open(os.path.join(HERE, name), "rb") as f:
            digest.update(f.read())
    path = f"{CACHE}/small-{digest.hexdigest()[:12]}"
    with open(f"{CACHE}/small.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(path):
            say("making the small service domain")
            shutil.rmtree(path + ".new", ignore_errors=True)
            os.mkdir(path + ".new")
            subprocess.run([f"{HERE}/initramfs.sh", path + ".new"], check=True, stdout=subprocess.DEVNULL)
            os.rename(path + ".new", path)
    return path


def payload(opts, run):
    """A small ext4 disk with what is installed, the script and the share, which the service domain knows by its serial."""
    tree = f"{run}/payload"
    os.makedirs(f"{tree}/guest")
    guest_initramfs(f"{tree}/guest/initramfs", run)
    shutil.copy(f"{HERE}/guest.cfg", f"{tree}/guest/guest.cfg")
    os.symlink("/boot/vmlinuz", f"{tree}/guest/vmlinuz")
    for shared in ("common.sh", "screen.sh"):
        shutil.copy(f"{HERE}/{shared}", tree)
    if opts.script:
        shutil.copy(opts.script, f"{tree}/script")
    if opts.share:
        shutil.copytree(opts.share, f"{tree}/share", symlinks=True)
    if os.path.exists("/out/install.tar"):
        shutil.copy("/out/install.tar", tree)
    used = int(subprocess.run(["du", "-sm", tree], check=True, stdout=subprocess.PIPE).stdout.split()[0])
    image = f"{run}/payload.img"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree, image, f"{used * 11 // 10 + 8}M"],
                   check=True)
    return image


def disk(opts, run, interactive, cut=None):
    """The whole laptop: firmware, GRUB, the core, Debian. The disk is a copy, and so is the firmware's store."""
    image = f"{run}/disk.img"  # the system anew, however often
    subprocess.run(["cp", "--sparse=always", opts.image, image], check=True)
    esp = f"{image}@@{2 << 20}"
    name = "xen" if opts.core == "xen" else "carrel-core"
    if opts.core == "carrel":
        subprocess.run(["mcopy", "-o", "-i", esp, core_file(opts), "::/carrel/carrel-core"], check=True)
    words = f"console=hvc0 quiet panic=1 {opts.dom0_cmdline}"
    if opts.stay:
        words += " carrel.stay"
    if interactive:
        words += " carrel.rig=none"
    else:
        words += f" carrel.rig={opts.channel} systemd.mask=serial-getty@hvc0.service"
    with open(f"{run}/rig.cfg", "w") as f:
        f.write(f'set timeout=0\nset core={name}\nset core_args="{core_cmdline(opts)}"\nset dom0_args="{words}"\n'
                "terminal_output serial\n")
    subprocess.run(["mcopy", "-o", "-i", esp, f"{run}/rig.cfg", "::/grub/rig.cfg"], check=True)
    args = qemu_base(opts, run, interactive)
    if opts.firmware == "uefi":
        shutil.copy("/usr/share/OVMF/OVMF_VARS_4M.fd", f"{run}/vars.fd")
        args += ["-drive", "if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
                 "-drive", f"if=pflash,unit=1,format=raw,file={run}/vars.fd"]
    virtio = "iommu_platform=on,disable-legacy=on"
    args += ["-vga", "std",
             "-drive", f"if=none,id=disk,format=raw,cache=unsafe,file={image}",
             "-device", f"virtio-blk-pci,drive=disk,bootindex=0,{virtio}",
             "-drive", f"if=none,id=payload,format=raw,readonly=on,file={cut and cut.payload or payload(opts, run)}",
             "-device", f"virtio-blk-pci,drive=payload,serial=carrelrig,{virtio}",
             # A laptop's keyboard is the i8042's; the tablet is a pointer that can be put somewhere.
             "-device", f"virtio-tablet-pci,{virtio}",
             "-nic", "none"]
    if cut:
        args += ["-drive", f"if=none,id=data,format=raw,cache=unsafe,file={cut.data}",
                 "-device", f"virtio-blk-pci,drive=data,serial=carreldata,{virtio}"]
    if opts.channel == "ttyS1":
        args += ["-chardev", f"pipe,id=channel,path={run}/channel", "-serial", "chardev:channel"]
        for end in ("in", "out"):
            if not os.path.exists(f"{run}/channel.{end}"):
                os.mkfifo(f"{run}/channel.{end}")
    return args + opts.qemu_args.split()


def cpio(tree):
    names = subprocess.run(["find", "."], cwd=tree, check=True, stdout=subprocess.PIPE).stdout
    return subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"], cwd=tree, input=names,
                          check=True, stdout=subprocess.PIPE).stdout


def guest_initramfs(path, run):
    """The guest's initramfs, and what runs in it over that, if it has been built: the front ends of its screen, which are static,
    and the agent that carries text, with its libraries."""
    shutil.copy(f"{small_parts()}/guest.cpio.gz", path)
    if os.path.exists("/out/tests/rig/frontend/frontend"):
        agent = "/out/dom0/guest/carrel-guest-text"
        os.makedirs(f"{run}/guest/bin")
        for program in ("/out/tests/rig/frontend/frontend", agent):
            shutil.copy(program, f"{run}/guest/bin")
        needs = subprocess.run(["ldd", agent], check=True, stdout=subprocess.PIPE, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", needs):
            os.makedirs(f"{run}/guest{os.path.dirname(library)}", exist_ok=True)
            shutil.copy(library, f"{run}/guest{library}")
        with open(path, "ab") as f:
            f.write(b"\0" * (-f.tell() % 4) + cpio(f"{run}/guest"))


def script_cpio(opts, run):
    """A second archive with /script and /mnt/share; the kernel unpacks it over the first."""
    if not opts.script and not opts.share:
        return b""
    tree = f"{run}/extra"
    os.makedirs(f"{tree}/mnt")
    if opts.script:
        shutil.copy(opts.script, f"{tree}/script")
        os.chmod(f"{tree}/script", 0o755)
    if opts.share:
        shutil.copytree(opts.share, f"{tree}/mnt/share", symlinks=True)
    return cpio(tree)


def core_file(opts):
    if opts.core_file:
        return opts.core_file
    path = f"{small_parts()}/xen" if opts.core == "xen" else "/out/hv/carrel-core"
    if not os.path.exists(path):
        sys.exit(f"rig: {path} isn't there: has the core been built?")
    return path


def core_cmdline(opts):
    if opts.core == "xen":
        line = (f"dom0=pvh dom0_mem={opts.dom0_mem},max:{opts.dom0_mem} dom0_max_vcpus=1 com1=115200,8n1 "
                "console=com1 noreboot")
        if opts.cpu == "intel" and opts.guest:
            # Bochs has no IOMMU, and refuses the posted-interrupt descriptor of Xen's VMCS.
            line += " dom0-iommu=none apicv=0 no-real-mode"
        elif opts.cpu == "intel":
            # PVH dom0 needs an IOMMU in Xen and Bochs has none, so the reference runs a PV one there.
            line = line.replace("dom0=pvh ", "no-real-mode ")
    else:
        line = f"dom0_mem={opts.dom0_mem} console=com1"
        if opts.cpu == "intel":
            line += " iommu=off"
            if opts.smp > 1:
                line += " vmx=exceptions"  # docs/bochs-smp.md
    return f"{line} {opts.cmdline}".strip()


def dom0_cmdline(opts, interactive):
    if opts.guest:
        return opts.dom0_cmdline
    line = "console=hvc0 rdinit=/init loglevel=6 panic=1"
    if not opts.script and not interactive:
        line += " carrel.shell=0"
    return f"{line} {opts.dom0_cmdline}".strip()


def kvm_nests():
    """Whether this machine's KVM gives its guests VT-x or SVM."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    for module in ("kvm_intel", "kvm_amd"):
        try:
            with open(f"/sys/module/{module}/parameters/nested") as f:
                return f.read().strip() in ("Y", "1")
        except OSError:
            pass
    return False


def qemu_base(opts, run, interactive):
    kvm = opts.accel == "kvm" or opts.accel == "auto" and kvm_nests()
    if kvm:
        say("this machine's processor by nested KVM (--accel tcg emulates one)")
    machine = f"q35,kernel-irqchip={'split' if kvm else 'off'}" + (",acpi=off" if "acpi" in opts.without else "")
    cpu = "host" if kvm else QEMU_CPU.replace("+svm,+npt", "-svm") if "svm" in opts.without else QEMU_CPU
    # QEMU's windows have keys of their own, Ctrl+Alt+1 among them: with the right Ctrl they don't take Carrel's.
    display = "sdl,grab-mod=rctrl" if opts.window else "none"
    args = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", display, "-name", "Carrel",
            "-M", machine, "-accel", "kvm" if kvm else "tcg,thread=multi", "-cpu", cpu,
            "-smp", str(opts.smp), "-m", opts.mem or ("2G" if opts.direct else "3G"),
            *([] if "iommu" in opts.without else ["-device", "intel-iommu,intremap=on"]),
            "-chardev", f"stdio,id=console,signal={'off' if interactive else 'on'}",
            "-serial", "chardev:console",
            "-qmp", f"unix:{run}/qmp,server=on,wait=off",
            *(["-vnc", "127.0.0.1:0,to=99"] if opts.vnc else [])]
    return args


def dom0_files(opts, run):
    """The service domain's kernel and, but for a guest of tests/guests, its initramfs."""
    if opts.guest:
        return [opts.guest]
    small = small_parts()
    if "pvh" in opts.without:
        return glob.glob("/opt/dom0/boot/vmlinuz-*")[:1]
    initramfs = f"{run}/initramfs"
    with open(initramfs, "wb") as out:
        with open(f"{small}/dom0.cpio", "rb") as f:
            shutil.copyfileobj(f, out)
        out.write(script_cpio(opts, run))
    return [f"{small}/vmlinux", initramfs]


def direct(opts, run, interactive):
    if opts.cd:
        return qemu_base(opts, run, interactive) + ["-vga", "std", "-cdrom", iso(opts, run, interactive)] + opts.qemu_args.split()
    kernel, *initramfs = dom0_files(opts, run)
    double = lambda text: text.replace(",", ",,")
    return qemu_base(opts, run, interactive) + [
        "-vga", "std",
        "-kernel", core_file(opts), "-append", core_cmdline(opts),
        *([] if "kernel" in opts.without else
          ["-initrd", ",".join([f"{kernel} {double(dom0_cmdline(opts, interactive))}", *initramfs])]),
    ] + opts.qemu_args.split()


class Console:
    """Copies a console to stdout and to a log, and tells how the run ended."""

    def __init__(self, log, cut=None, stay=False):
        self.cut = cut
        self.stay = stay
        self.log = open(log, "wb")
        self.partial = ""
        self.last = []
        self.status = None
        self.ended = None
        self.marks = []
        self.start = time.monotonic()
        self.quiet = False
        self.channel_partial = ""
        self.hands = self.channel = None

    def feed(self, data):
        self.log.write(data)
        self.log.flush()
        if not self.quiet:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        lines = (self.partial + data.decode("utf-8", "replace")).split("\n")
        self.partial = lines.pop()[-4096:]
        for line in lines:
            line = ESCAPES.sub("", line)
            self.last = (self.last + [line])[-25:]
            self.line(line)

    def feed_channel(self, data):
        """The script's own output; the rig's words in it aren't shown."""
        lines = (self.channel_partial + data.decode("utf-8", "replace")).split("\n")
        self.channel_partial = lines.pop()
        for line in lines:
            if line.startswith("@cut") and self.cut:
                self.cut.save()
                self.finish(SAVED, 0)
                continue
            if line.startswith("@") and self.hands:
                os.write(self.channel, (self.hands.answer(line.rstrip("\r")) + "\n").encode())
                continue
            self.line(line)
            if self.cut:
                self.cut.line(line)
            if not re.match(r"CARREL-(DOM0|SCRIPT|CUT)-", line):
                print(line, flush=True)

    def line(self, line):
        now = time.monotonic()
        mark = re.search(r"CARREL-DOM0-\w+|GRUB: \w+", line)
        if mark:
            self.marks.append((now - self.start, mark.group(0)))
        found = EXIT.search(line)
        if found:
            self.finish(int(found.group(1)), 3)
            return
        for pattern, status in ENDINGS:
            if self.status is None and pattern.search(line):
                self.finish(status, 3)

    def finish(self, status, grace):
        if self.status is None:
            self.status = status
            self.ended = time.monotonic() + grace
            if self.stay and status == 0:
                self.ended = float("inf")
                say("the machine stays on, until it is turned off at its screen or by Ctrl-C")


def follow(opts, args, console, limit, interactive, source=None, channel=None):
    """Runs the emulator until the run ends; source is a file to tail instead of its stdout, and
    channel two FIFOs: from the script and to it."""
    deadline = time.monotonic() + limit if limit else None
    stdin = None if interactive else subprocess.DEVNULL
    proc = subprocess.Popen(args, stdin=stdin, stdout=subprocess.DEVNULL if source else subprocess.PIPE,
                            stderr=subprocess.DEVNULL if source else None,
                            start_new_session=not interactive)
    tail, shot, run = None, False, os.path.dirname(console.log.name)
    if opts.vnc and opts.cpu == "amd":
        vnc_address(run)
    extra = os.open(f"{channel}.out", os.O_RDWR | os.O_NONBLOCK) if channel else None
    if channel:
        console.channel = os.open(f"{channel}.in", os.O_RDWR | os.O_NONBLOCK)
        console.hands = Hands(run, "/out/screens")
        if console.cut and console.cut.saved:  # the script has asked
            console.cut.go_on()
            os.write(console.channel, (console.cut.words() + "\n").encode())
    try:
        while True:
            if extra is not None and select.select([extra], [], [], 0)[0]:
                console.feed_channel(os.read(extra, 65536))
            if source:
                if tail is None and os.path.exists(source):
                    tail = open(source, "rb", buffering=0)
                data = tail.read(65536) if tail else b""
                if not data:
                    time.sleep(0.05)
                finished = proc.poll() is not None and not data
            else:
                watched = [proc.stdout] + ([extra] if extra is not None else [])
                ready = proc.stdout in select.select(watched, [], [], 0.2)[0]
                data = os.read(proc.stdout.fileno(), 65536) if ready else b""
                finished = ready and not data
            if data:
                console.feed(data)
            now = time.monotonic()
            if console.cut and console.cut.due() and console.status is None:
                console.finish(CUT, 0)
            if console.status in (CUT, SAVED):
                return
            if console.ended and opts.screenshot and not shot and opts.cpu == "amd":
                shot = qmp(run, "screendump", filename=opts.screenshot, format="png") is not None
            if finished:
                if console.status is None:
                    console.status = LOST
                return
            if console.ended and now > console.ended:
                return
            if deadline and now > deadline and not console.ended:
                console.finish(TIMEOUT, 0)
                return
    except KeyboardInterrupt:
        console.finish(130, 0)
    finally:
        if opts.refused:
            refusal(opts, run, console)
        if proc.poll() is None:
            proc.kill()  # its disks are copies
            proc.wait()


def qmp(run, command, **arguments):
    """What QEMU answers to one command; None if it can't be asked any more."""
    try:
        with Qmp(f"{run}/qmp") as connection:
            return connection.ask(command, **arguments)
    except (OSError, ValueError, Failed) as e:
        say(f"QEMU did not answer to {command}: {e}")
        return None


def vnc_address(run):
    for _ in range(50):
        if os.path.exists(f"{run}/qmp"):
            found = qmp(run, "query-vnc") or {}
            say(f"the laptop's screen, for a VNC viewer on this machine: {found.get('host')}:{found.get('service')}")
            return
        time.sleep(0.1)


def refusal(opts, run, console):
    """One clear message on serial and, where that is VGA text, on the screen, and a machine that stands still."""
    said = [line for line in console.last if line.startswith("carrel: cannot start: ")]
    console.status = 1
    if not said or opts.refused not in said[0]:
        say(f"no refusal that says \"{opts.refused}\"")
        return
    if opts.direct:
        qmp(run, "pmemsave", val=0xb8000, size=80 * 25 * 2, filename=f"{run}/screen")
        with open(f"{run}/screen", "rb") as f:
            screen = f.read()[::2].decode("cp437")
        if opts.refused not in screen or "cannot start" not in screen:
            say("it is not on the screen")
            return
    if opts.cpu == "amd":
        if (qmp(run, "query-status") or {}).get("status") != "running":
            say("the machine did not stay on for the message to be read")
            return
    console.status = 0


def iso(opts, run, interactive):
    kernel, *initramfs = dom0_files(opts, run)
    tree = f"{run}/iso"
    os.makedirs(f"{tree}/boot/grub")
    shutil.copy(core_file(opts), f"{tree}/boot/core")
    shutil.copy(kernel, f"{tree}/boot/vmlinux")
    if initramfs:
        shutil.copy(initramfs[0], f"{tree}/boot/initramfs")
    with open(f"{tree}/boot/grub/grub.cfg", "w") as f:
        # GRUB's multiboot2 loader crashes under Bochs in its BIOS calls.
        f.write("serial --unit=0 --speed=115200\nterminal_output serial\nset timeout=0\n"
                "echo GRUB: loading\n"
                f"multiboot /boot/core {core_cmdline(opts)}\n"
                f"module /boot/vmlinux {dom0_cmdline(opts, interactive)}\n"
                f"{'module /boot/initramfs' if initramfs else ''}\n"
                "echo GRUB: starting\nboot\n")
    subprocess.run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "--locales=", "--fonts=", "--themes=",
                    "-o", f"{run}/boot.iso", tree], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return f"{run}/boot.iso"


def megabytes(size):
    number, unit = re.fullmatch(r"(\d+)([MG]?)", size.upper()).groups()
    return int(number) * (1024 if unit == "G" else 1)


def bochs(opts, run, interactive):
    image = iso(opts, run, interactive)
    mem = megabytes(opts.mem or "1536M")
    with open(f"{run}/bochsrc", "w") as f:
        f.write(f"""memory: guest={mem}, host={mem}
cpu: model=corei7_skylake_x, count={opts.smp}, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
romimage: file=/opt/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={image}, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={run}/serial
clock: sync=none
display_library: rfb, options="timeout=0"
log: {run}/bochs.log
panic: action=fatal
error: action=ignore
info: action=report
debug: action=ignore
""")
    with open(f"{run}/go", "w") as f:
        f.write("c\n")
    return ["bochs", "-q", "-f", f"{run}/bochsrc", "-rc", f"{run}/go"]


def wait_for_turn():
    """One rig at a time: time limits are of the clock, and two emulators share the processors of one machine."""
    lock = open(f"{CACHE}/rig.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        say("another rig runs on this machine; waiting for it to end")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def cuts(opts, run, limit):
    """Boots until the power was cut as often as told, and once more; the console of the last boot."""
    opts.seed = opts.seed if opts.seed is not None else random.randrange(1 << 31)
    say(f"{opts.cuts} power cuts, --seed {opts.seed}")
    cut = Cut(opts.cuts, opts.seed, run, payload(opts, run))
    args = disk(opts, run, False, cut)
    while True:
        console = Console(f"{run}/console.log", cut)
        console.quiet = not opts.console
        cut.at = None
        follow(opts, cut.again(args) if cut.saved else args, console, limit, False, channel=f"{run}/channel")
        if console.status == SAVED:
            say(f"the machine is saved, {time.monotonic() - console.start:.0f} s after power-on")
            continue
        if console.status != CUT:
            say(f"{opts.cuts - cut.left} of {opts.cuts} power cuts were done")
            if console.status == 0 and cut.left:
                console.status = 1
            return console
        cut.left -= 1
        say(f"cut {opts.cuts - cut.left} of {opts.cuts}, after {time.monotonic() - console.start:.0f} s; "
            f"{cut.acked} records were told of")


def main():
    opts = options(sys.argv[1:])
    if opts.cuts and (opts.direct or opts.cpu == "intel" or not opts.script or opts.channel != "ttyS1"):
        sys.exit("rig: --cuts is of the disk rig, with a script and its own channel")
    turn = wait_for_turn()
    interactive = not opts.script and sys.stdin.isatty() and opts.cpu == "amd"
    limit = opts.timeout if opts.timeout is not None else (0 if interactive else 600)
    run = tempfile.mkdtemp(prefix="rig-", dir="/out" if opts.keep else "/tmp")
    console = Console(f"{run}/console.log", stay=opts.stay)
    signal.signal(signal.SIGTERM, lambda *a: sys.exit(143))
    try:
        if opts.cuts:
            console = cuts(opts, run, limit)
        elif opts.cpu == "intel":
            follow(opts, bochs(opts, run, interactive), console, limit, interactive, source=f"{run}/serial")
        elif opts.direct:
            follow(opts, direct(opts, run, interactive), console, limit, interactive)
        else:
            args = disk(opts, run, interactive)
            apart = not interactive and opts.channel == "ttyS1"
            console.quiet = apart and bool(opts.script) and not opts.console
            follow(opts, args, console, limit, interactive, channel=f"{run}/channel" if apart else None)
    finally:
        shutil.copy(console.log.name, opts.log or "/out/rig.log")
        if opts.cpu == "intel" and os.path.exists(f"{run}/bochs.log"):
            shutil.copy(f"{run}/bochs.log", "/out/bochs.log")
        if not opts.keep:
            shutil.rmtree(run, ignore_errors=True)
    print(flush=True)
    for when, mark in console.marks:
        say(f"{mark} after {when:.1f} s")
    total = time.monotonic() - console.start
    if console.status in MEANING:
        say(f"{MEANING[console.status]} (status {console.status}, {total:.0f} s). The console's last lines:")
        for line in console.last + [console.partial]:
            print(f"    {line}", file=sys.stderr)
    else:
        say(f"script's status {console.status}, {total:.0f} s")
    if opts.keep:
        say(f"kept in the build directory: {os.path.basename(run)}")
    del turn
    sys.exit(console.status)


main()
