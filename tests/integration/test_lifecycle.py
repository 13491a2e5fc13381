"""Starting, draining, stopping; peers that do not read; too few descriptors; and
that the I/O thread never waits for work."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import time

import pytest

import harness
import jpegs
import rawws
from harness import (
    SLOW,
    TIMEOUT_S,
    ask,
    ms,
    occupy,
    receive,
    receive_answers,
    receive_to_end,
    run_streamd,
    sync,
    until,
)


def slow(hold_ms, workers=1):
    return ["--workers", workers, "--pipeline", f"slow=delay:ms={ms(hold_ms)}"]


def open_raw(srv, query="pipeline_id=null", **kw):
    return rawws.RawWs(srv.port, query, timeout_s=TIMEOUT_S, **kw)


# ---- start


def test_listening_tells_address_and_port(streamd):
    srv = streamd()
    assert srv.listening[0]["address"] == "127.0.0.1"
    assert 0 < srv.port < 65536
    assert srv.http("/healthz").status == 200


def test_more_than_one_address_is_listened_on(streamd):
    srv = streamd("--listen", "127.0.0.1:0", n_listeners=2)
    ports = [e["port"] for e in srv.listening]
    assert ports[0] != ports[1]
    for port in ports:
        assert srv.http("/healthz", port=port).status == 200


def test_an_ipv6_address_is_listened_on(streamd):
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no ::1")
    srv = streamd(listen="[::1]:0")
    assert srv.listening[0]["address"] == "::1"
    assert srv.http("/healthz", host="::1").status == 200


def test_a_port_that_is_taken_is_named(streamd):
    srv = streamd()
    taken = run_streamd("--listen", f"127.0.0.1:{srv.port}")
    assert taken.returncode == 1
    assert str(srv.port) in taken.stderr
    assert srv.http("/healthz").status == 200


@sync
async def test_the_port_can_be_taken_again_at_once(streamd):
    srv = streamd()
    async with srv.connect("null") as ws:
        assert "result" in await ask(ws, jpegs.GRAY)
        await asyncio.to_thread(srv.stop)
    again = streamd(listen=f"127.0.0.1:{srv.port}")
    assert again.port == srv.port


# ---- stop


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_with_0(streamd, sig):
    srv = streamd()
    srv.stop(sig)
    assert srv.wait_event("shutdown")["signal"] == sig.name


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
@sync
async def test_what_is_in_work_is_answered_and_then_1001(streamd, sig):
    srv = streamd(*slow(500), "--drain-timeout", "60s")
    async with srv.connect("slow") as busy, srv.connect("null") as idle:
        await occupy(srv, busy, jpegs.GRAY)
        srv.send_signal(sig)
        messages, code, _ = await receive_to_end(busy)
        assert messages == [{"frame_index": 0, "result": messages[0]["result"]}]
        assert code == 1001
        assert (await receive_to_end(idle))[:2] == ([], 1001)
    done = srv.stop()
    assert (done["received"], done["answered"]) == (1, 1)


@sync
async def test_a_frame_that_waits_at_the_end_gets_an_answer_too(streamd):
    srv = streamd(*slow(500), "--drain-timeout", "60s")
    async with srv.connect("slow") as ws:
        await occupy(srv, ws, jpegs.GRAY)
        await ws.send(jpegs.GRAY)
        until(lambda: srv.sessions()[0]["waiting"], "the second waits")
        srv.send_signal()
        messages, code, _ = await receive_to_end(ws)
        assert code == 1001
        assert sorted(m["frame_index"] for m in messages) == [0, 1]
    assert srv.stop()["received"] == 2


@sync
async def test_no_new_connection_while_draining(streamd):
    srv = streamd(*slow(2000), "--drain-timeout", "60s")
    async with srv.connect("slow") as ws:
        await occupy(srv, ws, jpegs.GRAY)
        srv.send_signal()
        srv.wait_event("shutdown")
        with pytest.raises((OSError, rawws.Closed, AssertionError)):
            with rawws.RawWs(srv.port, timeout_s=1) as late:
                assert late.status == 101
                late.send(jpegs.GRAY)
                late.read_message()
                assert False, "it was not refused"
        assert [m["frame_index"] for m in (await receive_to_end(ws))[0]] == [0]


@sync
async def test_draining_has_an_end(streamd):
    """The worker is busy for far longer than the drain timeout."""
    srv = streamd("--workers", "1", "--pipeline", "stuck=delay:ms=60000", "--drain-timeout", "1s")
    async with srv.connect("stuck") as ws:
        await occupy(srv, ws, jpegs.GRAY)
        srv.send_signal()
        messages, code, _ = await receive_to_end(ws)
        assert not any("result" in m for m in messages)
        assert code == 1001
    if TIMEOUT_S < 60:
        assert srv.stop()["received"] == 1


@sync
async def test_draining_does_not_wait_for_a_client_that_never_answers_the_close(streamd):
    srv = streamd("--drain-timeout", "1s")
    with open_raw(srv) as ws:
        ws.send(jpegs.GRAY)
        assert ws.read_message()[0] == rawws.TEXT
        srv.stop()


def test_draining_does_not_wait_for_half_a_request(streamd):
    srv = streamd("--drain-timeout", "1s")
    with rawws.RawSocket(srv.port, timeout_s=TIMEOUT_S) as conn:
        conn.write(b"GET /heal")
        assert srv.http("/healthz").status == 200
        srv.stop()


@sync
async def test_a_second_signal_ends_it_at_once(streamd):
    srv = streamd(
        "--workers", "1", "--pipeline", "stuck=delay:ms=60000", "--drain-timeout", "60s"
    )
    async with srv.connect("stuck") as ws:
        await occupy(srv, ws, jpegs.GRAY)
        srv.send_signal()
        srv.wait_event("shutdown")
        srv.send_signal()
        srv.wait_exit()
        srv.audited = True
        messages, code, _ = await receive_to_end(ws)
        assert not any("result" in m for m in messages)
        assert code in (1001, 1006)


def test_a_closed_stderr_does_not_kill_it():
    """SIGPIPE never kills: the reader of the log goes away."""
    read_log = subprocess.Popen(
        [harness.binary(), "--listen", "127.0.0.1:0", "--log-format", "json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=harness.clean_env(),
    )
    try:
        line = b""
        while b'"listening"' not in line:
            line = read_log.stderr.readline()
            assert line, "it ended"
        port = harness.strict_json(line)["port"]
        read_log.stderr.close()
        for _ in range(3):
            with rawws.RawWs(port, timeout_s=TIMEOUT_S) as ws:
                ws.send(jpegs.GRAY)
                assert ws.read_message()[0] == rawws.TEXT
        read_log.terminate()
        assert read_log.wait(TIMEOUT_S) == 0
    finally:
        read_log.kill()
        read_log.wait()


# ---- the I/O thread never waits for work


@sync
async def test_everything_else_goes_on_while_a_frame_is_processed(streamd):
    srv = streamd(*slow(1500))
    async with srv.connect("slow") as busy:
        await occupy(srv, busy, jpegs.GRAY)
        for _ in range(2):
            await busy.send(jpegs.GRAY)
        assert await receive(busy) == {"frame_index": 1, "dropped": True}
        await asyncio.wait_for(await busy.ping(b"still there"), TIMEOUT_S)
        async with srv.connect("null") as other:
            await asyncio.wait_for(await other.ping(b"you too"), TIMEOUT_S)
            async with srv.connect("nope") as wrong:
                messages, code, _ = await receive_to_end(wrong)
                assert messages[0]["error"] == "invalid_pipeline" and code == 1000
            await other.send("text")
            messages, code, _ = await receive_to_end(other)
            assert messages[0]["error"] == "invalid_message" and code == 1000
        assert srv.http("/healthz").status == 200
        assert srv.metrics().value("streamd_frames_answered_total") == 0
        (row,) = srv.sessions()
        assert (row["in_work"], row["waiting"], row["answered"]) == (1, 1, 0)
        answers = await receive_answers(busy, 2)
        assert [m["frame_index"] for m in answers] == [0, 2]


@sync
async def test_sessions_take_turns(streamd):
    """A greedy session does not starve the other: between two of its answers there is room."""
    srv = streamd("--workers", "1", "--budget", "off", "--pipeline", "slow=delay:ms=5")
    async with srv.connect("slow") as greedy, srv.connect("slow") as modest:
        stop = asyncio.Event()

        async def flood():
            while not stop.is_set():
                await greedy.send(jpegs.GRAY)
                await asyncio.sleep(0)

        async def read():
            with_results = 0
            while not stop.is_set():
                with_results += "result" in await receive(greedy)
            return with_results

        feeding, reading = asyncio.create_task(flood()), asyncio.create_task(read())
        for index in range(30):
            answer = await ask(modest, jpegs.GRAY)
            assert answer.keys() == {"frame_index", "result"}
            assert answer["frame_index"] == index
        stop.set()
        await feeding
        assert await reading > 0
        await greedy.close()


@pytest.mark.parametrize("pipeline", ["null", "inspect", "motion", "slow"])
@sync
async def test_zero_workers_run_the_pipeline_inline(streamd, pipeline):
    srv = streamd("--workers", "0", "--pipeline", "slow=delay:ms=1")
    assert srv.metrics().value("streamd_workers") == 0
    async with srv.connect(pipeline, timing=1) as ws:
        for index in range(20):
            answer = await ask(ws, jpegs.COLOR)
            assert answer["frame_index"] == index and "result" in answer
    async with srv.connect("motion") as ws:
        assert (await ask(ws, jpegs.SHORTEST))["error"] == "pipeline_failure"


@sync
async def test_one_slow_session_does_not_hold_up_another_worker(streamd):
    srv = streamd(*slow(1500, workers=2))
    async with srv.connect("slow") as busy, srv.connect("null") as quick:
        await occupy(srv, busy, jpegs.GRAY)
        for index in range(20):
            assert await ask(quick, jpegs.GRAY) == {"frame_index": index, "result": {}}
        assert sum(row["in_work"] for row in srv.sessions()) == 1
        assert (await receive(busy))["frame_index"] == 0


# ---- a peer that does not read


def send_until_gone(srv, ws, wire):
    """Sends, and never reads, until all is sent or the server has had enough."""
    ws.sock.settimeout(0.05 * SLOW)
    deadline = time.monotonic() + 2 * TIMEOUT_S
    while wire and not srv.events("stream_disconnect"):
        assert time.monotonic() < deadline, "a peer that does not read was kept"
        try:
            wire = wire[ws.sock.send(wire[:65536]) :]
        except TimeoutError:
            continue
        except OSError:
            return


@pytest.mark.parametrize(
    "limits",
    [
        ["--reply-timeout", "600s", "--reply-buffer", "8KiB"],
        ["--reply-timeout", "1s", "--reply-buffer", "256MiB"],
    ],
    ids=["by_bytes", "by_age"],
)
@sync
async def test_a_peer_that_does_not_read_its_replies_is_disconnected(streamd, limits):
    srv = streamd(*limits)
    async with srv.connect("null") as other:
        with open_raw(srv, "pipeline_id=null&timing=1", rcvbuf_bytes=4096) as ws:
            # 20 MB of answers: more than the kernel takes, less than the larger limit
            wire = memoryview(rawws.frame(rawws.BINARY, jpegs.SHORTEST) * 200000)
            await asyncio.to_thread(send_until_gone, srv, ws, wire)
            end = srv.wait_event("stream_disconnect")
            assert end["reason"] == "slow_reader"
            assert end["received"] > 0
        assert await ask(other, jpegs.GRAY) == {"frame_index": 0, "result": {}}


@sync
async def test_a_peer_that_reads_late_but_in_time_is_kept(streamd):
    srv = streamd()
    async with srv.connect("null") as ws:
        for _ in range(500):
            await ws.send(jpegs.GRAY)
        answers = await receive_answers(ws, 500)
        assert len([m for m in answers if "frame_index" in m]) == 500
    assert srv.wait_event("stream_disconnect")["replies_unsent"] == 0


def test_a_stalled_handful_of_frames_is_not_a_slow_reader(streamd):
    """Half a frame, then silence: others go on, and the rest may still come."""
    srv = streamd()
    wire = rawws.frame(rawws.BINARY, jpegs.padded(20000))
    with open_raw(srv) as half, open_raw(srv) as other:
        half.write(wire[:9000])
        for _ in range(20):
            other.send(jpegs.GRAY)
            assert other.read_message()[0] == rawws.TEXT
        half.write(wire[9000:])
        assert half.read_message() == (rawws.TEXT, b'{"frame_index":0,"result":{}}')


# ---- too few descriptors


def fill(srv, n_max):
    """Opens sessions until one is refused or not served; gives those that work."""
    sessions = []
    while len(sessions) < n_max:
        try:
            ws = rawws.RawWs(srv.port, timeout_s=2 * SLOW)
        except (OSError, rawws.Closed):
            return sessions
        if ws.status != 101:
            ws.close()
            return sessions
        ws.sock.settimeout(TIMEOUT_S)
        sessions.append(ws)
    raise AssertionError("the descriptors never ran out")


def answers(ws):
    ws.send(jpegs.SHORTEST)
    return ws.read_message()[0] == rawws.TEXT


def accepts_again(srv):
    try:
        with rawws.RawWs(srv.port, timeout_s=TIMEOUT_S) as ws:
            return ws.status == 101 and answers(ws)
    except (OSError, rawws.Closed):
        return False


def test_without_descriptors_new_sessions_are_refused_and_old_ones_go_on(streamd):
    srv = streamd("--workers", "1", nofile=48)
    first = open_raw(srv)
    sessions = fill(srv, 48)
    assert len(sessions) > 5
    assert answers(first) and all(answers(ws) for ws in sessions)
    for ws in sessions:
        ws.close()
    until(lambda: accepts_again(srv), "a new session is accepted")
    assert answers(first)
    first.close()


def test_without_descriptors_it_does_not_spin(streamd):
    """While one frame is slept over, nothing else is to do but to refuse."""
    srv = streamd(*slow(1000), nofile=48)
    busy = open_raw(srv, "pipeline_id=slow")
    sessions = fill(srv, 48)
    waiting = [rawws.RawSocket(srv.port, timeout_s=TIMEOUT_S) for _ in range(5)]
    for conn in waiting:
        with contextlib.suppress(OSError):
            conn.write(rawws.request_head(rawws.PATH + "?pipeline_id=null")[0])
    cpu_s, began_s = srv.cpu_s(), time.monotonic()
    assert answers(busy)
    busy_s, passed_s = srv.cpu_s() - cpu_s, time.monotonic() - began_s
    assert passed_s >= 0.9 and busy_s <= 0.5 * passed_s
    for conn in [*waiting, *sessions, busy]:
        conn.close()
    until(lambda: accepts_again(srv), "a new session is accepted")


def test_sessions_that_come_and_go_leak_no_descriptor(streamd):
    srv = streamd("--workers", "1", nofile=48)
    for n in range(1, 151):
        with open_raw(srv) as ws:
            assert answers(ws)
            if n % 3 == 0:
                ws.reset()
        srv.wait_event("stream_disconnect", n=n)
    assert srv.http("/healthz").status == 200
