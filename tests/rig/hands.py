# SPDX-License-Identifier: Apache-2.0
"""Eyes and hands of a script that runs in the service domain: it asks for keys, clicks and pictures of the emulated
laptop's screen by lines that start with @ on its channel; README.md has the words."""

import json
import os
import re
import socket
import struct
import time
import zlib

# What a US keyboard has, by QEMU's names of keys.
PLAIN = {" ": "spc", "-": "minus", "=": "equal", "[": "bracket_left", "]": "bracket_right", ";": "semicolon", "'": "apostrophe",
         "`": "grave_accent", "\\": "backslash", ",": "comma", ".": "dot", "/": "slash", "\n": "ret", "\t": "tab"}
SHIFTED = dict(zip('!@#$%^&*()_+{}:"~|<>?', "1234567890-=[];'`\\,./"))
BUTTONS = ("left", "right", "middle")
ABSOLUTE = 0x7fff  # what the pointer's axes end at


class Failed(Exception):
    """What the script is told."""


class Qmp:
    """A connection to QEMU; it takes one at a time."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rw")
        self.stream.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            answer = json.loads(self.stream.readline())
            if "error" in answer:
                raise Failed(f"{command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()


class Picture:
    """What was on the screen: rows of red, green, blue."""

    def __init__(self, path):
        with open(path, "rb") as f:
            magic = f.readline().strip()
            self.width, self.height = (int(word) for word in f.readline().split())
            most = int(f.readline())
            self.pixels = f.read()
        if magic != b"P6" or most != 255 or len(self.pixels) != self.width * self.height * 3:
            raise Failed(f"QEMU's picture of the screen cannot be read ({path})")

    def save(self, path):
        """As a PNG."""
        stride = self.width * 3
        rows = b"".join(b"\0" + self.pixels[y * stride:(y + 1) * stride] for y in range(self.height))
        chunk = lambda kind, data: (struct.pack(">I", len(data)) + kind + data +
                                    struct.pack(">I", zlib.crc32(kind + data)))
        with open(path + ".new", "wb") as f:
            f.write(b"\x89PNG\r\n\x1a\n" +
                    chunk(b"IHDR", struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)) +
                    chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b""))
        os.rename(path + ".new", path)

    def part(self, x, y, width, height):
        """The rows of a part of it; what lies outside is left out."""
        x, width = min(x, self.width), min(width, self.width - min(x, self.width))
        for row in range(min(y, self.height), min(y + height, self.height)):
            start = (row * self.width + x) * 3
            yield self.pixels[start:start + width * 3]

    def differ(self, other, area):
        """How many pixels of area are not as in other."""
        if (self.width, self.height) != (other.width, other.height):
            return max(self.width * self.height, other.width * other.height)
        count = 0
        for mine, others in zip(self.part(*area), other.part(*area)):
            if mine != others:
                count += sum(mine[i:i + 3] != others[i:i + 3] for i in range(0, len(mine), 3))
        return count

    def colours(self, area, most=100):
        """How many different colours area has: one, if nothing is drawn there. After most it counts no further."""
        found = set()
        for row in self.part(*area):
            found.update(row[i:i + 3] for i in range(0, len(row), 3))
            if len(found) >= most:
                return most
        return len(found)


class Hands:
    """Does what a script's lines ask; run is the rig's directory, screens where pictures go."""

    def __init__(self, run, screens):
        self.run, self.screens = run, screens
        self.pictures = {}
        self.words = {"key": self.key, "type": self.type, "move": self.move, "click": self.click, "picture": self.picture,
                      "differ": self.differ, "colours": self.colours}

    def answer(self, line):
        """What the script reads: "ok …" or "error …"."""
        try:
            word, _, rest = line[1:].partition(" ")
            if word not in self.words:
                raise Failed(f"no such word: {word}")
            said = self.words[word](rest)
            return "ok" if said is None else f"ok {said}"
        except (Failed, ValueError, TypeError, OSError) as e:
            return f"error {line}: {e}".replace("\n", " ")

    def qmp(self):
        return Qmp(f"{self.run}/qmp")

    def press(self, qmp, names):
        keys = [{"type": "qcode", "data": name} for name in names]
        qmp.ask("send-key", keys=keys, **{"hold-time": 60})
        time.sleep(0.2)

    def key(self, text):
        """Combinations such as ctrl-alt-1, one after the other."""
        with self.qmp() as qmp:
            for combination in text.split():
                self.press(qmp, combination.split("-"))

    def type(self, text):
        """As it stands, on a US keyboard; \\n is the Return key."""
        with self.qmp() as qmp:
            for letter in text.replace("\\n", "\n"):
                shift = letter in SHIFTED or letter.isupper()
                letter = SHIFTED.get(letter, letter.lower())
                name = PLAIN.get(letter, letter)
                if not re.fullmatch(r"[a-z0-9_]+", name):
                    raise Failed(f"no key for {letter!r}")
                self.press(qmp, (["shift"] if shift else []) + [name])

    def pointer(self, qmp, x, y):
        """To a pixel of the screen."""
        screen = self.look(qmp)
        axes = (("x", x, screen.width), ("y", y, screen.height))
        qmp.ask("input-send-event", events=[
            {"type": "abs", "data": {"axis": axis, "value": round(int(value) * ABSOLUTE / size)}} for axis, value, size in axes])
        time.sleep(0.2)

    def move(self, text):
        x, y = text.split()
        with self.qmp() as qmp:
            self.pointer(qmp, x, y)

    def click(self, text):
        x, y, *button = text.split()
        button = button[0] if button else "left"
        if button not in BUTTONS:
            raise Failed(f"no such button: {button}")
        with self.qmp() as qmp:
            self.pointer(qmp, x, y)
            for down in (True, False):
                qmp.ask("input-send-event", events=[{"type": "btn", "data": {"down": down, "button": button}}])
                time.sleep(0.1)

    def look(self, qmp):
        path = f"{self.run}/screen.ppm"
        qmp.ask("screendump", filename=path)
        return Picture(path)

    def picture(self, name):
        if not re.fullmatch(r"[a-z0-9-]+", name):
            raise Failed("a picture's name has small letters, digits and -")
        with self.qmp() as qmp:
            picture = self.pictures[name] = self.look(qmp)
        os.makedirs(self.screens, exist_ok=True)
        picture.save(f"{self.screens}/{name}.png")
        return f"{picture.width} {picture.height}"

    def known(self, name):
        if name not in self.pictures:
            raise Failed(f"no picture {name} was taken")
        return self.pictures[name]

    def differ(self, text):
        one, other, *area = text.split()
        return self.known(one).differ(self.known(other), [int(n) for n in area] or self.whole(one))

    def colours(self, text):
        name, *area = text.split()
        return self.known(name).colours([int(n) for n in area] or self.whole(name))

    def whole(self, name):
        return 0, 0, self.known(name).width, self.known(name).height
