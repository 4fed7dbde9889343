#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The real switcher on the compositor of tests/unit/compositor: the only output is taken away and comes back, a second one
comes and the first goes; the switcher is on the screen each time. usage: hotplug.py DESK-RIG CARREL-SWITCHER"""

import os
import socket
import subprocess
import sys
import tempfile
import time


class Screen:
    """The rig's commands."""

    def __init__(self, control):
        self.stream = control.makefile("rw")
        self.expect_ok()

    def expect_ok(self):
        answer = self.stream.readline().strip()
        if not answer.startswith("ok"):
            sys.exit(f"the compositor says: {answer}")
        return answer[3:]

    def ask(self, line):
        self.stream.write(line + "\n")
        self.stream.flush()
        return self.expect_ok()

    def has_switcher(self, output):
        """Whether a line across the top bar has buttons on it: the splash has nothing there."""
        return len({self.ask(f"pixel {output} {x} 40") for x in range(900, 1270, 6)}) > 3

    def wait(self, output, what):
        end = time.monotonic() + 20
        while not self.has_switcher(output):
            if time.monotonic() > end:
                sys.exit(f"{what}: the switcher is not on {output}")
            time.sleep(0.1)
        print(f"ok: {what}")


def main():
    desk_rig, switcher = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        mine, theirs = socket.socketpair()
        open(f"{directory}/desk.conf", "w").close()
        env = dict(os.environ, XDG_RUNTIME_DIR=directory, HOME=directory, DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={directory}/none",
                   GDK_BACKEND="wayland", NO_AT_BRIDGE="1", GSETTINGS_BACKEND="memory", GIO_USE_VFS="local",
                   WAYLAND_DISPLAY=f"{directory}/desk/shell")
        os.mkdir(f"{directory}/desk")
        programs = [subprocess.Popen([desk_rig, f"{directory}/desk", f"{directory}/desk.conf", str(theirs.fileno())],
                                     env=env, pass_fds=[theirs.fileno()])]
        theirs.close()
        try:
            screen = Screen(mine)
            first = screen.ask("output 1280 800")
            programs.append(subprocess.Popen([switcher], env=env))
            screen.wait(first, "at its start")
            screen.ask(f"remove {first}")
            time.sleep(1)
            second = screen.ask("output 1280 800")
            screen.wait(second, "after the only output went and another came")
            third = screen.ask("output 1280 800")
            time.sleep(1)
            screen.ask(f"remove {second}")
            screen.wait(third, "after the one it was on went")
            if programs[1].poll() is not None:
                sys.exit("the switcher has ended")
        finally:
            for program in reversed(programs):
                program.kill()
                program.wait()


main()
