"""Settings: environment, flags, file, and what is said about a bad one."""

import re
import socket
import subprocess

import pytest

import harness
import jpegs
import rawws
from harness import (
    TIMEOUT_S,
    ask,
    receive_answers,
    receive_to_end,
    run_streamd,
    sync,
    until,
)

BUSY = ["--workers", "1", "--pipeline", "slow=delay:ms=10"]


async def flood_warnings(srv):
    """How many slow_down a flooded session is sent."""
    async with srv.connect("slow") as ws:
        for _ in range(100):
            await ws.send(jpegs.GRAY)
        messages = await receive_answers(ws, 100)
        await ws.send(jpegs.GRAY)
        messages += await receive_answers(ws, 1)
    srv.wait_event("stream_disconnect")
    return sum("warning" in m for m in messages)


def states(srv):
    return {e["to"] for e in srv.events("stream_state")}


# ---- the four published variables


@sync
async def test_stream_slowdown_threshold_is_heeded(streamd):
    srv = streamd(*BUSY, env={"STREAM_SLOWDOWN_THRESHOLD": "1"})
    assert await flood_warnings(srv) == 0
    assert "critical" not in states(srv)
    assert "warning" in states(srv)


@sync
async def test_stream_drop_threshold_is_heeded(streamd):
    env = {"STREAM_DROP_THRESHOLD": "1", "STREAM_SLOWDOWN_THRESHOLD": "1"}
    srv = streamd(*BUSY, env=env)
    assert await flood_warnings(srv) == 0
    assert states(srv) == set()


@sync
async def test_the_flags_win_over_the_thresholds_in_the_environment(streamd):
    env = {"STREAM_DROP_THRESHOLD": "1", "STREAM_SLOWDOWN_THRESHOLD": "1"}
    flags = ["--drop-threshold", "0.05", "--slowdown-threshold", "0.2"]
    srv = streamd(*BUSY, *flags, env=env)
    assert await flood_warnings(srv) == 1
    assert "critical" in states(srv)


@sync
async def test_stream_max_frame_size_mb_is_heeded_with_fractions(streamd):
    srv = streamd(env={"STREAM_MAX_FRAME_SIZE_MB": "0.0625"})
    async with srv.connect("null") as ws:
        assert "result" in await ask(ws, jpegs.padded(65536))
        assert (await ask(ws, jpegs.padded(65537)))["error"] == "frame_too_large"


@sync
async def test_the_flag_wins_over_stream_max_frame_size_mb(streamd):
    srv = streamd("--max-frame-size-mb", "0.125", env={"STREAM_MAX_FRAME_SIZE_MB": "0.0625"})
    async with srv.connect("null") as ws:
        assert "result" in await ask(ws, jpegs.padded(131072))
        assert (await ask(ws, jpegs.padded(131073)))["error"] == "frame_too_large"


async def open_sessions(srv, n):
    return [await srv.connect("null") for _ in range(n)]


@sync
async def test_stream_max_sessions_recommends_and_refuses_nobody(streamd):
    srv = streamd(env={"STREAM_MAX_SESSIONS": "2"})
    sockets = await open_sessions(srv, 2)
    assert not srv.events("sessions_above_recommended")
    sockets += await open_sessions(srv, 3)
    for ws in sockets:
        assert "result" in await ask(ws, jpegs.GRAY)
    srv.wait_event("sessions_above_recommended")
    assert len(srv.events("sessions_above_recommended")) == 1
    for ws in sockets:
        await ws.close()


@sync
async def test_a_gauge_tells_the_recommended_number(streamd):
    srv = streamd(env={"STREAM_MAX_SESSIONS": "7"})
    metrics = srv.metrics()
    gauges = [n for n, kind in metrics.types.items() if "recommended" in n and kind == "gauge"]
    assert gauges and 7 in [metrics.total(n) for n in gauges]


@sync
async def test_the_flag_wins_over_stream_max_sessions(streamd):
    srv = streamd("--recommended-sessions", "3", env={"STREAM_MAX_SESSIONS": "1"})
    sockets = await open_sessions(srv, 3)
    for ws in sockets:
        assert "result" in await ask(ws, jpegs.GRAY)
    assert not srv.events("sessions_above_recommended")
    sockets += await open_sessions(srv, 1)
    srv.wait_event("sessions_above_recommended")
    for ws in sockets:
        await ws.close()


@sync
async def test_ten_sessions_are_recommended_by_default(streamd):
    srv = streamd()
    sockets = await open_sessions(srv, 10)
    assert "result" in await ask(sockets[-1], jpegs.GRAY)
    assert not srv.events("sessions_above_recommended")
    sockets += await open_sessions(srv, 1)
    assert srv.wait_event("sessions_above_recommended")["level"].startswith("warn")
    for ws in sockets:
        await ws.close()


FRACTIONS_BAD = ["abc", "-0.1", "1.5", "0.1x", "nan", "inf", "1e999", "0,5", "--", "0x"]


@pytest.mark.parametrize(
    "name, value",
    [("STREAM_DROP_THRESHOLD", v) for v in FRACTIONS_BAD]
    + [("STREAM_SLOWDOWN_THRESHOLD", v) for v in FRACTIONS_BAD]
    + [("STREAM_MAX_FRAME_SIZE_MB", v) for v in ("abc", "0", "-5", "5MB", "nan", "inf", "1e999")]
    + [("STREAM_MAX_SESSIONS", v) for v in ("abc", "-1", "1.5", "9" * 30, "10x", "nan")],
)
def test_a_bad_variable_is_named_and_nothing_starts(name, value):
    end = run_streamd("--listen", "127.0.0.1:0", env={name: value})
    assert end.returncode == 2
    assert name in end.stderr
    assert value in end.stderr
    assert "listening" not in end.stderr
    assert not harness.SANITIZER.search(end.stderr)


@pytest.mark.parametrize(
    "flag, value",
    [
        ("--drop-threshold", "2"),
        ("--slowdown-threshold", "x"),
        ("--max-frame-size-mb", "0"),
        ("--workers", "-1"),
        ("--workers", "many"),
        ("--idle-timeout", "60"),
        ("--idle-timeout", "1 fortnight"),
        ("--reply-buffer", "lots"),
        ("--log-format", "xml"),
        ("--log-level", "loud"),
        ("--max-sessions", "1e3x"),
        ("--listen", "nonsense"),
        ("--listen", "127.0.0.1:99999"),
        ("--listen", "127.0.0.1:x"),
        ("--listen", ""),
        ("--pipeline", "x"),
        ("--pipeline", "x=nope"),
        ("--pipeline", "x=delay:ms=abc"),
        ("--pipeline", "x=delay:speed=1"),
        ("--pipeline", "=null"),
        ("--config", "/nonexistent/streamd.conf"),
    ],
)
def test_a_bad_flag_is_named_with_its_value_and_exits_2(flag, value):
    end = run_streamd(flag, value)
    assert end.returncode == 2, end.stderr
    assert flag.lstrip("-") in end.stderr or value in end.stderr
    assert end.stdout == ""
    assert not harness.SANITIZER.search(end.stderr)


@pytest.mark.parametrize("args", [["--nope"], ["-Z"], ["extra"], ["--workers"]])
def test_wrong_usage_exits_2(args):
    end = run_streamd(*args)
    assert end.returncode == 2
    assert end.stderr and end.stdout == ""


def test_a_flag_that_is_nearly_right_gets_the_right_one_told():
    assert "--pipeline" in run_streamd("--pipelin3", "x=null").stderr


# ---- its own variables and the file


@sync
async def test_streamd_variables_outrank_the_published_ones(streamd):
    env = {"STREAMD_MAX_FRAME_SIZE_MB": "0.125", "STREAM_MAX_FRAME_SIZE_MB": "0.0625"}
    async with streamd(env=env).connect("null") as ws:
        assert "result" in await ask(ws, jpegs.padded(131072))


def test_every_option_has_a_variable(streamd):
    srv = streamd(env={"STREAMD_WORKERS": "3", "STREAMD_PIPELINE": "door=null"})
    assert srv.metrics().value("streamd_workers") == 3
    assert '"door"' in srv.http("/pipelines").text


def test_a_bad_variable_of_its_own_is_named():
    end = run_streamd(env={"STREAMD_WORKERS": "many"})
    assert end.returncode == 2 and "STREAMD_WORKERS" in end.stderr


def test_flag_over_environment_over_file_over_default(streamd, tmp_path):
    conf = tmp_path / "streamd.conf"
    conf.write_text("# a comment\nworkers = 3\n\nmax-sessions=4\n", encoding="ascii")
    args = ["--config", conf]
    assert streamd(*args).metrics().value("streamd_workers") == 3
    env = {"STREAMD_WORKERS": "2"}
    assert streamd(*args, env=env).metrics().value("streamd_workers") == 2
    assert streamd(*args, "--workers", "1", env=env).metrics().value("streamd_workers") == 1


@pytest.mark.parametrize("line", ["nope = 1", "workers = many", "workers", "= 3"])
def test_a_bad_line_in_the_file_is_named(tmp_path, line):
    conf = tmp_path / "streamd.conf"
    conf.write_text(f"\n{line}\n", encoding="ascii")
    end = run_streamd("--config", conf)
    assert end.returncode == 2
    assert "streamd.conf" in end.stderr and "2" in end.stderr


def test_print_config_tells_each_value_and_its_source():
    end = run_streamd(
        "--workers", "2", "--print-config", env={"STREAM_MAX_FRAME_SIZE_MB": "7.5"}
    )
    assert end.returncode == 0 and end.stderr == ""
    lines = end.stdout.splitlines()
    (workers,) = [l for l in lines if re.match(r"\W*workers\b", l)]
    (size,) = [l for l in lines if re.match(r"\W*max-frame-size-mb\b", l)]
    (drop,) = [l for l in lines if re.match(r"\W*drop-threshold\b", l)]
    assert "2" in workers and "command line" in workers
    assert "7.5" in size and "STREAM_MAX_FRAME_SIZE_MB" in size
    assert "0.10" in drop and "default" in drop


OPTIONS = [
    "listen",
    "workers",
    "pipeline",
    "drop-threshold",
    "slowdown-threshold",
    "max-frame-size-mb",
    "max-message-mb",
    "recommended-sessions",
    "max-sessions",
    "idle-timeout",
    "reply-timeout",
    "reply-buffer",
    "drain-timeout",
    "log-format",
    "log-level",
    "help",
    "version",
    "config",
    "print-config",
    "completion",
]


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_option_on_stdout(flag):
    end = run_streamd(flag)
    assert (end.returncode, end.stderr) == (0, "")
    for name in OPTIONS:
        assert f"--{name}" in end.stdout, name


def test_version_is_one_line_on_stdout():
    end = run_streamd("--version")
    assert (end.returncode, end.stderr) == (0, "")
    assert re.fullmatch(r"streamd \d+\.\d+\.\d+\n", end.stdout)


def test_completion_is_a_script_that_bash_accepts():
    end = run_streamd("--completion", "bash")
    assert end.returncode == 0 and "--max-frame-size-mb" in end.stdout
    check = subprocess.run(
        ["bash", "-n"], input=end.stdout, text=True, capture_output=True, check=False
    )
    assert (check.returncode, check.stderr) == (0, "")


# ---- the log


def test_text_log_is_one_event_a_line_as_key_value():
    process = subprocess.Popen(
        [harness.binary(), "--listen", "127.0.0.1:0", "--log-format", "text"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=harness.clean_env(),
    )
    try:
        lines = [process.stderr.readline()]
        while "listening" not in lines[-1]:
            assert lines[-1], "it ended"
            lines.append(process.stderr.readline())
        port = int(re.search(r"\bport=(\d+)", lines[-1]).group(1))
        with rawws.RawWs(port, "pipeline_id=a%0Ab%20c", timeout_s=TIMEOUT_S) as ws:
            ws.read_to_end()
        with rawws.RawWs(port, timeout_s=TIMEOUT_S) as ws:
            ws.send(jpegs.GRAY)
            assert ws.read_message()[0] == rawws.TEXT
        process.terminate()
        lines += process.stderr.read().splitlines()
        assert process.wait(TIMEOUT_S) == 0
    finally:
        process.kill()
        process.wait()
    for kind in ("stream_connect", "stream_disconnect", "stream_error", "shutdown_done"):
        assert any(kind in line for line in lines), kind
    assert not any(line.startswith("b c") for line in lines), "a line feed from outside"


@sync
async def test_an_id_from_outside_cannot_forge_a_log_line(streamd):
    srv = streamd()
    async with srv.connect("x%0A%7B%22event_type%22:%22forged%22%7D") as ws:
        await receive_to_end(ws)
    srv.wait_event("stream_error")
    assert not srv.events("forged")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    try:
        rawws.RawSocket(port, timeout_s=TIMEOUT_S).close()
    except OSError:
        return False
    return True


def test_log_level_error_is_quiet():
    port = free_port()
    process = subprocess.Popen(
        [harness.binary(), "--listen", f"127.0.0.1:{port}", "--log-level", "error"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=harness.clean_env(),
    )
    try:
        until(lambda: accepts(port), "it listens")
        process.terminate()
        assert process.communicate(timeout=TIMEOUT_S)[1] == ""
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
