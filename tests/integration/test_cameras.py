"""Odd cameras and ffmpeg into streamctl into streamd: the whole way, with real JPEGs.

misbehaving_camera.py is the cameras, its list of endpoints the oddities; each picture
is a real one, so the `inspect` pipeline would fail on a single wrong byte in its headers
and `motion` on one in its data.
"""

import json
import shutil
import socket
import subprocess
import sys
import pathlib
import urllib.request

import pytest

from ctl_helpers import Streamctl, check_ledger, stream
from harness import until

CAMERA = pathlib.Path(__file__).with_name("misbehaving_camera.py")
PICTURES = 12  # of each stream; few enough to be quick, more than any start-up


@pytest.fixture(scope="module", name="camera")
def camera_fixture():
    process = subprocess.Popen([sys.executable, str(CAMERA)], stdout=subprocess.PIPE)
    port = int(process.stdout.readline())
    yield f"127.0.0.1:{port}"
    process.kill()
    process.wait()


def stats(camera):
    with urllib.request.urlopen(f"http://{camera}/stats", timeout=20) as page:
        return json.load(page)


def run(streamd, url, *args, pipeline="motion"):
    """Streams until the camera ends; gives the run and its end event."""
    srv = streamd("--idle-timeout", "0")
    ctl = stream(url, f"127.0.0.1:{srv.port}", "--pipeline", pipeline, "--in-flight", 16,
                 "--no-adapt", *args)
    return ctl, check_ledger(ctl)


@pytest.mark.parametrize(
    "endpoint",
    ["plain", "dashes", "quoted", "case", "no-boundary", "empty-boundary", "wrong-boundary",
     "late-boundary", "no-length", "short-length", "long-length", "padded-length",
     "absurd-length", "negative-length", "lf", "mixed", "padding", "no-eoi", "exif", "resize",
     "garbage", "split", "chunked", "bare", "no-type", "redirect/3"],
)
def test_every_picture_of_an_odd_camera_arrives(streamd, camera, endpoint):
    _, end = run(streamd, f"http://{camera}/{endpoint}?n={PICTURES}&fps=50", "--no-reconnect")
    # Without a length the end of the last picture of an EOI-less stream cannot be known.
    lost = 1 if endpoint == "no-eoi" else 0
    assert PICTURES - lost <= end["read"] <= PICTURES
    assert end["answered"] + end["dropped"] + end["replaced"] == end["read"]
    assert end["reason"] == "source_ended"


def test_joining_in_the_middle_of_a_picture_loses_only_that_one(streamd, camera):
    _, end = run(streamd, f"http://{camera}/mid-frame?n={PICTURES}&fps=50", "--no-reconnect")
    assert end["read"] >= PICTURES - 1


@pytest.mark.parametrize("endpoint", ["cut-off", "huge"])
def test_what_is_no_picture_is_broken_and_not_sent(streamd, camera, endpoint):
    _, end = run(streamd, f"http://{camera}/{endpoint}?n={PICTURES}&fps=50", "--no-reconnect",
                 "--max-frame", "4MiB", pipeline="inspect")
    assert end["read"] + end["broken"] >= PICTURES - 1
    assert end["read"] >= PICTURES // 2


def test_single_pictures_are_asked_for_again_and_again(streamd, camera):
    ctl, end = run(streamd, f"http://{camera}/snapshot", "--poll", "20ms", "--count", 8)
    assert ctl.code == 0 and end["sent"] == 8


@pytest.mark.parametrize("how", ["basic", "digest"])
def test_credentials_work_and_are_never_shown(streamd, camera, how):
    url = f"http://joe:s3cr%40t%3A%2F@{camera}/{how}?n={PICTURES}&fps=50"
    ctl, end = run(streamd, url, "--no-reconnect")
    assert end["read"] == PICTURES
    assert "s3cr" not in ctl.err + json.dumps(ctl.out.events)


@pytest.mark.parametrize("args", [("stream", "SERVER"), ("snap",), ("snap", "SERVER", "--annotate")])
def test_credentials_are_not_in_ps(streamd, camera, args, tmp_path):
    def asked():
        return stats(camera)["authorization"].get("/basic", 0)

    before, port = asked(), streamd().port
    command, *rest = [f"127.0.0.1:{port}" if a == "SERVER" else a for a in args]
    rest += ["--skip", 1000000, "-o", tmp_path / "x.jpg"] if command == "snap" else []
    ctl = Streamctl(command, f"http://joe:s3cr%40t%3A%2F@{camera}/basic?fps=50", *rest)
    until(lambda: asked() > before, "the camera is asked")
    shown = pathlib.Path(f"/proc/{ctl.process.pid}/cmdline").read_bytes()
    ctl.signal(2)
    ctl.join()
    assert b"s3cr" not in shown and b"/basic" in shown


def test_missing_credentials_are_named(streamd, camera):
    ctl, end = run(streamd, f"http://{camera}/basic")
    assert ctl.code == 3 and end["read"] == 0
    assert "--netrc" in ctl.err


@pytest.mark.parametrize("endpoint", ["stall", "stall-in-picture", "reset", "flaky"])
def test_a_camera_that_fails_is_opened_again(streamd, camera, endpoint):
    srv = streamd()
    ctl = Streamctl("stream", f"http://{camera}/{endpoint}?fps=50", f"127.0.0.1:{srv.port}",
                    "--stall", "300ms", "--count", 7)
    assert ctl.join() == 0
    assert check_ledger(ctl)["sent"] == 7
    assert ctl.find("warning", warning="source")


def test_the_old_connection_is_closed_before_a_new_one(streamd, camera):
    srv = streamd()
    ctl = Streamctl("stream", f"http://{camera}/one-socket?fps=50", f"127.0.0.1:{srv.port}",
                    "--stall", "300ms", "--count", 7)
    assert ctl.join() == 0
    check_ledger(ctl)
    seen = stats(camera)
    assert seen["requests"]["/one-socket"] >= 3 and seen["refused"] == 0


@pytest.mark.parametrize("endpoint", ["status/404", "html", "redirect-loop", "closes"])
def test_what_is_no_camera_is_said(streamd, camera, endpoint):
    ctl, end = run(streamd, f"http://{camera}/{endpoint}", "--no-reconnect")
    assert ctl.code == 3 and end["read"] == 0
    assert "streamctl: " in ctl.err


# ---- ffmpeg, as a camera and as a pipe

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
VIDEO = ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@needs_ffmpeg
def test_ffmpeg_as_an_http_camera(streamd):
    port = free_port()
    with subprocess.Popen([*VIDEO, "-f", "mpjpeg", "-listen", "1",
                           f"http://127.0.0.1:{port}/"]) as ffmpeg:
        srv = streamd()
        # Reconnecting covers the time that ffmpeg needs to start listening.
        ctl = Streamctl("stream", f"http://127.0.0.1:{port}/", f"127.0.0.1:{srv.port}",
                        "--pipeline", "motion", "--in-flight", 16, "--no-adapt", "--count", 40)
        try:
            code = ctl.join()
        finally:
            ffmpeg.kill()
    end = check_ledger(ctl)
    assert code == 0, ctl.err
    assert end["sent"] == 40 and end["broken"] == 0
    assert end["answered"] + end["dropped"] == 40


@needs_ffmpeg
def test_any_video_is_a_source_through_a_pipe(streamd):
    srv = streamd()
    with subprocess.Popen([*VIDEO, "-frames:v", "60", "-f", "mjpeg", "-"],
                          stdout=subprocess.PIPE) as ffmpeg:
        ctl = Streamctl("stream", "-", f"127.0.0.1:{srv.port}", "--pipeline", "inspect",
                        stdin=ffmpeg.stdout)
        assert ctl.join() == 0
    end = check_ledger(ctl, "source_ended")
    assert end["read"] == 60 and end["answered"] > 0
    result = ctl.find("result")[0]["result"]
    assert (result["width"], result["height"]) == (320, 240)


def test_the_test_picture_all_the_way(streamd):
    """The main job: a camera's frames go in, answers come out, and every one is accounted for."""
    srv = streamd()
    ctl = stream("test:@60", f"127.0.0.1:{srv.port}", "--pipeline", "motion", "--count", 120)
    end = check_ledger(ctl, "count")
    results = [e["result"] for e in ctl.find("result")]
    assert len(results) >= 100
    assert sum(bool(r["detections"]) for r in results) > 0.9 * len(results)
    ledger = srv.stop()
    assert ledger["received"] == end["sent"]
    assert ledger["answered"] == end["answered"]
