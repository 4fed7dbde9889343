# SPDX-License-Identifier: Apache-2.0
"""Power cuts: what outlives them, and the machine's state shortly after its start, from which each boot but the first goes on,
so that a hundred fit in an hour or two."""

import os
import random
import re
import subprocess
import time

from hands import Failed, Qmp

LONGEST = 30  # seconds from armed to cut


def stop_idle(qemu):
    """Stops the machine while the core waits in HLT: QEMU refuses to read a state in which a domain had the processor."""
    for _ in range(1000):
        qemu.ask("stop")
        if "HLT=1" in qemu.ask("human-monitor-command", **{"command-line": "info registers"}):
            return
        qemu.ask("cont")
        time.sleep(0.05)
    raise Failed("the machine is never idle")


class Cut:
    """The VMs' disk, and the last record that the guest told it had flushed."""

    def __init__(self, count, seed, run, payload):
        self.left = count
        self.acked = 0
        self.random = random.Random(seed)
        self.run = run
        self.payload = payload
        self.data = f"{run}/data.img"
        self.state = f"{run}/state"
        self.saved = False
        self.at = None
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum_seed,^orphan_file",
                        "-E", "lazy_itable_init=1,lazy_journal_init=1", self.data, "4G"], check=True)

    def line(self, line):
        """CARREL-CUT-ARMED: from now on; -ACK N: record N is flushed; -REVERT N: those after N may go."""
        found = re.match(r"CARREL-CUT-(ACK|REVERT) (\d+)$", line.strip())
        if found:
            self.acked = int(found.group(2))
        elif line.startswith("CARREL-CUT-ARMED") and self.at is None:
            self.at = time.monotonic() + self.random.uniform(1, LONGEST)

    def due(self):
        return self.at is not None and time.monotonic() > self.at

    def words(self):
        """What the script is told when it asks: the last record, how many cuts are still to come."""
        return f"ok {self.acked} {self.left}"

    def save(self):
        """The machine as it is, into a file; it does not go on after this."""
        with Qmp(f"{self.run}/qmp") as qemu:
            stop_idle(qemu)
            qemu.ask("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
            qemu.ask("migrate", uri=f"file:{self.state}")
            while (status := qemu.ask("query-migrate").get("status")) not in ("completed", "failed", "cancelled"):
                time.sleep(0.2)
        if status != "completed":
            raise Failed(f"QEMU does not save the machine: {status}")
        self.saved = True

    def go_on(self):
        """Lets the saved machine run, as soon as QEMU has read it."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with Qmp(f"{self.run}/qmp") as qemu:
                    if qemu.ask("query-status").get("status") == "paused":
                        qemu.ask("cont")
                        return
            except OSError:
                pass  # not there yet
            time.sleep(0.2)
        raise Failed("QEMU does not read the saved machine")

    def again(self, args):
        """QEMU's arguments for the saved machine: its system disk is as it was, the VMs' disk is as the last cut left it."""
        image = f"{self.run}/disk.img"
        overlay = f"{image}.now"
        if os.path.exists(overlay):
            os.unlink(overlay)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "raw", overlay], check=True)
        return [arg.replace(f"format=raw,cache=unsafe,file={image}", f"format=qcow2,cache=unsafe,file={overlay}")
                for arg in args] + ["-incoming", f"file:{self.state}"]
