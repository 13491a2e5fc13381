"""Cameras through the shim (tests/shim/v4l2shim.c): each branch of the capture loop, without
drivers. What real drivers do is tested in tests/vm."""

import json
import os
import subprocess

import pytest

import ctl_helpers
import harness
import jpegs

SHIM = os.environ.get("V4L2SHIM") or str(harness.ROOT / "build" / "plain" / "tests" / "v4l2shim.so")


class Ran:
    def __init__(self, process):
        self.status = process.returncode
        self.errors = process.stderr.decode()
        self.lines = [harness.strict_json(t) for t in process.stdout.decode().splitlines()]

    def events(self, kind):
        return [e for e in self.lines if e["event"] == kind]

    @property
    def end(self):
        return self.events("end")[0]

    @property
    def notes(self):
        return [e["detail"] for e in self.events("warning") if e["warning"] == "source"]


@pytest.fixture(name="frame", scope="module")
def frame_fixture(tmp_path_factory):
    path = tmp_path_factory.mktemp("frame") / "frame.jpg"
    path.write_bytes(jpegs.padded(20000, jpegs.COLOR))
    return path


@pytest.fixture(name="camera")
def camera_fixture(frame):
    """camera(*args, FAULT="...", ...) runs streamctl with the shim's settings."""

    def run(*args, **settings):
        env = ctl_helpers.clean_env()
        env["LD_PRELOAD"] = SHIM
        env["V4L2SHIM_FRAME"] = str(frame)
        # the sanitizers want to be loaded first, and say so; they work behind the shim too
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        for name, value in settings.items():
            env[f"V4L2SHIM_{name}"] = str(value)
        process = subprocess.run([ctl_helpers.binary(), *map(str, args)], env=env, capture_output=True,
                                 timeout=harness.TIMEOUT_S * 2, check=False)
        assert not harness.SANITIZER.search(process.stderr.decode()), process.stderr.decode()
        return Ran(process)

    return run


@pytest.fixture(name="stream")
def stream_fixture(camera, streamd):
    """The same for `stream` into a server; every frame must be accounted for."""
    server = streamd()

    def run(source, *args, **settings):
        ran = camera("stream", source, f"localhost:{server.port}", "-q", "-p", "inspect", *args,
                     **settings)
        for end in ran.events("end"):
            assert end["read"] == (end["skipped"] + end["paced_out"] + end["replaced"] +
                                   end["sent"])
            assert end["sent"] == end["answered"] + end["dropped"] + end["unanswered"]
            assert end["broken"] == sum(end["broken_by"].values())
        return ran

    return run


def test_mjpeg_goes_through_untouched(stream, frame):
    ran = stream("/dev/video0", "-n", 5)
    assert ran.status == 0
    assert {a["result"]["bytes"] for a in ran.events("result")} == {len(frame.read_bytes())}
    assert ran.events("source")[0]["format"] == "MJPG"
    assert ran.events("source")[0]["stamp"] == "exposure"


@pytest.mark.parametrize("fourcc, subsampling", [("YUYV", "4:2:2"), ("NV12", "4:2:0"),
                                                 ("GREY", "grey"), ("RGB3", "4:2:0")])
def test_raw_is_encoded(stream, fourcc, subsampling):
    ran = stream(f"/dev/video0,size=320x240,format={fourcc}", "-n", 5, FORMATS=fourcc, FRAME="")
    assert ran.status == 0
    seen = ran.events("result")[0]["result"]
    assert (seen["width"], seen["height"], seen["subsampling"]) == (320, 240, subsampling)


def test_adapting_what_comes_encoded_is_told(stream):
    ran = stream("/dev/video0", "-n", 2, "--adapt", "quality")
    assert [e["warning"] for e in ran.events("warning")] == ["adapt"]
    raw = stream("/dev/video0", "-n", 2, "--adapt", "quality", FORMATS="YUYV", FRAME="")
    assert raw.events("warning") == []


def test_multiplanar(stream):
    ran = stream("/dev/video0", "-n", 3, CAPS="mplane")
    assert (ran.status, len(ran.events("result"))) == (0, 3)


@pytest.mark.parametrize("fourcc", ["MJPG", "YUYV"])
def test_driver_without_streaming_is_read(stream, fourcc):
    frame = {} if fourcc == "MJPG" else {"FRAME": ""}
    ran = stream("/dev/video0,size=320x240", "-n", 5, CAPS="read", FORMATS=fourcc,
                 FAULT="empty@1", **frame)
    assert ran.status == 0
    assert len(ran.events("result")) == 5
    assert ran.end["broken_by"] == {"empty": 1}


@pytest.mark.parametrize("fault, kind", [("error_flag", "error flag"), ("short", "truncated"),
                                         ("empty", "empty")])
def test_broken_frames_are_counted_and_not_sent(stream, fault, kind):
    ran = stream("/dev/video0", "-n", 8, FAULT=f"{fault}@1,{fault}@3")
    assert ran.status == 0
    assert ran.end["broken_by"] == {kind: 2}
    assert len(ran.events("result")) == 8


def test_short_raw_frame_is_truncated(stream):
    ran = stream("/dev/video0", "-n", 3, FORMATS="YUYV", FRAME="", FAULT="short@1")
    assert ran.end["broken_by"] == {"truncated": 1}


def test_truncated_frames_on_request(stream, frame):
    ran = stream("/dev/video0", "-n", 3, "-p", "null", "--allow-truncated", FAULT="short@1")
    n_bytes = len(frame.read_bytes())
    assert ran.end["sent_bytes"] == 2 * n_bytes + n_bytes // 2 + 2  # EOI put on
    assert ran.end["broken"] == 0


def test_padding_is_left_out(stream, frame):
    ran = stream("/dev/video0", "-n", 3, FAULT="padded@1")
    assert {a["result"]["bytes"] for a in ran.events("result")} == {len(frame.read_bytes())}


def test_larger_than_allowed(stream):
    ran = stream("/dev/video0", "-d", "300ms", "--max-frame", 1024)
    assert ran.end["read"] == 0
    assert set(ran.end["broken_by"]) == {"too large"}


def test_garbage(stream):
    ran = stream("/dev/video0", "-d", "300ms", FRAME="")
    assert ran.end["read"] == 0
    assert set(ran.end["broken_by"]) == {"garbage"}


def test_gaps_are_the_devices_drops(stream):
    ran = stream("/dev/video0", "-n", 6, FAULT="gap@3")
    assert ran.end["device_lost"] == 3
    assert ran.end["read"] == 6


def test_of_two_at_once_the_newest_is_taken(stream):
    ran = stream("/dev/video0", "-n", 4, FAULT="burst@3")
    assert ran.end["read"] == ran.end["sent"] + ran.end["replaced"]
    assert ran.end["replaced"] >= 1
    frames = [a["frame"] for a in ran.events("result")]
    assert frames != list(range(len(frames)))  # the older one's number is missing


@pytest.mark.parametrize("kind, told", [("end", "end"), ("none", "arrival"), ("ahead", "end")])
def test_stamps(stream, kind, told):
    ran = stream("/dev/video0", "-n", 3, STAMP=kind)
    assert ran.events("source")[0]["stamp"] == told
    assert ran.end["age"]["max_ms"] < 9000  # "ahead" is 10 s in the future: taken for now


def test_failing_stream_is_opened_again(stream):
    ran = stream("/dev/video0", "-n", 12, FAULT="eio@5")
    assert ran.status == 0
    assert "Input/output error" in ran.notes[0]
    assert len(ran.events("source")) >= 2
    assert len(ran.events("connected")) == 1


def test_failing_stream_ends_without_reconnect(stream):
    ran = stream("/dev/video0", "--no-reconnect", FAULT="eio@3")
    assert ran.status == 1
    assert ran.end["reason"] == "source_failed"
    assert "Input/output error" in ran.errors


def test_stalled_camera_is_opened_again(stream):
    ran = stream("/dev/video0", "-n", 8, "--stall", "200ms", FAULT="stall@5")
    assert ran.status == 0
    assert "gave no picture for 0.2 s" in ran.notes[0]
    assert len(ran.events("source")) == 2


def test_opening_takes_no_time_of_the_stall(stream):
    """0.4 s to open, and a picture within 0.3 s of that: nothing is wrong with this camera."""
    ran = stream("/dev/video0", "-n", 5, "--stall", "300ms", SLOW_MS=200)
    assert (ran.status, ran.notes) == (0, [])


def test_count_ends_though_encoding_is_slower_than_the_camera(stream):
    """What waits when the last one leaves is not waited for: else this takes a minute."""
    ran = stream("/dev/video0,size=320x240,fps=60", "-n", 5, "--answer-timeout", "60s",
                 FORMATS="YUYV", FRAME="", ENCODE_MS=45)
    assert (ran.status, ran.end["reason"], ran.end["sent"]) == (0, "count", 5)


def test_unplugged_camera_ends_without_reconnect(stream):
    ran = stream("/dev/video0", "--no-reconnect", FAULT="enodev@3")
    assert ran.status == 1
    assert "was unplugged" in ran.errors


def test_unplugged_camera_is_looked_for(stream):
    ran = stream("/dev/video0", "-n", 8, FAULT="enodev@5")
    assert ran.status == 0
    assert "was unplugged" in ran.notes[0]
    assert len(ran.events("source")) == 2
    assert len(ran.events("connected")) == 1


@pytest.mark.parametrize("error, text", [
    ("open:EBUSY", "in use by another program"),
    ("open:EACCES", "group video"),
    ("streamon:ENOSPC", "not enough USB bandwidth"),
    ("reqbufs:ENOMEM", "cannot get buffers of the camera"),
    ("qbuf:EIO", "the buffers of the camera"),
    ("s_fmt:EBUSY", "in use"),
])
def test_errors_in_the_users_words(stream, error, text):
    ran = stream("/dev/video0", ERROR=error)
    assert ran.status == 3
    assert text in ran.errors
    assert [e["event"] for e in ran.lines] == ["start", "error", "end"]


@pytest.mark.parametrize("caps, text", [("output", "a video output"), ("meta", "only metadata")])
def test_not_a_capture_device(stream, caps, text):
    ran = stream("/dev/video0", CAPS=caps)
    assert ran.status == 2
    assert "not a capture device" in ran.errors and text in ran.errors


def test_nothing_there(stream):
    ran = stream("/dev/video7")
    assert ran.status == 3
    assert "streamctl devices" in ran.errors


def test_format_that_cannot_be_sent_lists_what_there_is(stream):
    ran = stream("/dev/video0", FORMATS="BA81")
    assert ran.status == 2
    assert "it has BA81 320x240@60" in ran.errors


def test_what_is_asked_and_what_is_given(camera):
    ran = camera("stream", "/dev/video0,size=1000x700,fps=12", "--dry-run")
    source = ran.events("source")[0]
    assert source["asked"] == {"width": 1000, "height": 700, "fps": 12}
    assert (source["width"], source["height"], source["fps"]) == (1280, 720, 12)
    ran = camera("stream", "/dev/video0,size=1000x700", "--dry-run", "--strict")
    assert ran.status == 2
    assert "it has MJPG 320x240@60, 30, 15, 5; 640x480@" in ran.errors


def test_dry_run_of_other_sources(camera):
    ran = camera("stream", "test:", "--dry-run")
    assert (ran.status, [e["event"] for e in ran.lines]) == (0, ["start"])
    assert camera("stream", "nothing-like-that", "--dry-run").status == 2


@pytest.mark.parametrize("fourcc", ["MJPG", "YUYV"])
def test_snap(camera, tmp_path, fourcc):
    frame = {} if fourcc == "MJPG" else {"FRAME": ""}
    out = tmp_path / "snap.jpg"
    ran = camera("snap", "/dev/video0", "--skip", 2, "-o", out, FORMATS=fourcc, **frame)
    assert ran.status == 0, ran.errors
    jpeg = out.read_bytes()
    assert jpeg[:2] == b"\xff\xd8" and jpeg[-2:] == b"\xff\xd9"


@pytest.mark.parametrize("fourcc", ["MJPG", "YUYV"])
def test_snap_that_asks_a_server(camera, streamd, tmp_path, fourcc):
    """Each picture is encoded, sent and given back to the driver."""
    frame = {} if fourcc == "MJPG" else {"FRAME": ""}
    out = tmp_path / "snap.jpg"
    ran = camera("snap", "/dev/video0", f"localhost:{streamd().port}", "--annotate", "-p", "inspect",
                 "-o", out, FORMATS=fourcc, **frame)
    assert ran.status == 0, ran.errors
    assert "nothing was found in 10 pictures" in ran.errors
    jpeg = out.read_bytes()
    assert jpeg[:2] == b"\xff\xd8" and jpeg[-2:] == b"\xff\xd9"


def test_snap_of_other_sources(camera, frame, tmp_path):
    out = tmp_path / "snap.jpg"
    assert camera("snap", frame, "-o", out).status == 0
    assert out.read_bytes() == frame.read_bytes()
    assert camera("snap", frame, "--skip", 5, "-o", out).status == 1
    assert camera("snap", "test:", "-o", tmp_path / "no" / "snap.jpg").status == 1
    assert camera("snap", "http://127.0.0.1:1/", "-o", out).status == 3


def test_snap_without_a_picture_ends(camera, tmp_path):
    ran = camera("snap", "/dev/video0", "--stall", "200ms", "-o", tmp_path / "x", FAULT="stall@0")
    assert ran.status == 1
    assert "gave no picture" in ran.errors


def test_camera_without_controls(camera):
    ran = camera("controls", "/dev/video0")
    assert (ran.status, ran.lines) == (0, [])
    ran = camera("controls", "/dev/video0", "--set", "brightness=1")
    assert ran.status == 2
    assert 'no control "brightness"' in ran.errors


def test_devices_without_cameras(camera):
    if any(name.startswith("video") for name in os.listdir("/dev")):
        pytest.skip("this machine has cameras")
    ran = camera("devices")
    assert (ran.status, ran.lines) == (0, [])
    assert "no cameras here" in ran.errors


def test_events_are_json_with_a_known_set_of_keys(stream):
    source = stream("/dev/video0", "-n", 1).events("source")[0]
    assert json.dumps(sorted(source)) == json.dumps(sorted(
        ["event", "device", "card", "bus", "format", "width", "height", "fps", "asked", "stamp"]))
