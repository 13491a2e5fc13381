"""`streamctl snap --annotate`: a picture with what a real server found in it drawn on it."""

import json
import math
import os
import signal
import subprocess
import textwrap

import pytest

import ctl_helpers
import harness
import jpegs
import pictures

pytestmark = pictures.needs_ffmpeg

BOX = {"x": 40, "y": 30, "w": 50, "h": 40, "label": "cat", "score": 0.87}

WORKER = """
    import json, struct, sys, time
    print(json.dumps({"protocol": 1, "name": "test"}), flush=True)
    n = 0
    while len(head := sys.stdin.buffer.read(32)) == 32:
        magic, n_bytes, w, h, seq, deadline = struct.unpack("<4sIIIQQ", head)
        sys.stdin.buffer.read(n_bytes)
        n += w != 640  # those are warm-ups
        line = {"seq": seq, "result": {"detections": []}}
        BODY
        print(json.dumps(line), flush=True)
"""


@pytest.fixture(name="snap")
def snap_fixture(tmp_path):
    """snap(*args) gives the exit code, what was said, and where the picture is."""

    def run(*args, code=0):
        out = tmp_path / "out.jpg"
        ran = subprocess.run([ctl_helpers.binary(), "snap", *map(str, args), "-o", out],
                             env=ctl_helpers.clean_env(), stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, check=False,
                             timeout=harness.TIMEOUT_S)
        assert not harness.SANITIZER.search(ran.stderr), ran.stderr
        assert ran.returncode == code, ran.stderr
        assert out.exists() == (code == 0)
        return ran.stderr, out

    return run


@pytest.fixture(name="finder")
def finder_fixture(streamd, tmp_path):
    """finder(body) starts a server whose pipeline `m` is a worker with that in its loop."""

    def start(body):
        path = tmp_path / "worker.py"
        path.write_text(textwrap.dedent(WORKER).replace("BODY", body))
        server = streamd("--budget", "off", "--pipeline", f"m=exec:timeout_ms=60000,python3 {path}")
        return f"localhost:{server.port}"

    return start


def finds(*boxes):
    return f'line["result"]["detections"] = json.loads({json.dumps(json.dumps(boxes))})'


def test_box_is_drawn_along_its_edges_and_nowhere_else(snap, finder):
    said, out = snap("test:160x120", finder(finds(BOX)), "--annotate", "-p", "m")
    assert said == ""
    green = pictures.Pixels(out, 160, 120).green()
    edges = ({(x, y) for x in range(40, 90) for y in (30, 69)} |
             {(x, y) for x in (40, 89) for y in range(30, 70)})
    assert edges <= green
    label = {(x, y) for x in range(40, 40 + 4 * len("cat 0.87") + 1) for y in range(23, 30)}
    assert green - edges <= label
    assert len(green & label) > len(label) / 3  # black letters on it


def test_two_boxes_and_one_partly_outside(snap, finder):
    plain = {"score": None}
    boxes = ({"x": 10, "y": 60, "w": 20, "h": 20, **plain},
             {"x": 150, "y": 100, "w": 500, "h": 500, **plain})
    _, out = snap("test:160x120", finder(finds(*boxes)), "--annotate", "-p", "m")
    green = pictures.Pixels(out, 160, 120).green()
    assert {(x, 60) for x in range(10, 30)} | {(150, y) for y in range(100, 120)} <= green
    assert {(x, 119) for x in range(150, 160)} <= green
    assert not any(60 < x < 140 for x, y in green)


def test_tag_is_drawn_with_its_corners(snap, streamd, tmp_path):
    server = streamd("--budget", "off")
    names = [p["name"] for p in json.loads(server.http("/pipelines").text)["pipelines"]]
    if "apriltag" not in names:
        pytest.skip("built without libapriltag")
    corners = pictures.write_tag(tmp_path / "tag.jpg", 20)
    said, out = snap(tmp_path / "tag.jpg", f"localhost:{server.port}", "--annotate", "-p", "apriltag")
    assert said == ""
    pixels = pictures.Pixels(out, 320, 240)
    green = pixels.green()
    top = min(y for _, y in corners)
    left = min(x for x, _ in corners)

    def off(x, y):  # how far from the nearest side
        sides = zip(corners, corners[1:] + corners[:1])
        return min(abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / math.hypot(bx - ax, by - ay)
                   for (ax, ay), (bx, by) in sides)

    below = [(x, y) for x, y in green if y > top + 1]  # not the label
    assert len(below) > 4 * 100
    assert all(off(x, y) < 4 for x, y in below)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1]):
        for i in range(2, 19):
            x, y = ax + (bx - ax) * i / 20, ay + (by - ay) * i / 20
            assert any(pixels.is_green(x + u, y + v) for u in range(-3, 4) for v in range(-3, 4))
    assert any(pixels.is_green(x, top - 6) for x in range(int(left), int(left) + 60))  # the label


def test_face(snap, streamd):
    picture = pictures.face()
    server = streamd("--budget", "off", "--pipeline", "near=face:scale=1")
    said, out = snap(picture, f"localhost:{server.port}", "--annotate", "-p", "near")
    green = pictures.Pixels(out, 200, 200).green()
    assert said == "" and len(green) > 4 * 40
    assert all(10 < x < 90 and y < 90 for x, y in green)


def test_motion_needs_more_than_one_picture_and_gets_them(snap, streamd):
    said, out = snap("test:160x120", f"localhost:{streamd().port}", "--annotate")
    assert said == ""
    assert len(pictures.Pixels(out, 160, 120).green()) > 30


def test_first_picture_with_something_in_it_is_taken(snap, finder):
    body = f"if n == 3: {finds(BOX)}"
    _, out = snap("test:160x120", finder(body), "--annotate", "-p", "m")
    assert (60, 30) in pictures.Pixels(out, 160, 120).green()


@pytest.mark.parametrize("count, said_count", [((), "10 pictures"), (("-n", 1), "1 picture:"),
                                               (("-n", 4), "4 pictures")])
def test_picture_without_anything_is_written_as_it_is(snap, streamd, tmp_path, count, said_count):
    source = tmp_path / "frame.jpg"
    source.write_bytes(jpegs.padded(20000, jpegs.COLOR))
    said, out = snap(source, "--loop", f"localhost:{streamd().port}", "--annotate", "-p", "null",
                     *count)
    assert f"nothing was found in {said_count}" in said
    assert out.read_bytes() == source.read_bytes()


def test_source_with_one_picture(snap, finder, tmp_path):
    (tmp_path / "frame.jpg").write_bytes(jpegs.EMPTY_SCENE)
    url = finder(finds(BOX))
    _, out = snap(tmp_path / "frame.jpg", url, "--annotate", "-p", "m")
    assert (60, 30) in pictures.Pixels(out, 160, 120).green()
    said, out = snap(tmp_path / "frame.jpg", url, "--annotate", "-p", "null")
    assert "nothing was found in 1 picture:" in said
    out.unlink()
    said, _ = snap(tmp_path / "frame.jpg", url, "--annotate", "--skip", 1, "-p", "m", code=1)
    assert "the source ended before the picture came" in said


def test_picture_to_standard_output(finder):
    ran = subprocess.run([ctl_helpers.binary(), "snap", "test:160x120", finder(finds(BOX)),
                          "--annotate", "-p", "m", "-o", "-"], env=ctl_helpers.clean_env(),
                         capture_output=True, check=False, timeout=harness.TIMEOUT_S)
    assert ran.returncode == 0
    assert ran.stdout[:2] == b"\xff\xd8" and ran.stdout[-2:] == b"\xff\xd9"


def test_worker_that_fails_is_not_an_empty_picture(snap, finder):
    url = finder('line = {"seq": seq, "error": "cannot see"}')
    said, _ = snap("test:160x120", url, "--annotate", "-p", "m", "-n", 3, code=1)
    assert "no answer to any of 3 pictures: the pipeline says: error: cannot see" in said


@pytest.fixture(name="misbehaving")
def misbehaving_fixture():
    started = []

    def start(mode):
        started.append(ctl_helpers.Misbehaving(mode))
        return started[-1]

    yield start
    for s in started:
        s.stop()


@pytest.mark.parametrize("mode, says", [
    ("error:0", "the server says: the pipeline failed (pipeline_failure)"),
    ("full", "the server says: too many sessions (internal_error)"),
    ("garbage", "not of this protocol"), ("binary", "a binary message"),
    ("drop_all:late", "no answer to any of 2 pictures: the server dropped it (late)")])
def test_servers_that_refuse(snap, misbehaving, mode, says):
    said, _ = snap("test:160x120", misbehaving(mode).url, "--annotate", "-n", 2, code=1)
    assert says in said


def test_drop_is_followed_by_another_try(snap, misbehaving):
    said, _ = snap("test:160x120", misbehaving("drop").url, "--annotate", "-n", 2)
    assert "nothing was found" in said


def test_no_answer(snap, misbehaving):
    said, _ = snap("test:160x120", misbehaving("never").url, "--annotate", "--answer-timeout",
                   "300ms", code=1)
    assert "no answer within 0.3 s" in said


def test_server_or_source_that_is_not_there(snap, streamd, tmp_path):
    said, _ = snap("test:", "127.0.0.1:1", "--annotate", code=3)
    assert "cannot reach ws://127.0.0.1:1" in said
    url = f"localhost:{streamd().port}"
    said, _ = snap("http://127.0.0.1:1/", url, "--annotate", code=3)
    assert "127.0.0.1:1" in said
    said, _ = snap("test:", url, "--annotate", "-p", "nope", code=1)
    assert "nope" in said and "invalid_pipeline" in said
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(jpegs.corrupt())
    said, _ = snap(broken, url, "--annotate", code=1)
    assert "streamctl: " in said


@pytest.mark.parametrize("args, says", [
    (("test:", "localhost:1"), "no server is asked without --annotate"),
    (("nothing-like-that", "localhost:1", "--annotate"), "is not a source"),
    (("test:", "ftp://localhost", "--annotate"), "ftp"),
    (("test:", "localhost:1", "--annotate", "--answer-timeout", "0"), "answer-timeout"),
    (("test:", "--preview"), "preview")])
def test_wrong_usage(snap, args, says):
    said, _ = snap(*args, code=2)
    assert says in said


def test_interrupt(misbehaving, tmp_path):
    server = misbehaving("never")
    ctl = ctl_helpers.Streamctl("snap", "test:160x120", server.url, "--annotate", "-o",
                                tmp_path / "x.jpg")
    server.log.wait("frame")
    ctl.signal(signal.SIGINT)
    assert ctl.join() == 130
    assert not (tmp_path / "x.jpg").exists()


def test_interrupt_while_nobody_reads_the_picture(finder, tmp_path):
    """More than a pipe holds."""
    ours, theirs = os.pipe()
    (tmp_path / "frame.jpg").write_bytes(jpegs.padded(200000))
    ctl = ctl_helpers.Streamctl("snap", tmp_path / "frame.jpg", finder(""), "--annotate", "-p", "m",
                                "-o", "-", stdout=theirs)
    harness.until(lambda: "nothing was found" in ctl.err, "the picture is being written")
    ctl.signal(signal.SIGINT)
    assert ctl.join() != 0
    os.close(ours)
    os.close(theirs)
