"""streamctl from the outside, with a server that behaves and one that does not."""

import asyncio
import contextlib
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import time
import zlib

import pytest
import websockets

from ctl_helpers import Misbehaving, Streamctl, check_ledger, clean_env, binary, stream
from harness import until
from jpegs import COLOR
from slow_link import SlowLink

SOURCE = "test:160x120@50"


@pytest.fixture(name="server")
def server_fixture():
    started = []

    def start(*args):
        started.append(Misbehaving(*args))
        return started[-1]

    yield start
    for server in started:
        server.stop()


# ---- the good case


def test_every_frame_is_sent_with_its_header_and_answered(server):
    srv = server("good")
    ctl = stream(SOURCE, srv.url, "--count", 20)
    end = check_ledger(ctl, "count")
    assert ctl.code == 0 and end["answered"] == end["sent"] == 20
    assert srv.log.find("connection")[0] == {
        "event": "connection",
        "path": "/ws/video/stream",
        "query": {"pipeline_id": "motion", "timing": "1", "header": "1"},
    }
    frames = srv.log.find("frame")
    assert [f["frame_id"] for f in frames] == list(range(20)) and all(f["good"] for f in frames)
    results = ctl.find("result")
    assert [r["frame_index"] for r in results] == list(range(20))
    captured = [f["timestamp"] for f in frames]
    assert [r["captured"] for r in results] == pytest.approx(captured, abs=1e-5)
    assert abs(time.time() - results[-1]["captured"]) < 30
    assert all(0 < r["latency_ms"] <= r["age_ms"] for r in results)
    assert results[0]["timing"] == {"wait_us": 1, "pipeline_us": 2, "server_us": 4}
    assert results[0]["result"] == {"detections": []}


def test_a_server_that_knows_no_extension_is_understood(server):
    ctl = stream(SOURCE, server("plain").url, "--count", 5)
    check_ledger(ctl, "count")
    assert ctl.code == 0
    assert all("timing" not in r for r in ctl.find("result"))


def test_stats_come_every_fifty_answers(server):
    ctl = stream("test:160x120@200", server("good").url, "--count", 120, "--budget", "10s")
    check_ledger(ctl, "count")
    stats = ctl.find("stats")
    assert [s["processed"] for s in stats] == [50, 100]
    assert {"processed", "sent", "skipped", "dropped", "read", "fps", "latency"} <= set(stats[0])


def test_answers_may_come_in_any_order(server):
    ctl = stream(SOURCE, server("reorder").url, "--count", 10, "--in-flight", 4)
    end = check_ledger(ctl, "count")
    assert end["answered"] == 10 and end["odd_messages"] == 0
    assert [r["frame_index"] for r in ctl.find("result")][:4] == [1, 0, 3, 2]


def test_a_message_of_a_megabyte_in_fragments_is_read(server):
    ctl = stream(SOURCE, server("large").url, "--count", 3, "--no-adapt")
    assert check_ledger(ctl, "count")["answered"] == 3
    assert len(ctl.find("result")[0]["result"]["x"]) == 1_000_001


# ---- pace


@pytest.mark.parametrize("fps", [10, 25])
def test_the_ceiling_is_kept(server, fps):
    ctl = stream("test:160x120@30", server("good").url, "--fps", fps, "--duration", "3s",
                 "--no-adapt")  # fmt: skip
    end = check_ledger(ctl, "duration")
    # Of the frames that there were: a source that stood still gives fewer.
    assert 0.85 * fps / 30 * end["read"] <= end["sent"] <= 3 * fps + 2
    assert end["paced_out"] == end["read"] - end["sent"] - end["replaced"]


def test_every_third_frame_is_a_candidate(server):
    ctl = stream(SOURCE, server("good").url, "--skip-frames", 3, "--count", 10, "--no-adapt")
    end = check_ledger(ctl, "count")
    assert {r["frame"] % 3 for r in ctl.find("result")} == {0}
    assert end["skipped"] >= 18


def test_a_slow_server_gets_the_newest_frames_only(server):
    ctl = stream(SOURCE, server("late:100").url, "--duration", "3s", "--in-flight", 1,
                 "--no-adapt")  # fmt: skip
    end = check_ledger(ctl, "duration")
    assert end["replaced"] > end["answered"]
    # A frame waits at most for the next one to replace it: 20 ms of the source.
    assert all(r["age_ms"] - r["latency_ms"] < 150 for r in ctl.find("result"))


# ---- drops, late answers, slow_down


@pytest.mark.parametrize("reason", ["", "late"])
def test_drops_are_told_and_lower_the_rate(server, reason):
    ctl = stream(SOURCE, server(f"drop:{reason}").url, "--duration", "2s")
    end = check_ledger(ctl, "duration")
    drops = ctl.find("drop")
    assert abs(end["dropped"] - end["answered"]) <= 1 and drops
    assert [d.get("reason", "") for d in drops] == [reason] * len(drops)
    assert end["sent_fps"] < 35 and end["paced_out"] > 0


def test_without_adapting_drops_change_nothing(server):
    ctl = stream(SOURCE, server("drop").url, "--duration", "2s", "--no-adapt")
    assert check_ledger(ctl, "duration")["paced_out"] == 0


def test_late_answers_lower_the_rate_until_they_are_not(server):
    ctl = Streamctl("stream", SOURCE, server("late:60").url, "--in-flight", 4)
    # 1000 / 60 = 16.7 frames per second is what it can do. Four at a time wait for 240 ms.
    until(lambda: [r for r in ctl.find("result") if r["latency_ms"] > 150], "a queue")
    until(lambda: ctl.find("result")[-1]["latency_ms"] < 90, "no queue")
    ctl.signal(signal.SIGINT)
    assert ctl.join() == 130
    end = check_ledger(ctl, "interrupted")
    assert end["late"] == end["answered"] > 0 and end["paced_out"] > 0


def test_slow_down_lowers_the_rate(server):
    """By how much is a matter of what the server did so far: test_governor.c."""
    ctl = stream(SOURCE, server("slow_down:50").url, "--count", 100, "--budget", "10s")
    end = check_ledger(ctl, "count")
    (warning,) = ctl.find("warning", warning="slow_down")
    assert 0 < warning["wanted_fps"] < 50 and end["slow_downs"] == 1
    assert f"slow down: {warning['wanted_fps']:.1f} frames per second" in ctl.err
    assert end["paced_out"] > 0


# ---- answers that do not come, or should not have come


def test_a_server_that_never_answers_is_left_and_tried_again(server):
    srv = server("never")
    ctl = Streamctl("stream", SOURCE, srv.url, "--answer-timeout", "300ms")
    srv.log.wait("connection", n=2)
    ctl.signal(signal.SIGINT)
    assert ctl.join() == 130
    end = check_ledger(ctl, "interrupted")
    assert end["unanswered"] == end["sent"] >= 2 and end["reconnects"] >= 1
    assert ctl.find("warning", warning="no_answer")


def test_a_server_that_never_answers_ends_a_script(server):
    ctl = stream(SOURCE, server("never").url, "--answer-timeout", "300ms", "--no-reconnect")
    check_ledger(ctl, "connection_lost")
    assert ctl.code == 1 and "does not answer" in ctl.err


def test_one_missing_answer_costs_one_frame_and_no_connection(server):
    srv = server("skip_one:2")
    ctl = stream(SOURCE, srv.url, "--answer-timeout", "300ms", "--count", 40, "--no-adapt")
    end = check_ledger(ctl, "count")
    assert end["unanswered"] == 1 and end["reconnects"] == 0
    assert len(srv.log.find("connection")) == 1


@pytest.mark.parametrize("mode", ["twice", "made_up"])
def test_an_answer_too_many_is_not_counted(server, mode):
    ctl = stream(SOURCE, server(mode).url, "--count", 10)
    end = check_ledger(ctl, "count")
    assert end["answered"] == 10 and end["odd_messages"] >= 9


def test_garbage_is_told_once_and_ignored(server):
    ctl = stream(SOURCE, server("garbage").url, "--count", 5)
    end = check_ledger(ctl, "count")
    assert ctl.code == 0 and end["answered"] == 5 and end["odd_messages"] == 5
    assert len(ctl.find("warning", warning="odd_message")) == 1


def test_messages_of_later_versions_are_ignored(server):
    ctl = stream(SOURCE, server("unknown").url, "--count", 5)
    assert check_ledger(ctl, "count")["answered"] == 5
    assert ctl.find("warning", warning="something_new")


@pytest.mark.parametrize("mode, words", [("binary", "binary"), ("huge", "more than 1 MiB")])
def test_what_no_streamd_sends_ends_the_program(server, mode, words):
    ctl = stream(SOURCE, server(mode).url)
    check_ledger(ctl, "connection_lost")
    assert ctl.code == 1 and words in ctl.err


def test_a_server_that_reads_nothing_does_not_fill_buffers(server):
    ctl = stream("test:1280x720@30", server("deaf").url, "--in-flight", 64, "--duration", "2s",
                 "--answer-timeout", "1s")  # fmt: skip
    end = check_ledger(ctl)
    # One frame fits, or two; then the kernel holds what it cannot send, and nothing is added.
    assert end["read"] > 40 and end["sent"] <= 3 * (1 + end["reconnects"])
    assert end["replaced"] > 30


# ---- endings that the server makes


def test_an_error_message_ends_the_program_with_it(server):
    srv = server("error:3")
    ctl = stream(SOURCE, srv.url)
    end = check_ledger(ctl, "server_error")
    assert ctl.code == 1 and end["answered"] == 3
    assert ctl.find("error", error="pipeline_failure", detail="the pipeline failed")
    assert "the pipeline failed (pipeline_failure)" in ctl.err
    assert len(srv.log.find("connection")) == 1


def test_an_error_message_ends_it_even_without_a_close(server):
    ctl = stream(SOURCE, server("error_then_silence").url)
    check_ledger(ctl, "server_error")
    assert ctl.code == 1


@pytest.mark.parametrize("mode", ["disconnect:3", "close:1001", "close:1013", "close:1011", "full"])
def test_a_connection_that_ends_is_made_again(server, mode):
    srv = server(mode, 1)
    ctl = stream(SOURCE, srv.url, "--count", 30)
    end = check_ledger(ctl, "count")
    assert ctl.code == 0 and end["reconnects"] == 1
    assert end["unanswered"] <= 3 and end["answered"] >= 27
    assert ctl.find("disconnected")[0]["retry_ms"] > 0
    assert len(srv.log.find("connection")) == 2


@pytest.mark.parametrize("mode", ["disconnect:3", "close:1001", "close:1000", "full"])
def test_without_reconnecting_a_lost_connection_ends_it(server, mode):
    ctl = stream(SOURCE, server(mode).url, "--no-reconnect")
    check_ledger(ctl)
    assert ctl.code == 1


@pytest.mark.parametrize("code", [1000, 1008, 1009])
def test_closes_that_would_come_again_end_it(server, code):
    srv = server(f"close:{code}")
    ctl = stream(SOURCE, srv.url)
    check_ledger(ctl, "connection_lost")
    assert ctl.code == 1 and str(code) in ctl.err and "because" in ctl.err
    assert len(srv.log.find("connection")) == 1


@pytest.mark.parametrize("status", [401, 404])
def test_a_refused_handshake_ends_it(server, status):
    ctl = stream(SOURCE, server(f"refuse:{status}").url)
    check_ledger(ctl, "unreachable")
    assert ctl.code == 3 and str(status) in ctl.err


def test_a_server_that_is_not_ready_is_tried_again(server):
    srv = server("refuse:503")
    ctl = Streamctl("stream", SOURCE, srv.url)
    srv.log.wait("refused", n=2)
    ctl.signal(signal.SIGTERM)
    assert ctl.join() == 130
    check_ledger(ctl, "interrupted")
    assert ctl.err.count("cannot reach") == 1


def test_nobody_there(server):
    srv = server("good")
    srv.stop()
    ctl = stream(SOURCE, srv.url, "--no-reconnect")
    check_ledger(ctl, "unreachable")
    assert ctl.code == 3 and "nobody answers" in ctl.err


def test_a_server_that_comes_later_is_found(server):
    srv = server("good")
    srv.stop()
    ctl = Streamctl("stream", SOURCE, srv.url, "--count", 5)
    ctl.out.wait("disconnected")
    child = subprocess.Popen(
        ["/usr/bin/python3", "-c", LATE_SERVER, str(srv.port)], stderr=subprocess.DEVNULL
    )
    try:
        assert ctl.join() == 0
    finally:
        child.kill()
        child.wait()
    assert check_ledger(ctl, "count")["answered"] == 5
    assert "connected to" in ctl.err


LATE_SERVER = """
import asyncio, json, sys, websockets
async def handle(ws, path):
    index = 0
    async for _ in ws:
        await ws.send(json.dumps({"frame_index": index, "result": {}}))
        index += 1
async def main():
    await websockets.serve(handle, "127.0.0.1", int(sys.argv[1]))
    await asyncio.Future()
asyncio.run(main())
"""


def test_what_comes_after_the_servers_close_is_not_read(server):
    ctl = stream(SOURCE, server("flood").url, "--no-reconnect")
    check_ledger(ctl, "connection_lost")
    assert ctl.code == 1 and "1001" in ctl.err


def test_what_comes_after_our_close_is_not_read(server):
    ctl = stream(SOURCE, server("drip").url, "--count", 2, "--answer-timeout", "500ms")
    end = check_ledger(ctl, "count")
    assert ctl.code == 0 and end["unanswered"] == 2


def test_a_silent_server_is_not_a_lost_one_once_all_is_sent(server):
    """The first frame is given up while the second is still waited for."""
    source = "test:160x120@3"
    ctl = stream(source, server("drip").url, "--count", 2, "--answer-timeout", "500ms")
    end = check_ledger(ctl, "count")
    assert ctl.code == 0 and end["unanswered"] == 2


# ---- TLS


@pytest.fixture(name="certificate", scope="module")
def certificate_fixture(tmp_path_factory):
    """A folder with a certificate of localhost that nobody has signed."""
    folder = tmp_path_factory.mktemp("tls")
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("trust", ["--cacert", "--insecure"])
def test_frames_go_over_tls(server, certificate, trust):
    srv = server(f"tls:{certificate}")
    args = [trust, certificate / "cert.pem"] if trust == "--cacert" else [trust]
    ctl = stream(SOURCE, f"wss://localhost:{srv.port}", "--count", 5, *args)
    assert check_ledger(ctl, "count")["answered"] == 5


def test_a_certificate_that_nobody_trusts_ends_it(server, certificate):
    srv = server(f"tls:{certificate}")
    ctl = stream(SOURCE, f"wss://localhost:{srv.port}")
    check_ledger(ctl, "unreachable")
    assert ctl.code == 3 and "certificate is not trusted" in ctl.err


def test_a_certificate_of_another_name_ends_it(server, certificate):
    srv = server(f"tls:{certificate}")
    ctl = stream(SOURCE, f"wss://127.0.0.1:{srv.port}", "--cacert", certificate / "cert.pem")
    check_ledger(ctl, "unreachable")
    assert ctl.code == 3 and "certificate is not trusted" in ctl.err


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_what_the_kernel_takes_in_pieces_arrives_whole(server, certificate, tmp_path, scheme):
    """Megabytes through a narrow window, while the server asks for pongs."""
    picture = tmp_path / "large.jpg"
    comment = b"\xff\xfe\xff\xff" + os.urandom(0xFFFF - 2)
    picture.write_bytes(COLOR[:2] + comment * 64 + COLOR[2:])
    srv = server(f"tls:{certificate}" if scheme == "wss" else "good")
    with through(srv, 20_000_000) as link:
        ctl = stream(picture, f"{scheme}://localhost:{link.port}", "--loop", "--count", 4,
                     "--insecure")  # fmt: skip
    end = check_ledger(ctl, "count")
    assert end["answered"] == 4 and end["reconnects"] == 0
    frames = srv.log.find("frame")
    assert [f["crc"] for f in frames] == [zlib.crc32(picture.read_bytes())] * 4


# ---- endings that people and sources make


def test_sigint_waits_for_what_is_in_flight(server):
    ctl = Streamctl("stream", SOURCE, server("late:300").url, "--no-adapt")
    ctl.out.wait("result")
    ctl.signal(signal.SIGINT)
    assert ctl.join() == 130
    end = check_ledger(ctl, "interrupted")
    assert end["unanswered"] == 0 and end["answered"] >= 2
    assert "interrupted" in ctl.err


def test_sigint_does_not_wait_for_ever(server):
    ctl = Streamctl("stream", SOURCE, server("never").url, "--answer-timeout", "1h")
    ctl.out.wait("connected")
    time.sleep(0.2)
    began = time.monotonic()
    ctl.signal(signal.SIGINT)
    assert ctl.join() == 130
    assert 1.5 < time.monotonic() - began < 10
    assert check_ledger(ctl, "interrupted")["unanswered"] == 2


def test_the_second_sigint_ends_at_once(server):
    srv = server("never")
    ctl = Streamctl("stream", SOURCE, srv.url, "--answer-timeout", "1h")
    srv.log.wait("frame", n=2)
    began = time.monotonic()
    ctl.signal(signal.SIGINT)
    time.sleep(0.2)
    ctl.signal(signal.SIGINT)
    assert ctl.join() == 130 and time.monotonic() - began < 1.9
    check_ledger(ctl, "interrupted")


def test_sigint_while_nobody_is_there(server):
    srv = server("good")
    srv.stop()
    ctl = Streamctl("stream", SOURCE, srv.url)
    ctl.out.wait("disconnected")
    ctl.signal(signal.SIGINT)
    assert ctl.join() == 130
    assert check_ledger(ctl, "interrupted")["sent"] == 0


def test_a_picture_from_a_file_is_sent_and_answered(server, tmp_path):
    picture = tmp_path / "one.jpg"
    picture.write_bytes(b"\xff\xd8" + make_jpeg_body() + b"\xff\xd9")
    ctl = stream(picture, server("good").url)
    end = check_ledger(ctl, "source_ended")
    assert ctl.code == 0 and end["read"] == end["answered"] == 1


def make_jpeg_body():
    """The markers of a grey picture of 8 x 8, enough for who does not decode it."""
    frame = bytes([0xFF, 0xC0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0])
    scan = bytes([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]) + b"\x00" * 8
    return frame + scan


def test_a_file_and_no_server_ends(server, tmp_path):
    picture = tmp_path / "one.jpg"
    picture.write_bytes(b"\xff\xd8" + make_jpeg_body() + b"\xff\xd9")
    srv = server("good")
    srv.stop()
    ctl = stream(picture, srv.url, "--answer-timeout", "500ms")
    assert ctl.code == 3
    assert check_ledger(ctl, "unreachable")["replaced"] == 1


def test_a_time_that_is_up_without_a_server_is_a_failure(server):
    srv = server("good")
    srv.stop()
    ctl = stream(SOURCE, srv.url, "--duration", "300ms")
    check_ledger(ctl, "unreachable")
    assert ctl.code == 3


def test_an_error_to_the_last_frame_is_an_error(server):
    ctl = stream(SOURCE, server("error_then_silence").url, "--count", 1, "--answer-timeout", "1s")
    check_ledger(ctl, "server_error")
    assert ctl.code == 1


def test_an_error_to_the_last_frame_is_one_whichever_timer_comes_first(server):
    """Stopped beyond both times, the tick finds the frame unanswered before the deadline is due."""
    ctl = Streamctl("stream", SOURCE, server("error_then_silence").url, "--count", 1,
                    "--answer-timeout", "1s")
    ctl.out.wait("error")
    ctl.signal(signal.SIGSTOP)
    time.sleep(1.3)
    ctl.signal(signal.SIGCONT)
    ctl.join()
    check_ledger(ctl, "server_error")
    assert ctl.code == 1


def test_the_answers_to_the_last_frames_are_awaited(server, tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.jpg").write_bytes(b"\xff\xd8" + make_jpeg_body() + b"\xff\xd9")
    ctl = stream(tmp_path, server("late:100").url, "--in-flight", 8, "--no-adapt")
    end = check_ledger(ctl, "source_ended")
    assert ctl.code == 0 and end["answered"] == 5


def test_a_source_that_is_not_there():
    ctl = Streamctl("stream", "no-such-file.jpg", "127.0.0.1:1")
    assert ctl.join() in (2, 3)
    assert "no-such-file.jpg" in ctl.err


def test_a_source_that_fails_gives_its_exit_code(server):
    ctl = stream("http://127.0.0.1:1/video", server("good").url, "--no-reconnect")
    check_ledger(ctl, "source_failed")
    assert ctl.code == 3 and ctl.find("error", error="source_failed")


def test_credentials_of_the_source_are_never_shown(server):
    ctl = stream("http://me:secret@127.0.0.1:1/video", server("good").url, "--no-reconnect")
    shown = ctl.err + str(ctl.out.events)
    assert "secret" not in shown and "***" in ctl.out.events[0]["source"]


def test_idle_close_closes_the_source_while_there_is_no_connection(server):
    srv = server("disconnect:3", 1)
    ctl = stream(SOURCE, srv.url, "--idle", "close", "--count", 20)
    end = check_ledger(ctl, "count")
    # It takes at least a quarter of a second to connect again: a dozen frames nobody read.
    assert end["reconnects"] == 1 and end["replaced"] <= 8


# ---- manners


def test_a_reader_that_goes_away_ends_it_quietly(server):
    ctl = Streamctl("stream", SOURCE, server("good").url, stdout=(pipe := os.pipe())[1])
    os.close(pipe[1])
    assert b"start" in os.read(pipe[0], 4096)
    os.close(pipe[0])
    assert ctl.join() == 0
    assert ctl.err == ""


def test_a_disk_that_is_full_is_a_failure(server):
    with open("/dev/full", "wb") as full:
        ctl = Streamctl("stream", SOURCE, server("good").url, stdout=full)
    assert ctl.join() == 1
    assert "cannot be written" in ctl.err


def test_without_standard_output_it_runs(server):
    command = f'exec "{binary()}" stream {SOURCE} {server("good").url} --count 3 >&- 2>&-'
    assert subprocess.run(["sh", "-c", command], timeout=30, env=clean_env()).returncode == 0


def test_a_reader_that_does_not_read_does_not_stop_sigint(server):
    ctl = Streamctl("stream", SOURCE, server("large").url, stdout=(pipe := os.pipe())[1])
    os.close(pipe[1])
    time.sleep(0.5)
    ctl.signal(signal.SIGINT)
    assert ctl.join() == 130
    os.close(pipe[0])


def test_without_a_terminal_no_line_is_redrawn(server):
    ctl = stream(SOURCE, server("good").url, "--count", 5)
    assert "\r" not in ctl.err and "\033" not in ctl.err
    assert len(ctl.err.splitlines()) <= 10 and "answered 5" in ctl.err


def test_quiet_says_nothing(server):
    assert stream(SOURCE, server("good").url, "--count", 5, "--quiet").err == ""


def on_terminal(url, env, *args):
    """What streamctl writes to a terminal as its standard error."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [binary(), "stream", SOURCE, url, "--count", "20", *args],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=clean_env({"TERM": "xterm", **env}),
    )
    os.close(theirs)
    seen = b""
    while child.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.05)[0]:
            try:
                seen += os.read(ours, 4096)
            except OSError:
                break
    child.wait()
    os.close(ours)
    return seen.decode()


def test_on_a_terminal_one_line_is_redrawn(server):
    seen = on_terminal(server("good").url, {})
    assert "\r" in seen and "\033[32m" in seen and "fps" in seen
    assert 2 <= seen.count("\033[K") <= 100


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"CI": "true"}])
def test_some_terminals_want_plain_lines(server, env):
    seen = on_terminal(server("good").url, env)
    assert "\033" not in seen


def test_no_color_is_heeded(server):
    assert "\033[32m" not in on_terminal(server("good").url, {"NO_COLOR": "1"})
    assert "\033[32m" not in on_terminal(server("good").url, {}, "--color", "never")


def test_wrong_addresses_are_refused():
    for url in ["ftp://x", "ws://", "host:0", "host:99999", "ws://u:p@host", "h?pipeline_id=x"]:
        ctl = Streamctl("stream", SOURCE, url)
        assert ctl.join() == 2, url
        assert ctl.err.startswith("streamctl: ") and ":p@" not in ctl.err


# ---- probe and pipelines


def run(*args, env=None):
    return subprocess.run(
        [binary(), *map(str, args)], capture_output=True, text=True, timeout=60, env=clean_env(env)
    )


def test_probe_tells_where_the_milliseconds_go(streamd):
    srv = streamd()
    done = run("probe", f"127.0.0.1:{srv.port}", "--pipeline", "delay", "--budget", "10s")
    assert done.returncode == 0, done.stderr
    for word in ("connect", "first answer", "network", "wait", "pipeline", "decoding", "total",
                 "20 of 20"):
        assert word in done.stdout


def test_probe_can_tell_slow_from_broken(streamd, server):
    srv = streamd()
    at = f"127.0.0.1:{srv.port}"
    assert run("probe", at, "--pipeline", "delay", "--budget", "5ms", "--count", 3).returncode == 4
    broken = run("probe", at, "--pipeline", "no-such", "--count", 3)
    assert broken.returncode == 1 and "no-such" in broken.stderr
    nobody = server("good")
    nobody.stop()
    assert run("probe", nobody.url).returncode == 3
    mute = run("probe", server("never").url, "--answer-timeout", "300ms")
    assert mute.returncode == 1 and "no answer" in mute.stderr


def test_sigint_while_nobody_reads_the_report(streamd):
    srv = streamd()
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(theirs, bytes(4096))
    os.set_blocking(theirs, True)
    ctl = Streamctl("probe", f"127.0.0.1:{srv.port}", stdout=theirs)
    assert srv.wait_event("stream_disconnect")["answered"] == 20

    def is_over():  # a signal may still come too early to stop the writing
        ctl.signal(signal.SIGINT)
        return ctl.process.poll() is not None

    until(is_over, "the probe is interrupted")
    assert ctl.join() != 0
    os.close(ours)
    os.close(theirs)


def test_pipelines_are_listed(streamd, server):
    srv = streamd("--pipeline", "door=motion:threshold=30")
    done = run("pipelines", f"ws://127.0.0.1:{srv.port}")
    assert done.returncode == 0 and "door" in done.stdout and "threshold=30" in done.stdout
    assert run("pipelines", f"127.0.0.1:{srv.port}", "--json").stdout.startswith('{"pipelines":[')
    nobody = server("good")
    nobody.stop()
    assert run("pipelines", nobody.url).returncode == 3


# ---- with the real server


def test_motion_is_found_in_the_test_picture(streamd):
    srv = streamd()
    ctl = stream("test:", f"ws://127.0.0.1:{srv.port}", "--count", 100)
    end = check_ledger(ctl, "count")
    assert ctl.code == 0 and end["answered"] + end["dropped"] == 100
    moving = [r for r in ctl.find("result") if r["result"]["detections"]]
    assert len(moving) > 50
    assert all({"wait_us", "pipeline_us", "decode_us", "inference_us", "server_us"} ==
               set(r["timing"]) for r in moving)


def test_an_unknown_pipeline_ends_it_with_the_servers_words(streamd):
    ctl = stream(SOURCE, f"127.0.0.1:{streamd().port}", "--pipeline", "no-such")
    check_ledger(ctl, "server_error")
    assert ctl.code == 1 and "no-such" in ctl.err
    assert ctl.find("error", error="invalid_pipeline")


def test_a_server_that_shuts_down_answers_first(streamd):
    srv = streamd()
    ctl = Streamctl("stream", SOURCE, f"127.0.0.1:{srv.port}", "--no-reconnect")
    ctl.out.wait("result", n=5)
    srv.stop()
    assert ctl.join() == 1
    check_ledger(ctl, "connection_lost")
    assert "1001" in ctl.err


# ---- quality and size


def through(srv, bytes_per_s):
    return SlowLink(("127.0.0.1", srv.port), bytes_per_s)


def kept_up(ctl, seconds):
    """Frames per second that were answered after the first few seconds."""
    results = ctl.find("result")
    late = [r for r in results if r["captured"] > results[0]["captured"] + 4]
    return len(late) / (seconds - 4)


def test_a_slow_link_lowers_quality_and_size_before_the_rate(server):
    """Half of what 30 frames per second of 15 KB need."""
    with through(server("good"), 225_000) as link:
        ctl = Streamctl("stream", "test:@30", f"127.0.0.1:{link.port}", "--adapt", "all")
        ctl.out.wait("stats", n=3, scale=0.5)
        ctl.signal(signal.SIGINT)
        assert ctl.join() == 130
    end = check_ledger(ctl, "interrupted")
    assert end["quality"] == 60 and end["scale"] == 0.5
    wanted = [s["wanted_fps"] for s in ctl.find("stats")]
    assert min(wanted) > 20
    scales = [r.get("scale", 1) for r in ctl.find("result")]
    assert scales[0] == 1 and scales[-1] == end["scale"]


def test_by_default_a_slow_link_costs_frames_and_no_quality(server):
    with through(server("good"), 225_000) as link:
        ctl = stream("test:@30", f"127.0.0.1:{link.port}", "--duration", "5s")
    end = check_ledger(ctl, "duration")
    assert end["quality"] == 80 and end["scale"] == 1
    assert 8 < end["sent_fps"] < 22 and end["age"]["p50_ms"] < 250
    assert not any("scale" in r for r in ctl.find("result"))


def test_a_slow_server_costs_frames_and_no_quality(streamd):
    srv = streamd("--pipeline", "slow=delay:ms=100")
    ctl = stream("test:@30", f"127.0.0.1:{srv.port}", "--pipeline", "slow", "--adapt", "all",
                 "--duration", "6s")  # fmt: skip
    end = check_ledger(ctl, "duration")
    assert end["quality"] == 80 and end["scale"] == 1
    assert min(r["latency_ms"] for r in ctl.find("result")[-15:]) < 160
    assert end["drop_rate"] < 0.25  # two of three without adapting


def test_quality_comes_back_when_the_link_does(server):
    with through(server("good"), 330_000) as link:
        ctl = Streamctl("stream", "test:@30", f"127.0.0.1:{link.port}", "--adapt", "quality")
        ctl.out.wait("stats", quality=60)
        link.bucket.bytes_per_s = 10_000_000
        ctl.out.wait("stats", n=len(ctl.find("stats", quality=80)) + 1, quality=80)
        ctl.signal(signal.SIGINT)
        assert ctl.join() == 130
    check_ledger(ctl, "interrupted")


def test_without_adapting_no_quality_is_lowered(server):
    with through(server("good"), 225_000) as link:
        ctl = stream("test:@30", f"127.0.0.1:{link.port}", "--adapt", "all", "--no-adapt",
                     "--duration", "4s")  # fmt: skip
    assert check_ledger(ctl, "duration")["quality"] == 80


def test_a_cameras_pictures_are_encoded_again_only_when_allowed(server, tmp_path):
    frames = tmp_path / "frames.mjpeg"
    frames.write_bytes(COLOR * 50)
    srv = server("good")
    refused = Streamctl("stream", frames, srv.url, "--adapt", "size")
    assert refused.join() == 2 and "--reencode" in refused.err
    ctl = stream(frames, srv.url, "--adapt", "size", "--reencode", "--count", 20)
    end = check_ledger(ctl, "count")
    # A fast link: they go as they came, and of what quality they are nobody knows.
    assert end["sent_bytes"] == 20 * len(COLOR) and end["scale"] == 1 and "quality" not in end


def test_a_camera_on_a_slow_link_is_encoded_again(server, tmp_path):
    pictures = record_pictures(tmp_path)
    with through(server("good"), 150_000) as link:
        ctl = stream(pictures, f"127.0.0.1:{link.port}", "--loop", "--adapt", "size", "--reencode",
                     "--duration", "9s")  # fmt: skip
    end = check_ledger(ctl, "duration")
    assert end["quality"] == 80 and end["scale"] < 1
    assert kept_up(ctl, 9) > 20


def record_pictures(folder):
    """Frames of the test picture, 15 KB each, as a server gets them."""
    got = []

    async def take(ws, _path=None):
        async for message in ws:
            got.append(message[16:])
            await ws.send(json.dumps({"frame_index": len(got) - 1, "result": {}}))

    async def main():
        async with websockets.serve(take, "127.0.0.1", 0) as srv:
            port = srv.sockets[0].getsockname()[1]
            child = await asyncio.create_subprocess_exec(
                binary(), "stream", "test:", f"127.0.0.1:{port}", "--count", "20", "--quiet",
                stdout=subprocess.DEVNULL, env=clean_env(),
            )  # fmt: skip
            assert await child.wait() == 0

    asyncio.run(main())
    path = folder / "recorded.mjpeg"
    path.write_bytes(b"".join(got))
    return path


def test_a_source_that_is_not_there_has_a_start_and_an_end_too(tmp_path):
    ctl = stream(str(tmp_path / "none.jpg"), "ws://127.0.0.1:9")
    end = check_ledger(ctl, "source_failed")
    assert ctl.code == 3 and end["read"] == 0
    assert [e["event"] for e in ctl.out.events] == ["start", "error", "end"]
    assert "none.jpg" in ctl.err
