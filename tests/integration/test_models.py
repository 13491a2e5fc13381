"""Models of one's own: worker processes behind a real server, and what they do wrong."""

import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import textwrap
import time

import pytest

import ctl_helpers
import harness

EXAMPLES = harness.ROOT / "server" / "pipelines" / "examples"
HEAD = textwrap.dedent("""
    import json, os, struct, sys, time
    def exactly(n):
        data = sys.stdin.buffer.read(n)
        if len(data) < n:
            sys.exit()
        return data
    def tell(**line):
        print(json.dumps(line), flush=True)
    def frame():
        magic, n, w, h, seq, deadline = struct.unpack("<4sIIIQQ", exactly(32))
        return seq, w, h, exactly(n)
""")


@pytest.fixture(name="worker")
def worker_fixture(tmp_path):
    """worker("the body of a worker") gives the command that runs it."""

    def make(body, hello='tell(protocol=1, name="test")'):
        path = tmp_path / f"worker{len(list(tmp_path.iterdir()))}.py"
        path.write_text(HEAD + hello + "\n" + textwrap.dedent(body))
        return f"python3 {path}"

    return make


def ask(server, pipeline, n=5, *options):
    """Streams n frames; gives the results."""
    ctl = ctl_helpers.Streamctl("stream", "test:160x120@50", f"localhost:{server.port}", "-q",
                                "-p", pipeline, "-n", n, "--no-adapt", "--in-flight", 1, *options)
    ctl.join()
    end = ctl_helpers.check_ledger(ctl)
    assert end["sent"] == end["answered"] + end["dropped"]
    return [e["result"] for e in ctl.find("result")]


def start(streamd, *specs, workers=4):
    options = [o for s in specs for o in ("--pipeline", s)]
    return streamd("--budget", "off", "--workers", workers, *options)


def described(server, name):
    pipelines = json.loads(server.http("/pipelines").text)["pipelines"]
    return next(p for p in pipelines if p["name"] == name)


def state_of(server, name):
    return described(server, name)["state"]


def errors_of(server, name):
    """By kind, without those that did not happen."""
    of_it = re.findall(r'streamd_pipeline_errors_total\{pipeline="' + name +
                       r'",kind="(\w+)"\} (\d+)', server.http("/metrics").text)
    return {kind: int(n) for kind, n in of_it if int(n)}


def test_worker_answers(streamd):
    server = start(streamd, f"size=exec:python3 {EXAMPLES}/worker.py")
    results = ask(server, "size")
    assert len(results) == 5
    assert all(r["width"] == 160 and r["height"] == 120 and r["bytes"] > 100 for r in results)
    assert state_of(server, "size") == "ready"


def test_c_worker_with_options_before_it(streamd, tmp_path):
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    subprocess.run(["cc", "-o", tmp_path / "worker", EXAMPLES / "worker.c"], check=True)
    server = start(streamd, f"size=exec:workers=2,timeout_ms=5000,{tmp_path}/worker")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for results in pool.map(lambda _: ask(server, "size", 20), range(4)):
            assert [r["width"] for r in results] == [160] * 20


@pytest.mark.parametrize("form, n_bytes", [("gray", 1), ("rgb", 3)])
@pytest.mark.parametrize("scale", [1, 4])
def test_pixels_as_the_worker_wants_them(streamd, worker, form, n_bytes, scale):
    command = worker("""
        while True:
            seq, w, h, data = frame()
            tell(seq=seq, result={"w": w, "h": h, "n": len(data), "least": min(data)})
    """, f'tell(protocol=1, name="test", format="{form}", scale={scale})')
    for r in ask(start(streamd, f"m=exec:{command}"), "m"):
        assert (r["w"], r["h"]) == (160 // scale, 120 // scale)
        assert r["n"] == r["w"] * r["h"] * n_bytes


def test_error_of_a_frame_is_told(streamd, worker):
    command = worker("""
        while True:
            seq, *_ = frame()
            tell(seq=seq, error="cannot see") if seq % 2 else tell(seq=seq, result={"n": seq})
    """)
    results = ask(start(streamd, f"m=exec:{command}"), "m", 6)
    assert {"status": "error", "detail": "cannot see"} in results
    assert any("n" in r for r in results)


FAULTS = {
    "crashed": "os._exit(3)",
    "garbage": "print('what?', flush=True)",
    "timeout": "time.sleep(60)",
}


@pytest.mark.parametrize("status", FAULTS)
def test_failure_is_a_status_and_the_worker_is_started_again(streamd, worker, status):
    """The fourth frame of each process fails (two are warm-ups), under load of 4 sessions."""
    command = worker(f"""
        n = 0
        while True:
            seq, *_ = frame()
            n += 1
            if n > 5:
                {FAULTS[status]}
            tell(seq=seq, result={{"n": n}})
    """)
    server = start(streamd, f"m=exec:timeout_ms=300,{command}")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        all_results = [r for rs in pool.map(lambda _: ask(server, "m", 60), range(4)) for r in rs]
    assert {"status": status} in all_results
    assert any("n" in r for r in all_results)
    assert all("n" in r or r["status"] in (status, "restarting", "starting", "timeout")
               for r in all_results)
    metrics = server.http("/metrics").text
    assert 'streamd_pipeline_restarts_total{pipeline="m"} 0' not in metrics
    told = collections.Counter(r["status"] for r in all_results if "status" in r)
    assert errors_of(server, "m") == told


def test_worker_that_keeps_dying_degrades_its_pipeline_alone(streamd, worker, tmp_path):
    """It starts once, and never again while the file is not there."""
    flag = tmp_path / "alive"
    flag.touch()
    command = worker(f"""
        while True:
            seq, *_ = frame()
            if not os.path.exists("{flag}"):
                os._exit(1)
            tell(seq=seq, result={{"fine": True}})
    """)
    server = start(streamd, f"m=exec:{command}")
    assert ask(server, "m")[0] == {"fine": True}
    flag.unlink()
    deadline = time.monotonic() + harness.TIMEOUT_S
    while state_of(server, "m") != "degraded" and time.monotonic() < deadline:
        ask(server, "m", 5)
    ready = json.loads(server.http("/readyz").text)
    assert ready == {"ready": True, "degraded": ["m"]}
    assert 'streamd_pipeline_degraded{pipeline="m"} 1' in server.http("/metrics").text
    assert len(ask(server, "null")) == 5  # others go on
    flag.touch()
    harness.until(lambda: {"fine": True} in ask(server, "m", 5), "well again")
    assert state_of(server, "m") == "ready"


def test_command_that_does_not_work_is_told_at_the_start():
    ran = subprocess.run([harness.binary(), "--listen", "127.0.0.1:0", "--pipeline",
                          "m=exec:start_ms=3000,no-such-program --x"], capture_output=True,
                         timeout=harness.TIMEOUT_S * 2, check=False, text=True,
                         env=harness.clean_env())
    assert ran.returncode == 1
    assert "pipeline 'm': its worker does not start" in ran.stderr


@pytest.mark.parametrize("spec, says", [
    ("m=exec", "CMD is missing"), ("m=exec:", "CMD is missing"),
    ("m=exec:workers=2", "CMD is missing"), ("m=exec:workers=0,x", "workers: 0 is out of range"),
    ("m=unix", "PATH is missing"), ("m=face:cascade=/nowhere.xml", "/nowhere.xml"),
    ("m=face:scale=3", "scale is 1, 2, 4 or 8")])
def test_specs_that_are_refused(spec, says):
    ran = subprocess.run([harness.binary(), "--list-pipelines", "--pipeline", spec],
                         capture_output=True, timeout=harness.TIMEOUT_S, check=False, text=True,
                         env=harness.clean_env())
    assert ran.returncode == 2
    assert says in ran.stderr


def test_what_a_worker_says_goes_to_the_log(streamd, worker):
    command = worker("""
        print("model loaded\\x1b[31m", file=sys.stderr, flush=True)
        while True:
            seq, *_ = frame()
            tell(seq=seq, result={})
    """)
    server = start(streamd, f"m=exec:{command}")
    line = server.wait_event("worker_stderr")
    assert "model loaded" in json.dumps(line) and "\\u001b" not in json.dumps(line)


def test_nothing_is_left_behind(streamd, worker):
    """The processes end with the server, also those that do not listen."""
    command = worker("""
        print(os.getpid(), file=sys.stderr, flush=True)
        while True:
            seq, *_ = frame()
            tell(seq=seq, result={})
    """)
    server = start(streamd, f"m=exec:workers=3,{command}")
    server.wait_event("worker_stderr", n=3)
    pids = [int("".join(filter(str.isdigit, json.dumps(e.get("text", "")))))
            for e in server.events("worker_stderr")]
    assert all(os.path.exists(f"/proc/{pid}") for pid in pids)
    server.stop()
    harness.until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "workers ended")


def test_unix_socket(streamd, tmp_path):
    """A worker that somebody else runs; it may come after the server."""
    path = tmp_path / "model.sock"
    server = start(streamd, f"m=unix:{path}")
    assert all(set(r) == {"status"} for r in ask(server, "m", 3))
    script = tmp_path / "serve.py"
    script.write_text(textwrap.dedent(f"""
        import os, socket, subprocess, sys
        s = socket.socket(socket.AF_UNIX)
        s.bind("{path}")
        s.listen()
        while True:
            c, _ = s.accept()
            subprocess.run([sys.executable, "{EXAMPLES}/worker.py"], stdin=c, stdout=c)
            c.close()
    """))
    with subprocess.Popen(["python3", script]) as served:
        try:
            harness.until(lambda: any("width" in r for r in ask(server, "m", 3)), "answers")
        finally:
            subprocess.run(["pkill", "-P", str(served.pid)], check=False)
            served.kill()


def face_pictures():
    doc = pathlib.Path("/usr/share/doc/opencv-doc")
    return sorted(doc.rglob("facereg.jpg"))


def test_faces(streamd):
    server = start(streamd, "near=face:scale=1")
    names = [p["name"] for p in json.loads(server.http("/pipelines").text)["pipelines"]]
    assert "face" in names
    assert all(r == {"detections": []} for r in ask(server, "face"))  # the test picture has none
    for picture in face_pictures():
        ctl = ctl_helpers.stream(picture, f"localhost:{server.port}", "-q", "-p", "near")
        box = ctl.find("result")[0]["result"]["detections"][0]
        assert box["label"] == "face"
        assert abs(box["x"] - 22) < 8 and abs(box["y"] - 22) < 8 and abs(box["w"] - 53) < 12


if not os.path.exists("/usr/share/opencv4/lbpcascades/lbpcascade_frontalface_improved.xml"):
    test_faces = pytest.mark.skip(reason="opencv-data is not installed")(test_faces)


def test_pipelines_of_pipelines(streamd):
    """What two find is joined; the later one's other members win."""
    server = start(streamd, "size=exec:python3 " + str(EXAMPLES / "worker.py"),
                   "both=motion+inspect+size")
    results = ask(server, "both", 10)
    assert all({"detections", "motion", "components", "bytes"} <= set(r) for r in results)
    assert any(r["detections"] for r in results)
    assert [r["width"] for r in results] == [160] * 10


@pytest.mark.parametrize("folder", ["bin/plugins", "lib/streamd/plugins"])
def test_a_plugin_without_a_slash_is_one_of_ours_or_a_file_here(tmp_path, folder):
    """As built, and as installed."""
    built = pathlib.Path(harness.binary()).resolve()
    (tmp_path / "bin").mkdir()
    (tmp_path / folder).mkdir(parents=True)
    program = shutil.copy(built, tmp_path / "bin")
    shutil.copy(built.parent / "plugins" / "example.so", tmp_path / folder)
    shutil.copy(built.parent / "plugins" / "example.so", tmp_path / "mine.so")
    table = subprocess.run(
        [program, "--list-pipelines", "--json", "--pipeline", "a=plugin:example.so",
         "--pipeline", "b=plugin:mine.so"],
        cwd=tmp_path, env=harness.clean_env(), timeout=harness.TIMEOUT_S, capture_output=True, check=True)  # fmt: skip
    source = {p["name"]: p.get("source") for p in json.loads(table.stdout)["pipelines"]}
    assert source["a"] == str(tmp_path / folder / "example.so")
    assert source["b"] == "./mine.so"


def test_pipelines_tell_what_they_are(streamd, worker):
    """Of a worker and a plugin: what they said; of ours: ours; in JSON and as a table."""
    library = pathlib.Path(harness.binary()).parent / "plugins" / "example.so"
    command = worker("""
        while True:
            tell(seq=frame()[0], result={})
    """, hello='tell(protocol=1, name="owls", version="2.5", format="gray")')
    specs = [f"w=exec:{command}", f"p=plugin:{library}", "c=motion+face"]
    server = start(streamd, *specs)
    keys = ("model", "version", "licence", "format", "source", "state")

    def about(name):
        return [described(server, name).get(k) for k in keys]

    assert about("w") == ["owls", "2.5", None, "gray", command, "ready"]
    assert about("p")[:4] == ["example", "1.0", "MIT", "gray"]
    assert about("p")[4] == str(library)
    ours = json.loads(server.http("/version").text)["version"]
    assert about("motion") == [None, ours, "MIT", "gray", "built-in", "ready"]
    assert about("null")[3] == "jpeg"
    options = [o for s in specs for o in ("--pipeline", s)]
    table = harness.run_streamd("--list-pipelines", *options).stdout.splitlines()
    assert ["w", "exec", "2.5", "gray", "ready"] in [row.split()[:5] for row in table]
    listed = subprocess.run([ctl_helpers.binary(), "pipelines", f"localhost:{server.port}"],
                            capture_output=True, check=True, text=True).stdout.splitlines()
    assert ["w", "exec", "2.5", "gray", "ready"] in [row.split()[:5] for row in listed]


def test_whole_cannot_be_a_part(streamd):
    for spec in ("a=motion+nothing", "a=motion+a"):
        ran = subprocess.run([harness.binary(), "--list-pipelines", "--pipeline", spec],
                             capture_output=True, check=False, text=True,
                             env=harness.clean_env())
        assert ran.returncode == 2
        assert "there is no pipeline" in ran.stderr


def test_expensive_one_runs_seldom(streamd, worker):
    command = worker("""
        n = 0
        while True:
            frame_seq, *_ = frame()
            n += 1
            tell(seq=frame_seq, result={"n": n})
    """)
    results = ask(start(streamd, f"m=exec:every=3,{command}"), "m", 9)
    assert [r.get("stale_frames", 0) for r in results] == [0, 1, 2] * 3
    assert len({r["n"] for r in results}) == 3


def test_worker_slower_than_the_budget_still_answers(streamd, worker):
    """Late is a statistic there, not a failure: the newest frame is run all the same."""
    command = worker("""
        while True:
            seq, *_ = frame()
            time.sleep(0.06)
            tell(seq=seq, result={"n": seq})
    """)
    server = streamd("--budget", "37ms", "--pipeline", f"m=exec:{command}")
    results = ask(server, "m", 10)
    assert len(results) >= 5 and all("n" in r for r in results)


def test_plugin_in_the_process(streamd):
    """plugins/example.c, as it is built and installed."""
    library = pathlib.Path(harness.binary()).parent / "plugins" / "example.so"
    results = ask(start(streamd, f"m=plugin:{library}"), "m", 10)
    assert len(results) == 10
    assert all(0 < r["brightness"] < 256 for r in results)
