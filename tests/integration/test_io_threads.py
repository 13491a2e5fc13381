"""Several I/O threads: connections are spread, and the server tells and ends as one."""

import collections

import pytest

import jpegs
import rawws
from harness import TIMEOUT_S, ask, ms, occupy, receive_to_end, run_streamd, sync, until


async def connect_in_turn(srv, *pipelines):
    """Each when the server tells of the one before, which it does a moment after the client knows."""
    sessions, n = [], len(srv.sessions())
    for pipeline in pipelines:
        sessions.append(await srv.connect(pipeline))
        n += 1
        until(lambda n=n: len(srv.sessions()) == n, f"{n} sessions")
    return sessions


@sync
async def test_sessions_are_spread_evenly_and_told_together(streamd):
    srv = streamd("--io-threads", 4)
    assert srv.metrics().value("streamd_io_threads") == 4
    open_ones = await connect_in_turn(srv, *["null"] * 12)
    for i, ws in enumerate(open_ones):
        for _ in range(i + 1):
            await ask(ws, jpegs.GRAY)
    for _ in range(8):  # each from another thread
        rows = srv.sessions()
        by_thread = collections.Counter(row["io_thread"] for row in rows)
        assert by_thread == {0: 3, 1: 3, 2: 3, 3: 3}
        assert sorted(row["answered"] for row in rows) == list(range(1, 13))
        metrics = srv.metrics()
        assert metrics.value("streamd_sessions_active") == 12
        assert metrics.value("streamd_frames_answered_total") == 78
        assert metrics.value("streamd_total_seconds_count") == 78
    for ws in open_ones:
        await ws.close()


@sync
async def test_a_thread_that_lost_its_sessions_gets_the_next_ones(streamd):
    srv = streamd("--io-threads", 2)
    open_ones = await connect_in_turn(srv, *["null"] * 6)
    where = {row["peer"]: row["io_thread"] for row in srv.sessions()}

    def thread_of(ws):
        host, port = ws.local_address[:2]
        return where[f"{host}:{port}"]

    left = [ws for ws in open_ones if thread_of(ws) == 0]
    for ws in open_ones:
        if ws not in left:
            await ws.close()
    until(lambda: len(srv.sessions()) == 3, "three are left")
    again = await connect_in_turn(srv, *["null"] * 3)
    assert collections.Counter(row["io_thread"] for row in srv.sessions()) == {0: 3, 1: 3}
    for ws in [*left, *again]:
        await ws.close()


@pytest.mark.parametrize("workers", [0, 6])
@sync
async def test_the_end_is_one(streamd, workers):
    """What is in work is answered on every thread before any of them ends."""
    srv = streamd("--io-threads", 3, "--workers", workers, "--budget", "off", "--drain-timeout", "60s",
                  "--pipeline", f"slow=delay:ms={ms(300)}")  # fmt: skip
    sessions = [await srv.connect("slow") for _ in range(6)]
    for ws in sessions:
        await ws.send(jpegs.GRAY)
    until(lambda: sum(row["received"] for row in srv.sessions()) == 6, "all are there")
    done = srv.stop()
    for ws in sessions:
        messages, code, _ = await receive_to_end(ws)
        assert [m["frame_index"] for m in messages] == [0] and code == 1001
    assert (done["received"], done["answered"], done["sessions"]) == (6, 6, 6)


@sync
async def test_pages_tell_that_it_drains_while_another_thread_is_at_work(streamd):
    srv = streamd("--io-threads", 2, "--drain-timeout", "60s", "--pipeline",
                  f"slow=delay:ms={ms(1000)}")  # fmt: skip
    async with srv.connect("slow") as first, srv.connect("slow") as second:
        await occupy(srv, second, jpegs.GRAY)
        srv.send_signal(15)
        assert (await receive_to_end(first))[1] == 1001
        assert srv.http("/readyz").status == 503
        messages, code, _ = await receive_to_end(second)
        assert "result" in messages[0] and code == 1001
    srv.wait_exit()


@sync
async def test_a_thread_in_a_pipeline_holds_up_neither_pages_nor_the_end(streamd):
    """The second session is on the second thread, which runs its frame itself."""
    srv = streamd("--io-threads", 2, "--workers", 0, "--drain-timeout", "1s",
                  "--pipeline", "stuck=delay:ms=60000")  # fmt: skip
    first, second = await connect_in_turn(srv, "null", "stuck")
    await occupy(srv, second, jpegs.GRAY)
    assert "result" in await ask(first, jpegs.GRAY)
    done = srv.stop()
    assert (done["received"], done["answered"], done["dropped"]) == (2, 1, 1)


def test_of_two_that_come_at_once_to_the_last_seat_one_gets_it(streamd):
    srv = streamd("--io-threads", 2, "--max-sessions", 1)
    head, _ = rawws.request_head(f"{rawws.PATH}?pipeline_id=null")
    for _ in range(150):
        two = [rawws.RawSocket(srv.port, timeout_s=TIMEOUT_S) for _ in range(2)]
        for conn in two:
            conn.write(head[:-1])
        for conn in two:
            conn.write(head[-1:])
        told = []
        for conn in two:
            conn.read_until(b"\r\n\r\n")
            conn.write(rawws.frame(rawws.BINARY, jpegs.GRAY))
            told.append(conn.read_until(b"}"))
        assert sum(b"result" in message for message in told) == 1
        for conn in two:
            conn.close()
        srv.wait_no_session()


def test_a_second_server_on_the_port_is_refused(streamd):
    srv = streamd("--io-threads", 2)
    ran = run_streamd("--io-threads", 2, "--listen", f"127.0.0.1:{srv.port}")
    assert ran.returncode == 1
    assert "cannot listen" in ran.stderr


@pytest.mark.parametrize("n", ["0", "257", "x", "-1"])
def test_bad_number(n):
    ran = run_streamd("--io-threads", n)
    assert ran.returncode == 2 and "neither auto nor a number from 1 to 256" in ran.stderr



# ---- what runs on them


async def n_inline_of(srv, pipeline, n):
    async with srv.connect(pipeline) as ws:
        for _ in range(n):
            assert "result" in await ask(ws, jpegs.GRAY)
    return srv.metrics().value("streamd_frames_inline_total")


@sync
async def test_cheap_frames_need_no_worker(streamd):
    """Sooner or later: on a busy machine even nothing takes a moment now and then."""
    srv = streamd("--workers", 1)
    for tries in range(1, 50):
        n_inline = await n_inline_of(srv, "null", 40)
        assert n_inline <= tries * 40 - 16  # the first 16 went to a worker
        if n_inline:
            return
    raise AssertionError("no frame in 2000 was cheap")


@sync
async def test_what_takes_its_time_is_never_run_inline(streamd):
    srv = streamd("--workers", 1, "--pipeline", "slow=delay:ms=1")
    assert await n_inline_of(srv, "slow", 60) == 0


@pytest.mark.parametrize("spec", ["delay:ms=20,every=100", "unix:/nonexistent"])
@sync
async def test_what_is_quick_only_until_it_is_not_is_never_run_inline(streamd, spec):
    """One works on each 100th frame; the other says at once that its worker is not there, and takes
    its time as soon as it is."""
    srv = streamd("--workers", 1, "--inline-below", "1s", "--pipeline", f"uneven={spec}")
    assert await n_inline_of(srv, "uneven", 60) == 0


@sync
async def test_inline_below_0_hands_everything_over(streamd):
    srv = streamd("--workers", 1, "--inline-below", 0)
    assert await n_inline_of(srv, "null", 60) == 0


@sync
async def test_without_workers_everything_is_inline(streamd):
    srv = streamd("--workers", 0, "--pipeline", "slow=delay:ms=1")
    assert await n_inline_of(srv, "slow", 20) == 20
