"""What bench holds streamd against must do the same work, and its client must not be fooled."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import threading

import pytest

import jpegs
import rawws
from stalls import Stalls

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import io_bench  # noqa: E402
import yards  # noqa: E402

BIN = pathlib.Path(os.environ["STREAMD"]).parent / "bench"


def client(port, *options):
    return subprocess.run([BIN / "yard_client", *map(str, options), str(port)],
                          capture_output=True, text=True, timeout=60, check=False)


def index_of(ws):
    opcode, payload = ws.read_message()
    assert opcode == rawws.TEXT
    return json.loads(payload)["frame_index"]


@pytest.mark.parametrize("name", ["yard_epoll", "yard_lws"])
def test_a_bare_server_takes_whole_messages_however_they_are_cut(name):
    small, large = jpegs.padded(1024), jpegs.padded(200000)
    with yards.Told([BIN / name], 0) as server, rawws.RawWs(server.ports[0]) as ws:
        ws.write_bytewise(rawws.frame(rawws.BINARY, small))
        assert index_of(ws) == 0
        ws.write(3 * rawws.frame(rawws.BINARY, small) + rawws.frame(rawws.BINARY, large)[:7])
        assert [index_of(ws) for _ in range(3)] == [1, 2, 3]
        rest = rawws.frame(rawws.BINARY, large, key=b"abcd")
        with rawws.RawWs(server.ports[0]) as other:
            for at in range(0, len(rest), 33333):
                other.write(rest[at : at + 33333])
            assert index_of(other) == 0


@pytest.mark.parametrize("name", ["yard_epoll", "yard_lws"])
def test_a_bare_server_looks_at_both_ends(name):
    with yards.Told([BIN / name], 0) as server:
        for broken in (b"\0" + jpegs.padded(1024)[1:], jpegs.padded(1024)[:-1] + b"\0"):
            with rawws.RawWs(server.ports[0]) as ws:
                ws.send(broken)
                assert b"frame_index" not in ws.read_all()


@pytest.mark.parametrize("size", [4, 125, 126, 46000, 65536])
def test_the_client_sends_what_streamd_accepts(streamd, size):
    srv = streamd("--workers", 0)
    done = client(srv.port, "-n", 3, "-s", size, "-t", 0.2, "-w", 0.1, "-P", srv.process.pid, "closed")
    told = json.loads(done.stdout)
    assert told["targets"][0]["results"] == told["targets"][0]["due"] > 0
    assert told["dropped"] == 0
    assert told["cpu_us_per_frame"] > 0


class Answering(threading.Thread):
    """A server of one session; answers(index) are the texts that follow frame `index`."""

    def __init__(self, answers):
        super().__init__(daemon=True)
        self.answers = answers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        peer, _ = self.listener.accept()
        with peer, peer.makefile("rb") as stream:
            while stream.readline() != b"\r\n":
                pass
            peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            index = 0
            while head := stream.read(8):  # 16 bit of length: the frames have 1000 bytes
                stream.read(int.from_bytes(head[2:4], "big"))
                try:
                    for text in self.answers(index):
                        peer.sendall(rawws.frame(rawws.TEXT, text.encode(), masked=False))
                except BrokenPipeError:
                    return  # the client has seen enough
                index += 1


def result(index):
    return json.dumps({"frame_index": index, "result": {}})


def drop(index):
    return json.dumps({"frame_index": index, "dropped": True})


def play(answers):
    return client(Answering(answers).port, "-n", 1, "-s", 1000, "-f", 100, "-t", 0.5, "-w", 0, "open")


@pytest.mark.parametrize(
    "answers",
    [
        lambda index: [result(index), result(index)],
        lambda index: [result(index + 1)],
        lambda index: [json.dumps({"error": "internal_error", "detail": "7"})],
    ],
    ids=["twice", "ahead", "error"],
)
def test_the_client_does_not_measure_who_answers_wrongly(answers):
    done = play(answers)
    assert done.returncode == 1
    assert "and then came" in done.stderr


def test_frames_that_are_dropped_or_never_answered_are_infinitely_late():
    for answers in (lambda index: [drop(index)], lambda _: []):
        seen = json.loads(play(answers).stdout)["targets"][0]
        assert (seen["due"], seen["results"], seen["p50"], seen["p99"]) == (50, 0, None, None)


def test_a_few_drops_cost_the_p99_and_not_the_p50():
    with Stalls() as stalls:
        told = json.loads(play(lambda i: [drop(i)] if i % 25 == 0 else [result(i)]).stdout)
    seen = told["targets"][0]
    assert told["dropped"] == 2 and seen["p99"] is None
    # All the others, unless this program stood still for so long that the client was gone.
    assert seen["results"] == 48 or stalls.n
    assert (seen["p50"] is None) == (seen["results"] < 25)


def test_a_drop_may_overtake_an_answer():
    with Stalls() as stalls:
        done = play(lambda i: [drop(i), result(i - 1)] if i % 2 else [])
    assert json.loads(done.stdout)["targets"][0]["results"] == 25 or stalls.n


def test_ratios_are_of_the_same_round():
    runs = {"a": [{"x": 1}, {"x": 20}, {"x": 3}], "b": [{"x": 2}, {"x": 10}, {"x": 6}]}
    assert yards.ratio(runs, "a", "b", "x") == 0.5


def test_who_never_answers_in_most_rounds_never_answers():
    assert yards.p99_median([None, 5, 7]) == 7
    assert yards.p99_median([None, None, 7]) is None


def test_what_was_not_measured_is_neither_met_nor_missed():
    judged = {g["goal"]: g for g in io_bench.judge({"memory": {
        "streamd": {"bytes": 9000}, "bare lws": {"bytes": 400}}})}
    assert [(g["told"], g["met"]) for g in judged.values() if g["value"] is not None] == [
        ("8.4 KiB", False)]
    assert {g["met"] for g in judged.values()} == {None, False}
