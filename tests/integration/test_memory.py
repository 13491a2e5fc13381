"""Memory: a cap that drops frames and tells so, and nothing left behind by a burst."""

import pathlib

import jpegs
import rawws
from harness import SLOW, TIMEOUT_S, ask, ms, occupy, receive, sync, until

MIB = 1 << 20


def memory_of(srv):
    return srv.metrics().value("streamd_frame_memory_bytes")


def resident_bytes(srv):
    status = pathlib.Path(f"/proc/{srv.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines()
                if line.startswith("VmRSS:"))  # fmt: skip


@sync
async def test_what_does_not_fit_is_dropped_and_told(streamd):
    """Two frames of 1 MiB fit: the one in work and one that waits; small ones always do."""
    srv = streamd("--workers", 1, "--budget", "off", "--max-memory", "2.5MiB",
                  "--pipeline", f"slow=delay:ms={ms(1000)}")  # fmt: skip
    large = jpegs.padded(MIB - 100)
    async with srv.connect("slow") as first, srv.connect("slow", header=1, timing=1) as second:
        await occupy(srv, first, large)
        await first.send(large)
        until(lambda: memory_of(srv) == 2 * MIB, "both are there")
        header = (77).to_bytes(4, "big") + bytes(8) + len(large).to_bytes(4, "big")
        await second.send(header + large)
        drop = await receive(second)
        assert {k: drop[k] for k in ("frame_index", "frame_id", "dropped", "reason")} == {
            "frame_index": 0, "frame_id": 77, "dropped": True, "reason": "memory"}  # fmt: skip
        metrics = srv.metrics()
        assert metrics.value("streamd_frames_dropped_total", reason="memory") == 1
        assert metrics.value("streamd_frame_memory_bytes") <= 2.5 * MIB
        assert "result" in await receive(first)
        assert "result" in await receive(first)
        header = (78).to_bytes(4, "big") + bytes(8) + len(large).to_bytes(4, "big")
        await second.send(header + large)
        answer = await receive(second)
        assert (answer["frame_index"], answer["frame_id"]) == (1, 78) and "result" in answer
    assert srv.stop()["received"] == 4


@sync
async def test_without_any_memory_for_frames_the_server_lives(streamd):
    srv = streamd("--max-memory", "1KiB", "--workers", 1)
    async with srv.connect("null", timing=1) as ws:
        for index in range(5):
            drop = await ask(ws, jpegs.GRAY)
            assert (drop["frame_index"], drop["dropped"], drop["reason"]) == (index, True, "memory")


@sync
async def test_what_was_dropped_for_memory_counts_for_phase17(streamd):
    srv = streamd("--max-memory", "32KiB", "--workers", 1, "--policy", "phase17", "--budget", "off")
    async with srv.connect("null", timing=1) as ws:
        assert (await ask(ws, jpegs.padded(100000)))["reason"] == "memory"
        assert (await ask(ws, jpegs.GRAY))["reason"] == "rate"  # 1 of 1


def test_a_burst_leaves_nothing_behind(streamd):
    """60 frames of 1 MiB at once; then nobody is there and all is given back."""
    srv = streamd("--workers", 1, "--budget", "off", "--drain-timeout", "60s",
                  "--pipeline", f"slow=delay:ms={ms(10)}")  # fmt: skip
    before = resident_bytes(srv)
    sessions = [rawws.RawWs(srv.port, query="pipeline_id=slow", timeout_s=TIMEOUT_S)
                for _ in range(60)]  # fmt: skip
    frame = rawws.frame(rawws.BINARY, jpegs.padded(MIB - 100))
    for ws in sessions:
        ws.write(frame)
    until(lambda: srv.metrics().value("streamd_frames_answered_total") == 60, "all are answered")
    assert memory_of(srv) >= 2 * MIB
    for ws in sessions:
        ws.close()
    until(lambda: memory_of(srv) == 0, "the pool forgets")
    if SLOW == 1:  # sanitizers keep what was freed, to see whether it is used
        until(lambda: resident_bytes(srv) < before + 8 * MIB, "the system has it back")
