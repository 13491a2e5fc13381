"""--preview on a terminal of our own: what is drawn, and that nobody waits for it."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest

import ctl_helpers
import harness
import jpegs
import pictures

HALF_BLOCK = "\u2580".encode()


class Terminal:
    """streamctl with a terminal as its standard error and a file as its standard output."""

    def __init__(self, tmp_path, *args, rows=40, columns=100):
        self.outside, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = ctl_helpers.clean_env({"TERM": "xterm-256color"})
        self.stdout = open(tmp_path / "stdout", "wb")
        self.path = tmp_path / "stdout"
        self.process = subprocess.Popen([ctl_helpers.binary(), "stream", *map(str, args)], env=env,
                                        stdin=subprocess.DEVNULL, stdout=self.stdout, stderr=inside)
        os.close(inside)

    def read_to_end(self):
        seen = b""
        deadline = time.monotonic() + harness.TIMEOUT_S
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.outside], [], [], 0.1)
            if not ready:
                continue
            try:
                more = os.read(self.outside, 65536)
            except OSError:  # the other end is closed
                break
            if not more:
                break
            seen += more
        self.process.wait(harness.TIMEOUT_S)
        return seen

    def end(self):
        self.stdout.close()
        lines = [harness.strict_json(t) for t in self.path.read_text().splitlines()]
        return lines[-1]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.outside)


@pytest.fixture(name="terminal")
def terminal_fixture(tmp_path):
    opened = []

    def start(*args, **kw):
        opened.append(Terminal(tmp_path, *args, **kw))
        return opened[-1]

    yield start
    for t in opened:
        t.close()


def test_picture_and_boxes_are_drawn(streamd, terminal):
    t = terminal("test:", f"localhost:{streamd().port}", "--preview", "-d", "2s")
    seen = t.read_to_end()
    assert t.process.returncode == 0
    assert seen.count(HALF_BLOCK) > 500
    assert re.search(rb"\x1b\[\d+;\d+r", seen)  # what is printed scrolls below the picture
    assert b"motion" in seen  # the label of a box
    assert b"\x1b[r" in seen  # and the whole screen at the end
    assert seen.rindex(b"answered") > seen.rindex(HALF_BLOCK)  # the summary stands below
    assert t.end()["answered"] > 30


def test_boxes_around_faces_are_drawn(streamd, terminal):
    picture = pictures.face()
    server = streamd("--budget", "off", "--pipeline", "near=face:scale=1")
    t = terminal(picture, f"localhost:{server.port}", "--preview", "--loop", "-n", 20, "-p", "near")
    assert b"face " in t.read_to_end()


@pictures.needs_ffmpeg
def test_boxes_around_tags_are_drawn_and_numbered(streamd, terminal, tmp_path):
    server = streamd("--budget", "off")
    if "apriltag" not in server.http("/pipelines").text:
        pytest.skip("built without libapriltag")
    pictures.write_tag(tmp_path / "tag.jpg")
    t = terminal(tmp_path / "tag.jpg", f"localhost:{server.port}", "--preview", "--loop", "-n", 20,
                 "-p", "apriltag")
    assert b"36h11 #0 " in t.read_to_end()


def test_only_what_changes_is_drawn(streamd, terminal):
    """The picture's background stands still: a drawing is a small part of the first one."""
    t = terminal("test:@5", f"localhost:{streamd().port}", "--preview", "-n", 10, "-p", "null")
    drawings = [d for d in t.read_to_end().split(b"\x1b7")[1:] if HALF_BLOCK in d]
    assert len(drawings) > 3
    first = drawings[0].count(HALF_BLOCK)
    assert all(d.count(HALF_BLOCK) < first / 2 for d in drawings[1:])


def test_slightly_broken_pictures_are_drawn(streamd, terminal, tmp_path):
    (tmp_path / "cut.jpg").write_bytes(jpegs.COLOR[:-60] + b"\xff\xd9")
    t = terminal(tmp_path / "cut.jpg", f"localhost:{streamd().port}", "--preview", "--loop", "-n",
                 5, "-p", "null")
    assert HALF_BLOCK in t.read_to_end()


def test_terminal_that_does_not_read_slows_nothing(streamd, terminal):
    t = terminal("test:@30", f"localhost:{streamd().port}", "--preview", "-n", 60, "-p", "null")
    t.process.wait(harness.TIMEOUT_S)  # nobody reads the terminal, and it ends all the same
    end = t.end()
    assert (end["reason"], end["sent"], end["answered"]) == ("count", 60, 60)


@pytest.mark.parametrize("rows, columns", [(5, 80), (40, 4)])
def test_small_terminal_gets_no_picture(streamd, terminal, rows, columns):
    t = terminal("test:", f"localhost:{streamd().port}", "--preview", "-n", 5, rows=rows,
                 columns=columns)
    assert HALF_BLOCK not in t.read_to_end()
    assert t.process.returncode == 0


def test_preview_needs_a_terminal(streamd):
    ran = subprocess.run([ctl_helpers.binary(), "stream", "test:", f"localhost:{streamd().port}",
                          "--preview", "-n", "1"], env=ctl_helpers.clean_env(),
                         capture_output=True, check=False, timeout=harness.TIMEOUT_S)
    assert ran.returncode == 2
    assert b"has to be a terminal" in ran.stderr
