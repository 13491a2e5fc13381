"""streamctl on real V4L2 drivers: each scenario (*.sh) runs once in the guest and leaves the output
of every command in files; the tests here look at those. See boot and mkguest."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import harness  # noqa: E402

GUEST = os.environ["VM_GUEST"]
BOOT_S = 600


class Ran:
    """What one command in the guest gave."""

    def __init__(self, out, name):
        self.status = int((out / f"{name}.rc").read_text())
        self.errors = (out / f"{name}.err").read_text(errors="replace")
        self.lines = [json.loads(t) for t in (out / f"{name}.out").read_text().splitlines()
                      if t.startswith("{")]

    def events(self, kind):
        return [e for e in self.lines if e["event"] == kind]

    @property
    def end(self):
        return self.events("end")[0]

    @property
    def notes(self):
        return [e["detail"] for e in self.events("warning") if e["warning"] == "source"]

    @property
    def source(self):
        return self.events("source")[0]


class Scenario:
    def __init__(self, name, tmp):
        server = harness.Streamd()
        (tmp / "lib.sh").write_text((HERE / "lib.sh").read_text())
        (tmp / "test.sh").write_text((HERE / f"{name}.sh").read_text())
        (tmp / "server").write_text(f"ws://10.0.2.2:{server.port}")
        ran = subprocess.run([HERE / "boot", GUEST, tmp, str(BOOT_S)], capture_output=True,
                             text=True, check=False)
        server.wait_no_session()
        server.stop()  # audits its ledger
        assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
        self.out = tmp / "out"

    def __getitem__(self, name):
        return Ran(self.out, name)

    def names(self):
        return sorted(p.stem for p in self.out.glob("*.rc"))


def scenario(name):
    @pytest.fixture(scope="module", name=name)
    def fixture(tmp_path_factory):
        return Scenario(name, tmp_path_factory.mktemp(name))

    return fixture


vivid = scenario("vivid")
uvc = scenario("uvc")
net = scenario("net")


def check_ledgers(of):
    """Nothing lost, nothing counted twice, whatever happened to the camera."""
    n = 0
    for name in of.names():
        for end in of[name].events("end"):
            n += 1
            assert end["read"] == (end["skipped"] + end["paced_out"] + end["replaced"] +
                                   end["sent"]), name
            assert end["sent"] == end["answered"] + end["dropped"] + end["unanswered"], name
            assert end["broken"] == sum(end["broken_by"].values()), name
    return n


# --- vivid ---

RAW = {"YUYV": "4:2:2", "UYVY": "4:2:2", "YVYU": "4:2:2", "VYUY": "4:2:2", "NV12": "4:2:0",
       "NV21": "4:2:0", "YU12": "4:2:0", "YV12": "4:2:0", "RGB3": "4:2:0", "BGR3": "4:2:0",
       "GREY": "grey"}


@pytest.mark.parametrize("fourcc", RAW)
def test_raw_format_arrives_as_jpeg(vivid, fourcc):
    ran = vivid[f"format_{fourcc}"]
    assert ran.status == 0, ran.errors
    assert ran.source["format"] == fourcc
    assert len(ran.events("result")) == 4
    for answer in ran.events("result"):
        seen = answer["result"]
        assert (seen["width"], seen["height"], seen["subsampling"]) == (320, 180, RAW[fourcc])


@pytest.mark.parametrize("fourcc", ["YUYV", "NV12", "NM12", "YM12"])
def test_multiplanar_only(vivid, fourcc):
    ran = vivid[f"mplane_{fourcc}"]
    assert ran.status == 0, ran.errors
    assert [a["result"]["width"] for a in ran.events("result")] == [320] * 3


def test_multiplanar_is_listed(vivid):
    assert vivid["mplane_devices"].status == 0
    assert "NM12" in (vivid.out / "mplane_devices.out").read_text()


@pytest.mark.parametrize("name, size", [("size_640", (640, 360)), ("size_1280", (1280, 720))])
def test_size_is_the_one_asked_for(vivid, name, size):
    for answer in vivid[name].events("result"):
        assert (answer["result"]["width"], answer["result"]["height"]) == size


def test_rate_is_the_one_asked_for(vivid):
    ran = vivid["rate_10"]
    assert ran.source["fps"] == 10
    assert 20 <= ran.end["read"] <= 32  # of 3 s; the first comes late on a slow machine


def test_what_was_asked_and_what_is_given_are_told(vivid):
    source = vivid["other_size"].source
    assert source["asked"] == {"width": 333, "height": 222}
    assert (source["width"], source["height"]) == (320, 180)


def test_strict_refuses_and_lists(vivid):
    ran = vivid["strict"]
    assert ran.status == 2
    assert "--strict" in ran.errors and "YUYV 320x180@" in ran.errors


def test_format_that_is_not_there(vivid):
    ran = vivid["no_mjpg"]
    assert ran.status == 2
    assert "has no MJPG; it has YUYV" in ran.errors


def test_libv4l2_converts(vivid):
    ran = vivid["libv4l2"]
    assert (ran.status, ran.errors) == (0, "")
    assert len(ran.events("result")) == 3


def test_auto_takes_what_costs_least(vivid):
    assert vivid["auto"].source["format"] in ("YU12", "YV12")


def test_snap(vivid):
    assert vivid["snap"].status == 0
    jpeg = (vivid.out / "snap.jpg").read_bytes()
    assert jpeg[:2] == b"\xff\xd8" and jpeg[-2:] == b"\xff\xd9"


def test_devices_lists_sizes_and_rates(vivid):
    device = vivid["devices"].lines[0]
    assert device["card"] == "vivid"
    yuyv = next(f for f in device["formats"] if f["format"] == "YUYV")
    assert {"width": 640, "height": 360} .items() <= yuyv["sizes"][1].items()
    assert 30 in yuyv["sizes"][0]["rates"]
    bayer = [f for f in device["formats"] if not f["usable"]]
    assert bayer  # vivid has formats that nobody sends


def test_controls_of_every_type(vivid):
    by_name = {c["name"]: c for c in vivid["controls"].lines}
    types = {c["type"] for c in by_name.values()}
    assert {"integer", "boolean", "menu", "button", "int64", "string", "bitmask",
            "integer menu"} <= types
    assert by_name["brightness"]["value"] == "128"
    assert any(not c["writable"] for c in by_name.values())
    menu = by_name["menu"]["menu"]
    assert [i["index"] for i in menu] != list(range(len(menu)))  # it has a hole


def test_controls_are_set_and_told(vivid):
    text = (vivid.out / "controls_set.out").read_text().split("\n")
    assert text[0].split()[:3] == ["contrast", "integer", "100"]
    assert text[1].split()[:3] == ["saturation", "integer", "12"]


def test_controls_out_of_range(vivid):
    assert vivid["controls_range"].status == 2
    assert "contrast=900: expected 0 to 255" in vivid["controls_range"].errors
    assert vivid["controls_name"].status == 2


def test_dropped_buffers_are_counted(vivid):
    assert vivid["dropped"].end["device_lost"] > 0
    assert vivid["dropped"].end["broken"] == 0


def test_flagged_buffer_is_counted_and_not_sent(vivid):
    assert vivid["flagged"].end["broken_by"] == {"error flag": 1}


def test_fatal_error_is_survived(vivid):
    ran = vivid["fatal"]
    assert "Input/output error" in ran.notes[0]
    assert len(ran.events("source")) == 2
    assert ran.status == 0


@pytest.mark.parametrize("call, text", [("reqbufs", "get buffers of"), ("qbuf", "the buffers of"),
                                        ("streamon", "start the camera")])
def test_errors_of_starting(vivid, call, text):
    ran = vivid[f"inject_{call}"]
    assert ran.status == 3
    assert text in ran.errors


def test_stamps(vivid):
    assert vivid["format_YUYV"].source["stamp"] == "exposure"
    ran = vivid["stamp_end"]
    assert ran.source["stamp"] == "end"
    assert ran.end["age"]["max_ms"] < 1000  # vivid's lie ahead: they are believed to be now


def test_busy_says_by_whom(vivid):
    ran = vivid["busy"]
    assert ran.status == 3
    assert "in use by streamctl (process" in ran.errors


def test_disconnect_is_survived(vivid):
    ran = vivid["disconnect"]
    assert "was unplugged" in ran.notes[0]
    assert len(ran.events("source")) == 2
    assert (ran.status, ran.end["reconnects"]) == (0, 0)


@pytest.mark.parametrize("mode, text", [(1, "no signal"), (2, "cannot be locked on to"),
                                        (3, "out of range")])
def test_hdmi_without_a_signal(vivid, mode, text):
    ran = vivid[f"signal_{mode}"]
    assert ran.status == 3
    assert text in ran.errors


def test_hdmi_signal_comes_and_changes(vivid):
    ran = vivid["signal_comes"]
    assert "out of range" in ran.notes[0]
    assert "the signal at the input has changed" in ran.notes
    sizes = [(s["width"], s["height"]) for s in ran.events("source")]
    assert len(sizes) == 2 and sizes[0] != sizes[1]
    assert sizes[1] == (1280, 720)
    assert ran.events("result")[-1]["result"]["width"] == 1280


def test_hdmi_signal_that_goes_ends_without_reconnect(vivid):
    ran = vivid["signal_goes"]
    assert ran.status == 1
    assert "no signal at the input" in ran.errors


def test_a_held_frame_does_not_keep_the_camera_busy(vivid):
    """Its memory was the driver's; it is reopened though nobody takes the frame."""
    ran = vivid["held"]
    assert "Input/output error" in ran.notes[0]
    assert len(ran.events("source")) == 2
    assert not any("in use" in note for note in ran.notes)


def test_input_that_is_not_there(vivid):
    assert vivid["input_none"].status == 2
    assert "has no input 9" in vivid["input_none"].errors


def test_ledgers_on_vivid(vivid):
    assert check_ledgers(vivid) > 30


# --- a USB camera ---


def test_usb_camera_is_listed_without_its_metadata(uvc):
    devices = uvc["devices"].lines
    assert len(devices) == 1
    assert devices[0]["serial"] == "SN0001"
    assert [f["format"] for f in devices[0]["formats"]] == ["MJPG", "YUYV"]
    assert uvc["metadata"].status == 2
    assert "not a capture device" in uvc["metadata"].errors


def test_controls_by_old_names_and_in_the_order_that_works(uvc):
    text = (uvc.out / "controls.out").read_text().split("\n")
    assert uvc["controls"].status == 0, uvc["controls"].errors
    assert text[0].split()[2] == "200"
    assert "(Manual Mode)" in text[1]
    assert text[2].split()[2] == "-7"


@pytest.mark.parametrize("name, fourcc, size", [("mjpg", "MJPG", 640), ("yuyv", "YUYV", 320),
                                                ("sizes", "MJPG", 1280)])
def test_usb_formats(uvc, name, fourcc, size):
    ran = uvc[name]
    assert ran.status == 0, ran.errors
    assert ran.source["format"] == fourcc
    assert {a["result"]["width"] for a in ran.events("result")} == {size}


def test_first_camera_and_dry_run(uvc):
    assert uvc["first"].status == 0
    assert [e["event"] for e in uvc["dry"].lines] == ["start", "source"]
    assert uvc["dry"].source["fps"] == 15


@pytest.mark.parametrize("kind, counted", [
    ("trunc", {"truncated": 5}), ("err", {"error flag": 5}), ("garbage", {"garbage": 5}),
    ("nodht", {}), ("pad", {}), ("empty", {})])
def test_broken_frames_are_counted_by_kind_and_never_sent(uvc, kind, counted):
    ran = uvc[f"fault_{kind}"]
    assert ran.status == 0
    for what, n in counted.items():
        assert abs(ran.end["broken_by"].pop(what) - n) <= 1  # one more may come while it ends
    assert ran.end["broken_by"] == {}
    assert len(ran.events("result")) == 20
    assert not ran.events("drop")
    if kind == "empty":  # the driver keeps those: a gap in its numbers
        assert ran.end["device_lost"] >= 4


def test_frames_without_tables_get_them(uvc):
    """The server parses each: without DHT no decoder needs to take it."""
    sizes = [a["result"]["bytes"] for a in uvc["fault_nodht"].events("result")]
    plain = [a["result"]["bytes"] for a in uvc["mjpg"].events("result")]
    assert max(sizes) - min(sizes) < 420 + (max(plain) - min(plain))


def test_truncated_frames_on_request(uvc):
    assert uvc["allow_truncated"].end["broken"] == 0
    assert len(uvc["allow_truncated"].events("result")) == 20


def test_stall_is_survived(uvc):
    ran = uvc["stall"]
    assert ran.status == 0
    assert "gave no picture for 1.0 s" in ran.notes[0]
    assert len(ran.events("result")) == 30


@pytest.mark.parametrize("name", ["replug", "renumbered"])
def test_unplugged_and_back_on_the_same_session(uvc, name):
    ran = uvc[name]
    assert "was unplugged" in ran.notes[0]
    assert len(ran.events("source")) == 2
    assert len(ran.events("connected")) == 1
    again = [a for a in ran.lines if a["event"] in ("source", "result")]
    assert again[-1]["event"] == "result"
    if name == "renumbered":
        assert "/dev/video0" not in (uvc.out / "renumbered.nodes").read_text().split()
        assert ran.events("source")[1]["device"] != "/dev/video0"


def test_a_hundred_cycles_leak_nothing(uvc):
    ran = uvc["cycles"]
    assert ran.status == 130
    assert len(ran.events("source")) == 101
    before = [int(n) for n in (uvc.out / "cycles.before").read_text().split()]
    after = [int(n) for n in (uvc.out / "cycles.after").read_text().split()]
    assert after[0] == before[0]  # descriptors
    assert after[1] <= before[1] + 256  # KiB; 95 lost buffers would be 56 MiB


def test_ledgers_on_usb(uvc):
    assert check_ledgers(uvc) >= 15


# --- a long way ---


def test_age_is_bounded_behind_a_long_lossy_link(net):
    """Two frames in flight: the oldest answered is as old as two transfers and a way there and
    back, and what waits longer is replaced, not queued."""
    ran = net["netem"]
    assert ran.status == 0
    assert ran.end["answered"] > 100
    assert ran.end["age"]["p50_ms"] < 300


def test_age_is_bounded_behind_a_narrow_link(net):
    ran = net["narrow"]
    assert ran.end["answered"] > 50
    assert ran.end["age"]["p50_ms"] < 500
    assert ran.end["sent"] < ran.end["read"] * 0.8


def test_ledgers_behind_links(net):
    assert check_ledgers(net) == 3
