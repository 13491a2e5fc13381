"""The example workers keep to streamd-pipeline(7). No streamd here: the test plays it."""

import os
import re
import shutil
import socket
import struct
import subprocess

import pytest

import harness
import jpegs

EXAMPLES = harness.ROOT / "server" / "pipelines" / "examples"
PAGE = harness.ROOT / "man" / "streamd-pipeline.7"
PYTHON = "/usr/bin/python3"
WIDTH, HEIGHT = 64, 48  # of jpegs.COLOR
LINE_BYTES_MAX = 1 << 20

# PYTHONUNBUFFERED would flush for a worker that forgot to.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}


def header(seq, n_bytes, width, height, deadline_us=0):
    return struct.pack("<4sIIIQQ", b"SPW1", n_bytes, width, height, seq, deadline_us)


def frame(seq, payload=jpegs.COLOR, width=WIDTH, height=HEIGHT):
    return header(seq, len(payload), width, height) + payload


class Worker:
    """A worker that runs, with one socket as its standard input and output, as streamd has it."""

    def __init__(self, *command):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs,
                                            stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self.socket = ours
        self.socket.settimeout(harness.TIMEOUT_S)
        self.lines = ours.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def send_in_pieces(self, data, n_bytes):
        for at in range(0, len(data), n_bytes):
            self.send(data[at:at + n_bytes])

    def line(self):
        text = self.lines.readline(LINE_BYTES_MAX)
        assert text.endswith(b"\n"), (text, self.end_forced())
        return harness.strict_json(text.decode("utf-8"))

    def answer(self, seq):
        line = self.line()
        assert list(line) == ["seq", "result"], line
        assert line["seq"] == seq
        return line["result"]

    def end(self):
        """As streamd ends it: nothing more comes. Gives (status, standard error)."""
        self.socket.shutdown(socket.SHUT_WR)
        rest = self.lines.read()
        assert rest == b"", "more lines than frames"
        _, stderr = self.process.communicate(timeout=harness.TIMEOUT_S)
        return self.process.returncode, stderr

    def end_forced(self):
        self.process.kill()
        return self.process.communicate()[1]

    def close(self):
        self.end_forced()
        self.lines.close()
        self.socket.close()


@pytest.fixture(name="start")
def start_fixture():
    started = []

    def start(*command):
        started.append(Worker(*command))
        return started[-1]

    yield start
    for worker in started:
        worker.close()


def page_block():
    """The worker as it stands in the page, as mandoc shows it."""
    blocks = re.findall(r"^\.Bd [^\n]*\n(.*?)^\.Ed$", PAGE.read_text(), re.S | re.M)
    found = [b for b in blocks if b.startswith("#!/usr/bin/env python3\n")]
    assert len(found) == 1
    return found[0]


def node():
    found = shutil.which("node") or shutil.which("nodejs")
    if not found:
        pytest.skip("node is not installed")
    return found


def compiled(tmp_path):
    program = tmp_path / "worker"
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-o", program,
                    EXAMPLES / "worker.c"], check=True, timeout=harness.TIMEOUT_S)
    return [program]


def from_the_page(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(page_block())
    return [PYTHON, script]


COMMANDS = {
    "worker.py": lambda tmp_path: [PYTHON, EXAMPLES / "worker.py"],
    "worker.c": compiled,
    "worker.js": lambda tmp_path: [node(), EXAMPLES / "worker.js"],
    "the page": from_the_page,
}


@pytest.fixture(name="sizer", params=COMMANDS)
def sizer_fixture(request, tmp_path, start):
    """Each of the workers that tell the size of a picture, right after its hello."""
    worker = start(*COMMANDS[request.param](tmp_path))
    assert worker.line() == {"protocol": 1, "name": "size", "version": "1.0", "format": "jpeg"}
    return worker


def size_of(payload, width=WIDTH, height=HEIGHT):
    return {"bytes": len(payload), "width": width, "height": height}


def test_each_frame_gets_one_answer_with_its_number(sizer):
    for seq in (0, 1, 2**53 - 1):
        sizer.send(frame(seq))
        assert sizer.answer(seq) == size_of(jpegs.COLOR)
    assert sizer.end() == (0, "")


def test_a_frame_may_come_in_pieces(sizer):
    sizer.send_in_pieces(frame(0), 7)
    assert sizer.answer(0) == size_of(jpegs.COLOR)
    sizer.send_in_pieces(frame(1), 1)
    assert sizer.answer(1) == size_of(jpegs.COLOR)
    sizer.send(frame(2, jpegs.GRAY))
    assert sizer.answer(2) == size_of(jpegs.GRAY)
    assert sizer.end() == (0, "")


@pytest.mark.parametrize("n_bytes", [65536 - 32, 65536, 5 << 20])
def test_a_large_frame_is_read_to_its_end(sizer, n_bytes):
    large = jpegs.padded(n_bytes, jpegs.COLOR)
    for seq in range(3):
        sizer.send(frame(seq, large, 4000, 3000))
        assert sizer.answer(seq) == size_of(large, 4000, 3000)
    assert sizer.end() == (0, "")


@pytest.mark.parametrize("n_bytes", [1, 31, 32, 100])
def test_an_end_within_a_frame_is_an_end(sizer, n_bytes):
    sizer.send(frame(0) + frame(1)[:n_bytes])
    assert sizer.answer(0) == size_of(jpegs.COLOR)
    assert sizer.end() == (0, "")


def test_what_is_no_frame_ends_the_worker(sizer):
    sizer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    status, stderr = sizer.end()
    assert status != 0
    assert "this is not a frame" in stderr


def test_a_length_that_no_frame_has_gets_no_memory(tmp_path, start):
    worker = start(*compiled(tmp_path))  # the others take memory as the bytes come
    worker.line()
    worker.send(header(0, (256 << 20) + 1, WIDTH, HEIGHT))
    status, stderr = worker.end()
    assert status != 0
    assert "this is not a frame" in stderr


def test_the_worker_of_the_page_is_the_example():
    assert page_block() == (EXAMPLES / "worker.py").read_text()


def test_the_worker_can_be_copied_from_the_screen():
    """Nothing in it is changed by formatting: no quotes that bend, no backslash that is lost."""
    done = subprocess.run(["mandoc", "-Tutf8", PAGE], capture_output=True, text=True, check=True,
                          timeout=harness.TIMEOUT_S)
    screen = re.sub(".\b", "", done.stdout)
    indented = "".join(f"     {line}" if line.strip() else line
                       for line in page_block().splitlines(keepends=True))
    assert indented in screen


def test_the_page_is_clean():
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", PAGE], capture_output=True, text=True,
                          check=False, timeout=harness.TIMEOUT_S)
    assert lint.returncode == 0, lint.stdout


def test_the_lines_of_the_page_are_json():
    lines = re.findall(r"^\.(?:Dl|It Li) (\{.*\})$", PAGE.read_text(), re.M)
    assert len(lines) >= 5
    for line in lines:
        assert isinstance(harness.strict_json(line), dict)


@pytest.fixture(name="people", params=[1, 2], ids=["scale_1", "scale_2"])
def people_fixture(request, start):
    """(worker, scale), right after the hello."""
    has_opencv = subprocess.run([PYTHON, "-c", "import cv2"], capture_output=True, check=False,
                                timeout=harness.TIMEOUT_S)
    if has_opencv.returncode != 0:
        pytest.skip("python3-opencv is not installed")
    worker = start(PYTHON, EXAMPLES / "people.py", str(request.param))
    assert worker.line() == {"protocol": 1, "name": "people", "version": "1.0", "format": "gray",
                             "scale": request.param}
    return worker, request.param


def is_figure(x, y):
    """Somebody who stands at x = 320, from y = 100 to 400, as a child would draw it."""

    def in_ellipse(at_x, at_y, width, height):
        return ((x - at_x) / width) ** 2 + ((y - at_y) / height) ** 2 <= 1

    side = abs(x - 320)
    return (in_ellipse(320, 122, 22, 24) or in_ellipse(320, 210, 42, 68)
            or (170 <= y <= 265 and abs(side - 30 - y / 15) <= 9)
            or (260 <= y <= 400 and abs(side - 2 - y / 17) <= 15))


def picture(scale, has_figure):
    """640x480 at 1/scale, grey."""
    return bytes(40 if has_figure and is_figure(x, y) else 200
                 for y in range(0, 480, scale) for x in range(0, 640, scale))


def test_people_answers_with_boxes_in_pixels_of_the_full_frame(people):
    worker, scale = people
    for seq, has_figure in enumerate([False, True, False]):
        worker.send_in_pieces(frame(seq, picture(scale, has_figure), 640 // scale, 480 // scale),
                              10007)
        result = worker.answer(seq)
        assert list(result) == ["detections"]
        assert len(result["detections"]) == has_figure
        for box in result["detections"]:
            assert list(box) == ["x", "y", "w", "h", "label", "score"]
            assert box["label"] == "person" and 0.5 < box["score"] <= 1
            assert abs(box["x"] + box["w"] / 2 - 320) < 16
            assert abs(box["y"] + box["h"] / 2 - 250) < 16
            assert 300 < box["h"] < 460
    assert worker.end() == (0, "")


def test_people_finds_nobody_in_a_picture_that_is_too_small(people):
    worker, _ = people
    for seq, (width, height) in enumerate([(1, 1), (63, 200), (200, 127), (64, 128)]):
        worker.send(frame(seq, bytes(width * height), width, height))
        assert worker.answer(seq) == {"detections": []}
    assert worker.end() == (0, "")


def test_people_says_so_when_a_picture_has_another_size_than_it_should(people):
    worker, _ = people
    worker.send(frame(0, bytes(100), 320, 240))
    line = worker.line()
    assert list(line) == ["seq", "error"] and line["seq"] == 0 and line["error"]
    worker.send(frame(1, bytes(320 * 240), 320, 240))
    assert worker.answer(1) == {"detections": []}
    assert worker.end() == (0, "")
