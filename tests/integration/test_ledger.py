"""received = answered + dropped + failed, after every kind of ending.

The audit when a server is stopped checks each session and the process; the
tests here make the endings and check the numbers that are known.
"""

import asyncio
import contextlib
import socket

import pytest
import websockets

import jpegs
import rawws
from harness import (
    TIMEOUT_S,
    ask,
    assert_ledger,
    ms,
    occupy,
    receive_answers,
    receive_to_end,
    sync,
)


def slow(hold_ms=300, workers=1):
    return ["--workers", workers, "--pipeline", f"slow=delay:ms={ms(hold_ms)}"]


def open_raw(srv, query="pipeline_id=null", **kw):
    return rawws.RawWs(srv.port, query, timeout_s=TIMEOUT_S, **kw)


def ended(srv, n=1, **fields):
    end = srv.wait_event("stream_disconnect", n=n, **fields)
    assert_ledger(end)
    return end


@sync
async def test_after_a_normal_end(streamd):
    srv = streamd()
    async with srv.connect("null") as ws:
        for _ in range(25):
            await ask(ws, jpegs.GRAY)
    end = ended(srv)
    assert (end["received"], end["answered"], end["dropped"], end["failed"]) == (25, 25, 0, 0)
    assert (end["rejected"], end["replies_unsent"]) == (0, 0)
    assert end["close_code"] == 1000 and end["pipeline_id"] == "null"
    assert end["bytes"] >= 25 * len(jpegs.GRAY)
    assert end["duration_s"] >= 0 and end["reason"]
    done = srv.stop()
    assert (done["received"], done["answered"]) == (25, 25)


def test_after_a_session_that_sent_nothing(streamd):
    srv = streamd()
    open_raw(srv).close()
    end = ended(srv)
    assert (end["received"], end["answered"], end["dropped"], end["failed"]) == (0, 0, 0, 0)


@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize("n_bytes", [1, 2, 5, 6, 100, 30000])
def test_after_a_disconnect_in_mid_frame(streamd, leave, n_bytes):
    srv = streamd()
    ws = open_raw(srv)
    ws.send(jpegs.GRAY)
    assert ws.read_message()[0] == rawws.TEXT
    ws.write(rawws.frame(rawws.BINARY, jpegs.padded(50000))[:n_bytes])
    getattr(ws, leave)()
    end = ended(srv)
    assert (end["received"], end["answered"]) == (1, 1)


def test_after_a_disconnect_between_fragments(streamd):
    srv = streamd()
    ws = open_raw(srv)
    ws.write(rawws.frame(rawws.BINARY, jpegs.GRAY, fin=False))
    ws.close()
    assert ended(srv)["received"] == 0


@pytest.mark.parametrize("bad", ["text", b"", b"\xff\xd8", b"x"])
@sync
async def test_after_an_error_close(streamd, bad):
    srv = streamd()
    async with srv.connect("null") as ws:
        for _ in range(3):
            await ask(ws, jpegs.GRAY)
        await ws.send(bad)
        await receive_to_end(ws)
    end = ended(srv)
    assert (end["received"], end["answered"], end["failed"]) == (3, 3, 0)
    assert end["close_code"] == 1000
    assert (end["rejected"] == 1) or isinstance(bad, str)


@sync
async def test_after_a_pipeline_failure_with_a_frame_waiting(streamd):
    srv = streamd("--workers", "1")
    async with srv.connect("motion") as ws:
        await ws.send(jpegs.COLOR)
        with contextlib.suppress(websockets.ConnectionClosedOK):
            for _ in range(20):
                await ws.send(jpegs.corrupt())
        messages, code, _ = await receive_to_end(ws)
        assert messages[-1]["error"] == "pipeline_failure" and code == 1000
        assert sum("error" in m for m in messages) == 1
    end = ended(srv)
    assert end["failed"] == 1


@pytest.mark.parametrize("n_waiting", [0, 1, 3])
@pytest.mark.parametrize("leave", ["close", "reset"])
@sync
async def test_when_the_worker_is_busy_while_the_client_leaves(streamd, leave, n_waiting):
    srv = streamd(*slow())
    ws = open_raw(srv, "pipeline_id=slow")
    ws.send(jpegs.GRAY)
    srv.wait_in_work()
    ws.write(rawws.frame(rawws.BINARY, jpegs.GRAY) * n_waiting)
    ws.ping(b"all read")
    while ws.read_message() != (rawws.PONG, b"all read"):
        pass
    getattr(ws, leave)()
    end = ended(srv)
    assert end["received"] == 1 + n_waiting
    assert end["failed"] == 0
    async with srv.connect("slow") as other:
        assert (await ask(other, jpegs.GRAY))["frame_index"] == 0


@sync
async def test_when_the_client_says_goodbye_while_the_worker_is_busy(streamd):
    srv = streamd(*slow())
    async with srv.connect("slow") as ws:
        await occupy(srv, ws, jpegs.GRAY)
    assert ended(srv)["received"] == 1


def test_after_a_half_close_behind_a_frame(streamd):
    srv = streamd(*slow())
    with open_raw(srv, "pipeline_id=slow") as ws:
        ws.send(jpegs.GRAY)
        ws.sock.shutdown(socket.SHUT_WR)
        assert ended(srv)["received"] <= 1


def test_a_reset_with_answers_on_the_way(streamd):
    srv = streamd()
    for n in range(1, 21):
        ws = open_raw(srv)
        ws.write(rawws.frame(rawws.BINARY, jpegs.GRAY) * 50)
        ws.reset()
        ended(srv, n)


def test_a_reset_right_behind_the_handshake(streamd):
    srv = streamd()
    for _ in range(20):
        open_raw(srv).reset()
    srv.wait_no_session()


def test_a_reset_inside_the_handshake(streamd):
    srv = streamd()
    head, _ = rawws.request_head(rawws.PATH + "?pipeline_id=null")
    for n_bytes in (1, 40, len(head) - 1, len(head)):
        conn = rawws.RawSocket(srv.port, timeout_s=TIMEOUT_S)
        conn.write(head[:n_bytes])
        conn.reset()
    srv.wait_no_session()
    with open_raw(srv) as ws:
        ws.send(jpegs.GRAY)
        assert ws.read_message()[0] == rawws.TEXT


@pytest.mark.parametrize("workers", [0, 1, 2])
@sync
async def test_shutdown_while_busy(streamd, workers):
    srv = streamd(*slow(50, workers))
    sockets = [await srv.connect("slow") for _ in range(4)]
    for ws in sockets:
        for _ in range(5):
            await ws.send(jpegs.GRAY)
    await receive_answers(sockets[0], 1)
    srv.send_signal()
    for ws in sockets:
        _, code, _ = await receive_to_end(ws)
        assert code == 1001
    srv.stop()
    assert len(srv.events("stream_disconnect")) == 4


async def run_session(srv, pipeline, n_frames):
    async with srv.connect(pipeline) as ws:
        for _ in range(n_frames):
            await ws.send(jpegs.GRAY)
        answers = [m for m in await receive_answers(ws, n_frames) if "frame_index" in m]
        assert sorted(m["frame_index"] for m in answers) == list(range(n_frames))
        return sum("result" in m for m in answers)


@pytest.mark.parametrize("workers", [0, 1, 2])
@sync
async def test_eight_sessions_at_once(streamd, workers):
    srv = streamd("--workers", workers, "--pipeline", "slow=delay:ms=2,jitter_ms=2")
    results = await asyncio.gather(*(run_session(srv, "slow", 60) for _ in range(8)))
    ended(srv, 8)
    done = srv.stop()
    assert done["received"] == 8 * 60
    assert done["answered"] == sum(results)
    assert done["dropped"] == 8 * 60 - sum(results)
    assert all(n >= 1 for n in results), "the newest is always run"


@sync
async def test_endings_of_every_kind_at_once(streamd):
    srv = streamd("--workers", "2", "--pipeline", "slow=delay:ms=5")

    def leave(how):
        ws = open_raw(srv, "pipeline_id=slow")
        ws.write(rawws.frame(rawws.BINARY, jpegs.GRAY) * 10)
        if how == "error":
            ws.send_text("x")
            ws.read_to_end()
        if how == "half":
            ws.write(rawws.frame(rawws.BINARY, jpegs.GRAY)[:20])
        (ws.reset if how == "reset" else ws.close)()

    await asyncio.gather(
        *(asyncio.to_thread(leave, how) for how in ("error", "half", "reset", "close") * 8),
        *(run_session(srv, "slow", 30) for _ in range(4)),
    )
    srv.wait_no_session()


@pytest.mark.parametrize("pipeline", ["null", "motion", "inspect"])
@sync
async def test_one_line_per_event_and_never_per_frame(streamd, pipeline):
    srv = streamd()
    async with srv.connect(pipeline) as ws:
        for _ in range(100):
            await ask(ws, jpegs.COLOR)
    ended(srv)
    srv.stop()
    types = [e["event_type"] for e in srv.log.events]
    assert types.count("stream_connect") == types.count("stream_disconnect") == 1
    assert len(types) < 12
    for event in srv.log.events:
        assert {"time", "level", "event_type"} <= event.keys()
        assert event["time"].endswith("Z")


@sync
async def test_session_events_carry_session_and_pipeline(streamd):
    srv = streamd("--workers", "1", "--pipeline", "slow=delay:ms=10")
    async with srv.connect("slow") as ws:
        for _ in range(100):
            await ws.send(jpegs.GRAY)
        await receive_answers(ws, 100)
        await ws.send("text")
        await receive_to_end(ws)
    ended(srv)
    session = srv.wait_event("stream_connect")["session_id"]
    for kind in ("stream_state", "stream_slow_down", "stream_error", "stream_disconnect"):
        event = srv.wait_event(kind)
        assert (event["session_id"], event["pipeline_id"]) == (session, "slow"), kind
