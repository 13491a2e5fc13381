"""Cameras that do not wait: an open-loop load generator on one thread.

Frame k of a camera is due at start + offset + k / fps, whatever the server does. What the
kernel does not take at once stays here and goes out as soon as it can, and still counts
from when it was due. Every frame of a camera is the same bytes, made once, so the
generator does next to nothing per frame. It measures its own slip (how long after it was due
a frame was first tried), and a run whose slip is too large is not valid.
"""

import gc
import heapq
import json
import math
import pathlib
import select
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
import jpegs  # noqa: E402
import rawws  # noqa: E402

FRAME = jpegs.padded(1024)
GARBAGE = jpegs.SHORTEST
SLIP_MAX_US = 5000  # at p99


def now_us():
    return time.monotonic_ns() // 1000


class Camera:
    """One session: a schedule, a socket, and what became of each frame.

    offset_s: of its first frame, from the start of the run.
    """

    def __init__(self, port, pipeline, fps, offset_s=0.0, picture=FRAME):
        self.fps = fps
        self.offset_us = int(offset_s * 1e6)
        self.message = rawws.frame(rawws.BINARY, picture)
        self.ws = rawws.RawWs(port, f"pipeline_id={pipeline}&timing=1")
        self.sock = self.ws.sock
        self.sock.setblocking(False)
        self.inbox = self.ws.buffer
        self.n_due = 0  # frames whose time has come
        self.sent_us = []  # per frame: when the kernel had all of it
        self.replies = []  # (frame_index, received_us, "result" or the reason of the drop)
        self.slow_downs = 0
        self.unsent = b""  # of the frame that is going out
        self.broken = False

    def begin(self, start_us):
        self.first_us = start_us + self.offset_us

    def due_us(self, index):
        return self.first_us + int(index * 1e6 / self.fps)

    def wants_to_write(self):
        return not self.broken and (self.unsent or len(self.sent_us) < self.n_due)

    def write(self):
        """Sends what is due, as far as the kernel takes it."""
        try:
            while self.wants_to_write():
                piece = self.unsent or self.message
                n = self.sock.send(piece)
                self.unsent = piece[n:]
                if not self.unsent:
                    self.sent_us.append(now_us())
        except BlockingIOError:
            pass
        except OSError:
            self.broken = True

    def read(self):
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        at_us = now_us()
        if not data:
            self.broken = True
        self.inbox += data
        at = 0
        while (end := message_end(self.inbox, at)) is not None:
            head = 2 if self.inbox[at + 1] < 126 else 4
            if self.inbox[at] == 0x80 | rawws.TEXT:
                self.note(json.loads(self.inbox[at + head : end]), at_us)
            else:
                self.broken = True  # a close, or something we do not expect here
            at = end
        self.inbox = self.inbox[at:]

    def note(self, message, at_us):
        if "result" in message:
            self.replies.append((message["frame_index"], at_us, "result"))
        elif "dropped" in message:
            self.replies.append((message["frame_index"], at_us, message.get("reason", "untold")))
        else:
            self.slow_downs += message.get("warning") == "slow_down"

    def close(self):
        self.sock.close()


def message_end(data, at):
    """Where the message that starts at `at` ends, or None while it is incomplete."""
    if len(data) < at + 4:
        return None
    n = data[at + 1] & 0x7F
    end = at + 2 + n if n < 126 else at + 4 + int.from_bytes(data[at + 2 : at + 4], "big")
    return end if end <= len(data) else None


class Run:
    """What was measured: the cameras, and the generator's own doings.

    Answers and drops count when they arrive within [from_us, to_us), frames when they
    are due within it: under a steady overload these are the steady rates.
    """

    def __init__(self, cameras, from_us, to_us, slip_us, cpu_share):
        self.cameras = cameras
        self.from_us, self.to_us = from_us, to_us
        self.slip_p50_us = quantile(slip_us, 0.5)
        self.slip_p99_us = quantile(slip_us, 0.99)
        self.cpu_share = cpu_share
        self.broken = sum(c.broken for c in cameras)

    @property
    def seconds(self):
        return (self.to_us - self.from_us) / 1e6

    def is_valid(self):
        return self.slip_p99_us <= SLIP_MAX_US and not self.broken

    def n_offered(self, camera):
        due = range(camera.n_due)
        return sum(self.from_us <= camera.due_us(k) < self.to_us for k in due)

    def replies(self, camera):
        """(age since due, when it arrived, kind) of those that arrived in the window."""
        return [
            (at_us - camera.due_us(index), at_us, kind)
            for index, at_us, kind in camera.replies
            if self.from_us <= at_us < self.to_us
        ]


def quantile(values, q):
    """The smallest value that at least the share q does not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]


def play(cameras, seconds, warm_s=0.0, grace_s=0.0):
    """Plays all cameras for warm_s + seconds, measures the last `seconds` of it, and
    goes on reading for grace_s without sending."""
    gc.collect()
    gc.disable()  # a collection here would look like a slow server
    try:
        return _play(cameras, seconds, warm_s, grace_s)
    finally:
        gc.enable()


def _play(cameras, seconds, warm_s, grace_s):
    start_us = now_us() + 20_000
    from_us = start_us + int(warm_s * 1e6)
    to_us = from_us + int(seconds * 1e6)
    end_us = to_us + int(grace_s * 1e6)
    by_fd = {}
    due = []
    for k, camera in enumerate(cameras):
        camera.begin(start_us)
        by_fd[camera.sock] = camera
        due.append((camera.first_us, k))
    heapq.heapify(due)
    slip_us = []
    cpu_s = time.process_time()
    while (at_us := now_us()) < end_us:
        while due and due[0][0] <= at_us:
            due_us, k = heapq.heappop(due)
            camera = cameras[k]
            if due_us >= to_us:
                continue
            at_us = now_us()
            slip_us.append(at_us - due_us)
            camera.n_due += 1
            camera.write()
            heapq.heappush(due, (camera.due_us(camera.n_due), k))
        readers = [s for s, c in by_fd.items() if not c.broken]
        writers = [s for s in readers if by_fd[s].wants_to_write()]
        next_us = min(due[0][0], end_us) if due else end_us
        readable, writable, _ = select.select(
            readers, writers, [], max(0, next_us - now_us()) / 1e6
        )
        for sock in readable:
            by_fd[sock].read()
        for sock in writable:
            by_fd[sock].write()
    cpu_share = (time.process_time() - cpu_s) * 1e6 / (end_us - start_us)
    return Run(cameras, from_us, to_us, slip_us, cpu_share)
