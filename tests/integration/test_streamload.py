"""streamload against real servers: its account is theirs, its exit codes mean what they say.

The machine that runs this may be too busy for a measurement to be valid, and then the exit code
is 5, rightly. So a run's code is compared with what its own report says, and what a
report leads to is tested with reports whose noise has been taken out.
"""

import csv
import json
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree

import jsonschema
import pytest

import harness
import load_helpers
from load_helpers import Report, Streamload, load
from slow_link import SlowLink

SCHEMA = json.loads((harness.ROOT / "loadgen" / "report.schema.json").read_text())
PAGE = harness.ROOT / "man" / "streamload.1.in"


@pytest.fixture(name="run")
def run_fixture(streamd, tmp_path):
    """run(*args) plays against a streamd of its own and gives the Report."""

    def run(*args, server=(), **kw):
        srv = streamd(*server)
        path = tmp_path / "run.json"
        out = load("run", f"127.0.0.1:{srv.port}", "--pipeline", "null", "--json", path, *args, **kw)
        assert path.exists(), (out.code, out.err)
        report = Report(path)
        report.load, report.server, report.path = out, srv, path
        check_report(report)
        return report

    return run


def check_report(report):
    """What holds for every report."""
    jsonschema.validate(report.json, SCHEMA)
    report.check_ledger()
    failed = any(g["outcome"] == "failed" for g in report.json["gates"])
    expected = 5 if report.json["invalid_because"] else 4 if failed else 0
    if report.json["run"]["ended"] == "interrupted":
        expected = 130
    assert report.load.code == expected, (report.load.err, report.json["invalid_because"])
    verdict = {0: "PASSED", 4: "FAILED"}.get(expected, "INVALID")
    assert verdict in report.load.err


def quiet(path, **changes):
    """The report as a machine with nothing else to do would have made it."""
    report = json.loads(path.read_text())
    for part in report["record"]["parts"]:
        part["times"].pop("slip", None)
    for generator in report["generators"]:
        generator.update(cpu_us=0, busiest_cpu_us=0, run_queue_us=0)
    report.update(changes)
    path.write_text(json.dumps(report))
    return report


# ---- a run


def test_the_account_is_the_servers(run):
    report = run("--sessions", 5, "--duration", "1s", "--fps", 20)
    n = report.total
    assert n["due"] == n["sent"] == 100
    done = report.server.stop()
    assert done["received"] == n["sent"]
    assert done["answered"] == n["answered"]
    assert done["dropped"] == n["dropped"]
    assert n["connects"] == 5 and n["disconnects"] == 0
    assert n["latency"]["count"] == n["answered"]
    assert n["sent_bytes"] == 100 * 46000
    assert sum(s["due"] for s in report.json["record"]["seconds"]) == n["due"]


def test_metrics_before_and_after_say_the_same(streamd, tmp_path):
    srv = streamd()
    names = {"sent": "streamd_frames_received_total", "answered": "streamd_frames_answered_total"}
    before = {k: srv.metrics().total(v) for k, v in names.items()}
    load("run", f"127.0.0.1:{srv.port}", "-p", "null", "-s", 3, "-d", "500ms", "--json",
         tmp_path / "r.json")
    total = Report(tmp_path / "r.json").check_ledger()
    srv.wait_no_session()
    for key, name in names.items():
        assert srv.metrics().total(name) - before[key] == total[key]


def test_drops_have_their_reasons(run):
    report = run("--sessions", 2, "--duration", "1s", "--fps", 50, "--pipeline", "slow",
                 server=("--pipeline", "slow=delay:ms=80", "--workers", 1))
    n = report.total
    assert n["dropped"] > 20
    reasons = [v for k, v in n.items() if k.startswith("dropped_")]
    assert sum(reasons) == n["dropped"] and n["dropped_other"] == 0
    assert "drop_latency" in n


def test_a_mix_of_profiles(run, tmp_path):
    (tmp_path / "mix.txt").write_text(
        "big weight=1 fps=10 size=80KB geometry=800x600 tag.site=north\n"
        "small weight=3 fps=20 size=10KB geometry=160x120 fragment=1000\n"
        "doorbell weight=1 fps=10 burst=200ms/10s in-flight=1\n")
    report = run("--sessions", 5, "--duration", "1s", "--profiles", tmp_path / "mix.txt",
                 "--gate", "profile:small.due==60", "--gate", "profile:big.answered>0")
    profiles = report.json["summary"]["profiles"]
    assert profiles["big"]["due"] == 10 and profiles["small"]["due"] == 60
    assert profiles["doorbell"]["due"] == 2
    assert profiles["big"]["sent_bytes"] == profiles["big"]["sent"] * 80000
    assert [p["tags"] for p in report.json["configuration"]["profiles"]][0] == "site=north"
    assert report.json["gates"][0]["outcome"] == "passed"


def test_stages_come_and_go(run):
    report = run("--stages", "500ms:4,1s:4,500ms:0", "--fps", 20)
    n = report.total
    assert n["connects"] == 4 and n["disconnects"] == 0 and n["connect_errors"] == 0
    assert 0 < n["due"] <= 4 * 40
    assert report.server.stop()["received"] == n["sent"]


def test_a_warm_up_is_in_the_series_only(run):
    report = run("--sessions", 2, "--duration", "2s", "--warmup", "1s", "--fps", 10)
    assert report.total["due"] == 20
    assert sum(s["due"] for s in report.json["record"]["seconds"]) == 40


def test_threads_share_the_sessions(run):
    report = run("--sessions", 7, "--duration", "500ms", "--fps", 20, "--threads", 3)
    assert report.total["due"] == 70 and report.total["connects"] == 7
    assert report.json["generators"][0]["n_threads"] == 3


def test_sessions_that_churn_come_again(run):
    report = run("--sessions", 4, "--duration", "2s", "--fps", 20, "--churn", 3)
    n = report.total
    assert n["connects"] > 4
    assert n["disconnects"] == n["lost"] == n["unanswered"] == 0
    assert report.server.stop()["received"] == n["sent"]


def test_what_is_in_flight_can_be_limited(run):
    report = run("--sessions", 1, "--duration", "1s", "--fps", 50, "--in-flight", 1,
                 "--pipeline", "slow", server=("--pipeline", "slow=delay:ms=100",))
    n = report.total
    assert n["held_back"] > 10 and n["dropped"] == 0


def test_adaptive_sessions_lower_their_rate(run):
    report = run("--sessions", 1, "--duration", "3s", "--fps", 50, "--adapt",
                 "--pipeline", "slow", server=("--pipeline", "slow=delay:ms=100",))
    n = report.total
    assert n["held_back"] > n["sent"]


def test_a_slow_reader_reads_at_last(run):
    report = run("--sessions", 1, "--duration", "1s", "--fps", 10, "--slow-reader", "50ms")
    assert report.total["answered"] == report.total["sent"] == 10


def test_it_ends_while_the_socket_still_takes_the_last_frame(streamd, tmp_path):
    """That frame was given up when the time was over: it is no frame any more when it is sent."""
    srv = streamd()
    report = tmp_path / "r.json"
    with SlowLink(("127.0.0.1", srv.port), bytes_per_s=4_000_000) as link:
        load("run", link.url, "-p", "null", "-s", 1, "-d", "1s", "--size", "1MB", "--answer-timeout",
             "100ms", "--json", report)
    total = Report(report).check_ledger()
    assert total["lost"] > 0


def test_spinning_is_told(run):
    report = run("--sessions", 1, "--duration", "300ms", "--wait", "spin")
    assert report.json["generators"][0]["wait"] == "spin"


def test_frames_of_a_folder(run, tmp_path):
    import jpegs
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "a.jpg").write_bytes(jpegs.GRAY)
    report = run("--sessions", 1, "--duration", "500ms", "--fps", 10, "--frames",
                 tmp_path / "frames", "--pipeline", "look", server=("--pipeline", "look=inspect"))
    assert report.total["due"] == 5 and report.total["sent"] > 0
    assert report.total["sent_bytes"] == report.total["sent"] * len(jpegs.GRAY)


# ---- what goes wrong


def test_a_server_that_is_not_there():
    out = load("run", "127.0.0.1:1", "-d", "1s")
    assert out.code == 3 and "127.0.0.1 port 1" in out.err


def test_a_pipeline_that_is_not_there(streamd):
    out = load("run", f"127.0.0.1:{streamd().port}", "-p", "nope", "-d", "1s")
    assert out.code in (3, 4, 5) and "nope" in out.err


def test_sessions_that_are_refused_make_a_run_invalid(run):
    report = run("--sessions", 4, "--duration", "500ms",
                 server=("--max-sessions", 2))
    names = {f["name"] for f in report.json["invalid_because"]}
    assert "sessions" in names and report.load.code == 5


def test_a_server_that_dies(streamd, tmp_path):
    srv = streamd()
    one = Streamload("run", f"127.0.0.1:{srv.port}", "-p", "null", "-s", 3, "-d", "4s", "--json",
                     tmp_path / "r.json")
    harness.until(lambda: srv.metrics().total("streamd_frames_answered_total") > 10, "answers")
    srv.kill()
    one.wait()
    n = Report(tmp_path / "r.json").check_ledger()
    assert n["disconnects"] == 3 and n["lost"] > 0
    assert one.code in (4, 5)


@pytest.mark.parametrize("how", ["immediate", "backoff"])
def test_lost_sessions_come_again(streamd, tmp_path, how):
    srv = streamd()
    port = srv.port
    one = Streamload("run", f"127.0.0.1:{port}", "-p", "null", "-s", 2, "-d", "8s",
                     "--reconnect", how, "--json", tmp_path / "r.json")
    harness.until(lambda: srv.metrics().total("streamd_frames_answered_total") > 10, "answers")
    srv.kill()
    again = streamd(listen=f"127.0.0.1:{port}")
    again.wait_event("stream_connect")
    one.wait()
    n = Report(tmp_path / "r.json").check_ledger()
    assert n["disconnects"] == 2 and n["connects"] > 2


def test_an_interrupt_ends_it_with_a_summary(streamd, tmp_path):
    srv = streamd()
    one = Streamload("run", f"127.0.0.1:{srv.port}", "-p", "null", "-d", "1h", "--json",
                     tmp_path / "r.json")
    srv.wait_event("stream_connect")
    harness.until(lambda: srv.metrics().total("streamd_frames_answered_total") > 10, "answers")
    one.interrupt()
    one.wait()
    report = Report(tmp_path / "r.json")
    report.check_ledger()
    assert one.code == 130 and report.json["run"]["ended"] == "interrupted"
    assert "due to answer" in one.err


def test_an_interrupt_before_the_start_is_a_run_of_no_time(streamd, tmp_path):
    srv = streamd()
    one = Streamload("run", f"127.0.0.1:{srv.port}", "-p", "null", "-s", 2, "--start-at",
                     str(int(time.time()) + 3600), "--json", tmp_path / "r.json")
    said = iter(one.process.stderr.readline, "")
    assert any("2 of 2 sessions connected" in line for line in said)
    one.interrupt()
    one.wait()
    report = Report(tmp_path / "r.json")
    assert one.code == 130 and report.json["run"]["duration_us"] == 0
    assert report.check_ledger()["due"] == 0


def test_a_start_that_is_past_is_told(run):
    report = run("--sessions", 1, "--duration", "300ms", "--start-at", "1700000000")
    assert "--start-at is past" in report.load.err and report.total["due"] == 9


def test_a_gate_that_fails_for_long_ends_the_run(streamd, tmp_path):
    srv = streamd()
    one = load("run", f"127.0.0.1:{srv.port}", "-p", "null", "-d", "1h", "--abort-on-fail",
               "300ms", "--gate", "due==0", "--json", tmp_path / "r.json")
    assert Report(tmp_path / "r.json").json["run"]["ended"] == "aborted"
    assert one.code in (4, 5)


WRONG = [
    (["run", "--stages", "x"], "--stages"),
    (["run", "--segment", "3/2"], "--segment"),
    (["run", "--start-at", "soon"], "--start-at"),
    (["run", "--geometry", "big"], "--geometry"),
    (["run", "--gate", "nope<1"], "nope"),
    (["run", "--gate", "latency.p99"], "latency.p99"),
    (["run", "--max-regress", "x"], "--max-regress"),
    (["run", "--size", "1024", "--geometry", "4000x4000"], "--size"),
    (["run", "--fragment", "1"], "--fragment"),
    (["run", "--warmup", "20s"], "--warmup"),
    (["run", "--profiles", "/dev/null"], "--profiles"),
    (["run", "a", "b"], "run"),
    (["run", "wss://localhost:1", "--cacert", "/dev/null"], "--cacert"),
    (["capacity", "--from", "5", "--to", "4"], "--from"),
    (["compare", "a", "b", "c"], "vs"),
    (["nope"], "nope"),
]


@pytest.mark.parametrize("args, told", WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_wrong_usage_is_named(args, told):
    out = load(*args)
    assert out.code == 2 and told in out.err, out.err


@pytest.mark.parametrize("args", [["run", "--frames", "/nope"], ["run", "--profiles", "/nope"],
                                  ["report", "/nope"], ["compare", "/nope", "/nope2"]])
def test_files_that_are_not_there(args):
    out = load(*args)
    assert out.code == 3 and "/nope" in out.err


# ---- a server of others, over TLS: Python's websockets, which knows no timing and pings

OTHER_SERVER = """
import asyncio, json, ssl, sys, websockets
async def handle(ws, path):
    index = 0
    async for _ in ws:
        await ws.send(json.dumps({"frame_index": index, "result": {}}))
        index += 1
async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1] + "/cert.pem", sys.argv[1] + "/key.pem")
    server = await websockets.serve(handle, "127.0.0.1", 0, ssl=context, ping_interval=0.05,
                                    max_size=None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Future()
asyncio.run(main())
"""


@pytest.fixture(name="other_server")
def other_server_fixture(tmp_path):
    """(folder of its certificate, port)"""
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True)
    with subprocess.Popen([sys.executable, "-c", OTHER_SERVER, tmp_path], text=True,
                          stdout=subprocess.PIPE) as process:
        yield tmp_path, int(process.stdout.readline())
        process.kill()


@pytest.mark.parametrize("threads", [1, 2])
def test_frames_of_several_fragments_go_over_tls_between_pings(other_server, tmp_path, threads):
    folder, port = other_server
    trust = ["--cacert", folder / "cert.pem"] if threads == 1 else ["--insecure"]
    out = load("run", f"wss://localhost:{port}", "-s", 3, "-d", "2s", "-f", 20, "--size", "200KB",
               "--fragment", "16KiB", "--json", tmp_path / "r.json", "--threads", threads, *trust)
    n = Report(tmp_path / "r.json").check_ledger()
    assert out.code in (0, 4, 5), out.err
    assert n["sent"] == n["answered"] == 120
    assert n["tls"]["count"] == n["connects"] == 3 and "wait" not in n
    assert n["odd"] == n["disconnects"] == 0


def test_a_certificate_that_is_not_trusted(other_server):
    _, port = other_server
    out = load("run", f"wss://localhost:{port}", "-s", 1, "-d", "1s")
    assert out.code == 3 and "localhost" in out.err


# ---- what is made of a report


@pytest.fixture(name="quiet_report")
def quiet_report_fixture(run):
    report = run("--sessions", 3, "--duration", "1s", "--fps", 20)
    quiet(report.path)
    return report.path


@pytest.mark.parametrize("gate, code", [
    ("due==60", 0), ("due==61", 4), ("warn:due==61", 0), ("tls.p99<1s", 4),
    ("profile:default.due==60", 0), ("profile:nope.due==60", 4), ("latency.p99<1h", 0),
])
def test_gates_and_exit_codes(quiet_report, gate, code):
    assert load("report", quiet_report, "--gate", gate).code == code


def test_what_is_computed_is_computed_again(quiet_report, tmp_path):
    load("report", quiet_report, "--json", tmp_path / "a.json")
    load("report", tmp_path / "a.json", "--json", tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    a, original = json.loads((tmp_path / "a.json").read_text()), json.loads(quiet_report.read_text())
    for key in ("run", "configuration", "generators", "record"):
        assert a[key] == original[key]


def test_every_output_of_one_run(quiet_report, tmp_path):
    names = ["json", "junit", "markdown", "csv", "prom", "hdr", "html"]
    args = [x for n in names for x in (f"--{n}", tmp_path / n)]
    args += [x for gate in ("due==60", "sent>0", "failed_sessions==0") for x in ("--gate", gate)]
    out = load("report", quiet_report, *args, env={"GITHUB_STEP_SUMMARY": str(tmp_path / "sum")})
    assert out.code == 0 and out.out == ""
    cases = xml.etree.ElementTree.parse(tmp_path / "junit").findall(".//testcase")
    assert len(cases) == 4 and not any(list(c.iter("failure")) for c in cases)
    rows = list(csv.DictReader((tmp_path / "csv").open(newline="")))
    assert sum(int(r["due"]) for r in rows) == 60
    prom = harness_metrics(tmp_path / "prom")
    assert prom["streamload_due_total{profile=\"default\"}"] == 60
    assert (tmp_path / "sum").read_text() == (tmp_path / "markdown").read_text()
    assert (tmp_path / "hdr").read_text().startswith("#[Histogram log format version 1.3]")
    assert not list(tmp_path.glob("*.part"))


def harness_metrics(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {k: float(v) for k, _, v in (line.rpartition(" ") for line in lines)}


def test_github_is_told_of_failed_gates(quiet_report):
    out = load("report", quiet_report, "--gate", "due==61", "-q", env={"GITHUB_ACTIONS": "true"})
    assert re.fullmatch(r"::error title=streamload gate::due is 60, not == 61\n", out.out)


def test_standard_output_is_an_output(quiet_report):
    out = load("report", quiet_report, "--csv", "-", "-q")
    assert out.out.startswith("second,warmup") and out.err == ""


def test_an_output_that_cannot_be_written(quiet_report, tmp_path):
    out = load("report", quiet_report, "--csv", tmp_path / "no" / "x.csv")
    assert out.code == 1 and "x.csv" in out.err


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"schema":"streamload-report/9"}', "x"])
def test_files_that_are_no_reports(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    out = load("report", tmp_path / "x.json")
    assert out.code == 2 and "x.json" in out.err


# ---- split runs


def test_segments_are_the_whole(streamd, tmp_path):
    srv = streamd()
    common = ["run", f"127.0.0.1:{srv.port}", "-p", "null", "-s", 7, "-d", "1s", "--fps", 20]
    parts = [Streamload(*common, "--segment", f"{i}/3", "--json", tmp_path / f"{i}.json")
             for i in (1, 2, 3)]
    for part in parts:
        part.wait()
    files = [tmp_path / f"{i}.json" for i in (1, 2, 3)]
    out = load("merge", *files, "-q")
    merged = json.loads(out.out)
    jsonschema.validate(merged, SCHEMA)
    assert merged["summary"]["total"]["due"] == 7 * 20
    assert merged["summary"]["sessions"] == 7
    sums = [json.loads(f.read_text())["summary"]["total"]["answered"] for f in files]
    assert merged["summary"]["total"]["answered"] == sum(sums)
    twice = load("merge", files[0], files[0])
    assert twice.code == 2 and "segment 1/3" in twice.err


# ---- comparing


def slower(path, factor):
    """The same run with each latency so many times as long."""
    report = json.loads(path.read_text())
    for part in report["record"]["parts"]:
        h = part["times"]["latency"]
        h["buckets"] = [[b + factor, n] for b, n in h["buckets"]]
        h["max_us"] *= 1 << 12
    other = path.with_name(f"slower{factor}.json")
    other.write_text(json.dumps(report))
    return other


def test_a_regression_has_its_exit_code(quiet_report, tmp_path):
    worse = slower(quiet_report, 320)  # 2^10 times
    same = load("compare", quiet_report, quiet_report)
    assert same.code == 0 and "latency.p99" in same.out
    out = load("compare", quiet_report, worse, "--json", tmp_path / "c.json",
               "--junit", tmp_path / "c.xml", "--markdown", tmp_path / "c.md")
    assert out.code == 6 and "WORSE" in out.out
    assert json.loads((tmp_path / "c.json").read_text())["regression"] is True
    assert xml.etree.ElementTree.parse(tmp_path / "c.xml").findall(".//failure")
    assert load("compare", worse, quiet_report).code == 0


def test_many_runs_are_tested(quiet_report):
    worse = slower(quiet_report, 320)
    out = load("compare", *[quiet_report] * 6, "vs", *[worse] * 6)
    assert out.code == 6 and "Mann-Whitney" in out.out
    assert load("compare", *[quiet_report] * 6, "vs", *[quiet_report] * 6).code == 0


def test_unlike_runs_are_not_compared(quiet_report):
    report = json.loads(quiet_report.read_text())
    report["configuration"]["settings"][0][1] = "99"
    other = quiet_report.with_name("other.json")
    other.write_text(json.dumps(report))
    out = load("compare", quiet_report, other)
    assert out.code == 2 and "99" in out.err and "other.json" in out.err


def test_invalid_runs_are_not_compared(quiet_report):
    report = json.loads(quiet_report.read_text())
    report["run"]["ended"] = "interrupted"
    other = quiet_report.with_name("other.json")
    other.write_text(json.dumps(report))
    assert load("compare", quiet_report, other).code == 5


def test_a_run_compares_itself_with_its_baseline(run, streamd):
    report = run("--sessions", 3, "--duration", "1s", "--fps", 20)
    quiet(report.path)
    out = load("run", f"127.0.0.1:{streamd().port}", "--pipeline", "null",
               "--sessions", 3, "--duration", "1s", "--fps", 20, "--baseline", report.path,
               "--gate", "due==60", "--max-regress", "due=0")
    assert out.code in (0, 5)
    assert out.code == 5 or "1 runs before, 1 now" in out.out


# ---- capacity


def test_capacity_finds_a_number(streamd):
    """A gate on a count has no noise: 20 fps for half a second are 10 frames a session."""
    srv = streamd()
    out = load("capacity", f"127.0.0.1:{srv.port}", "-p", "null", "--fps", 20, "-d", "500ms",
               "--gate", "due<=120", "--to", 40)
    lines = out.out.splitlines()
    assert lines[0].split()[0] == "sessions"
    if out.code == 0 and "generator" not in out.out:
        assert lines[-1] == "capacity: 12 sessions"
    else:
        assert out.code in (0, 5)


def test_capacity_of_nothing(streamd):
    srv = streamd()
    out = load("capacity", f"127.0.0.1:{srv.port}", "-p", "null", "-d", "300ms", "--gate", "due==0")
    assert out.code in (4, 5) and "not even 1 sessions" in out.out


# ---- a generator that freezes


def test_a_frozen_generator_says_so(streamd, tmp_path):
    """The frames that were due meanwhile are late in the report, and the run is invalid."""
    srv = streamd("--workers", 0)
    one = Streamload("run", f"127.0.0.1:{srv.port}", "-p", "null", "-s", 5, "-d", "3s", "--json",
                     tmp_path / "r.json")
    harness.until(lambda: srv.metrics().total("streamd_frames_answered_total") > 50, "answers")
    frozen_s = load_helpers.freeze(one.process, 0.5)
    one.wait()
    report = Report(tmp_path / "r.json")
    assert one.code == 5
    assert {f["name"] for f in report.json["invalid_because"]} >= {"slip"}
    n = report.check_ledger()
    assert n["unsent"] == 0 and n["due"] == 5 * 90
    assert n["slip"]["max_ms"] >= 0.9 * frozen_s * 1000
    assert n["latency"]["max_ms"] >= n["slip"]["max_ms"]


# ---- what people read


def test_the_page_names_every_metric():
    page = subprocess.run(["mandoc", "-Tascii", "-Owidth=200", PAGE], capture_output=True, text=True,
                          check=True).stdout
    page = " ".join(re.sub(".\b", "", page).split())
    source = (harness.ROOT / "loadgen" / "metric.c").read_text()
    rows = re.findall(r'^    \{"(\w+)", METRIC_', source, re.M)
    times = SCHEMA["definitions"]["time_name"]["enum"]
    counts = [c for c in SCHEMA["definitions"]["counts"]["required"] if not c.startswith("dropped_")]
    assert len(rows) > 10
    for name in [*rows, *times, *counts]:
        assert re.search(rf"\b{name}\b", page), name


def test_help_is_of_the_command():
    out = subprocess.run([load_helpers.binary(), "compare", "--help"], capture_output=True,
                         text=True, check=True).stdout
    assert "\n      --max-regress" in out and "--connect-rate" not in out
