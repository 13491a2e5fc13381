"""Starts streamd, listens to its log, talks to it, and audits it when it ends.

Nothing here sleeps for a fixed time: every wait is for an event or a state, with a
generous limit that TEST_SLOW multiplies (sanitizers, slow machines).
"""

import asyncio
import contextlib
import functools
import http.client
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import threading
import time
import uuid

import websockets

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLOW = float(os.environ.get("TEST_SLOW", "1"))
TIMEOUT_S = 20 * SLOW
STREAM_PATH = "/ws/video/stream"
SANITIZER = re.compile(r"Sanitizer|runtime error:|==\d+==")


def binary():
    return os.environ.get("STREAMD") or str(ROOT / "build" / "plain" / "streamd")


# All tests hold for any number of them: `make test SAN=thread` runs them with several.
IO_THREADS = os.environ.get("TEST_IO_THREADS")


def clean_env(extra=None):
    """The environment without any setting of ours, so that a test sees only its own."""
    env = {k: v for k, v in os.environ.items() if not re.match(r"STREAMD?_", k)}
    if IO_THREADS:
        env["STREAMD_IO_THREADS"] = IO_THREADS
    return {**env, **(extra or {})}


def ms(milliseconds):
    """Work long enough to do other things meanwhile, on slow machines too."""
    return int(milliseconds * SLOW)


def strict_json(text):
    """JSON as RFC 8259 has it: no NaN, no key twice."""

    def no_constant(name):
        raise ValueError(f"not JSON: {name}")

    def unique(pairs):
        keys = [k for k, _ in pairs]
        if len(keys) != len(set(keys)):
            raise ValueError(f"a key twice: {keys}")
        return dict(pairs)

    return json.loads(text, parse_constant=no_constant, object_pairs_hook=unique)


def until(question, what):
    """Asks until the answer is true, and gives it."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        answer = question()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError(f"never came true: {what}")


class Log:
    """JSON lines that a process writes, read by a thread so that it never blocks."""

    KEY = "event_type"  # the member that says what a line is

    def __init__(self, stream):
        self.events = []
        self.strays = []  # lines that are not JSON
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        for raw in stream:
            try:
                event = strict_json(raw.decode())
            except ValueError:
                event = None
            with self._changed:
                if isinstance(event, dict):
                    self.events.append(event)
                else:
                    self.strays.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def find(self, event_type, **fields):
        with self._changed:
            return self._find(event_type, fields)

    def _find(self, event_type, fields):
        wanted = {self.KEY: event_type, **fields}
        return [e for e in self.events if all(e.get(k) == v for k, v in wanted.items())]

    def wait(self, event_type, n=1, **fields):
        """The n-th event of that type with those fields, whenever it came or comes."""
        deadline = time.monotonic() + TIMEOUT_S
        with self._changed:
            while len(found := self._find(event_type, fields)) < n:
                left_s = deadline - time.monotonic()
                if self._ended or left_s <= 0:
                    break
                self._changed.wait(left_s)
        if len(found) >= n:
            return found[n - 1]
        tail = "\n".join(map(str, self.events[-10:] + self.strays[-30:]))
        raise AssertionError(f"no event {event_type} {fields} (n={n}); the last ones:\n{tail}")

    def join(self):
        self._thread.join(TIMEOUT_S)


class Reply:
    """An HTTP reply, read to its end."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return strict_json(self.text)


class Streamd:
    """One server process. audit() is what must hold after every kind of ending."""

    def __init__(self, *args, env=None, listen="127.0.0.1:0", n_listeners=1, nofile=None):
        self.process = subprocess.Popen(
            [binary(), "--listen", listen, "--log-format", "json", *map(str, args)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=clean_env(env),
            preexec_fn=nofile
            and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))),
        )
        self.log = Log(self.process.stderr)
        self.audited = False
        try:
            self.listening = [
                self.wait_event("listening", n=i + 1) for i in range(n_listeners)
            ]
        except AssertionError:
            self.kill()
            raise
        self.port = self.listening[0]["port"]

    # ---- its log

    def wait_event(self, event_type, n=1, **fields):
        return self.log.wait(event_type, n, **fields)

    def events(self, event_type, **fields):
        return self.log.find(event_type, **fields)

    # ---- over HTTP

    def http(self, path, method="GET", headers=None, body=None, port=None, host="127.0.0.1"):
        conn = http.client.HTTPConnection(host, port or self.port, timeout=TIMEOUT_S)
        with contextlib.closing(conn):
            conn.request(method, path, body=body, headers=headers or {})
            return Reply(conn.getresponse())

    def sessions(self):
        reply = self.http("/sessions")
        assert reply.status == 200
        return reply.json["sessions"]

    def metrics(self):
        reply = self.http("/metrics")
        assert reply.status == 200
        return Metrics(reply.text)

    def wait_in_work(self, n=1):
        until(lambda: sum(s["in_work"] for s in self.sessions()) == n, f"{n} frames in work")

    def wait_no_session(self):
        until(lambda: not self.sessions(), "no session left")

    # ---- over WebSocket

    def url(self, pipeline=None, host="127.0.0.1", **query):
        if pipeline is not None:
            query = {"pipeline_id": pipeline, **query}
        tail = "&".join(f"{k}={v}" for k, v in query.items())
        return f"ws://{host}:{self.port}{STREAM_PATH}" + (f"?{tail}" if tail else "")

    def connect(self, pipeline=None, **query):
        return connect(self.url(pipeline, **query))

    # ---- its end

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send_signal(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)

    def wait_exit(self):
        try:
            code = self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("streamd did not end in bounded time") from None
        self.log.join()
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.audited = True

    def stop(self, sig=signal.SIGTERM):
        """Ends it the way an operator does, audits it, gives its last event."""
        if self.process.poll() is None:
            self.send_signal(sig)
        code = self.wait_exit()
        self.audited = True
        self.check_stderr()
        assert code == 0, f"exit code {code}"
        return self.audit()

    def check_stderr(self):
        reports = [line for line in self.log.strays if SANITIZER.search(line)]
        assert not reports, "\n".join(self.log.strays)
        assert not self.log.strays, f"lines on stderr that are not JSON: {self.log.strays[:5]}"

    def audit(self):
        """Every session that began ended, every ledger is exact, and they add up."""
        begun = [e["session_id"] for e in self.events("stream_connect")]
        ended = self.events("stream_disconnect")
        assert sorted(begun) == sorted(e["session_id"] for e in ended)
        assert len(begun) == len(set(begun))
        for text in begun:
            assert uuid.UUID(text).version == 4
        (done,) = self.events("shutdown_done")
        for ledger in [*ended, done]:
            assert_ledger(ledger)
        for key in ("received", "answered", "dropped", "failed"):
            assert done[key] == sum(e[key] for e in ended), key
        return done


def assert_ledger(ledger):
    parts = ledger["answered"] + ledger["dropped"] + ledger["failed"]
    assert ledger["received"] == parts, ledger
    if "dropped_replaced" in ledger:
        reasons = sum(n for key, n in ledger.items() if key.startswith("dropped_"))
        assert ledger["dropped"] == reasons, ledger


def run_streamd(*args, env=None):
    """For invocations that end by themselves: usage errors, --help and the like."""
    return subprocess.run(
        [binary(), *map(str, args)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=clean_env(env),
        check=False,
    )


# ---- WebSocket in the library's way


def sync(test):
    """Runs an async test to its end, with a limit."""

    @functools.wraps(test)
    def run(*args, **kw):
        return asyncio.run(asyncio.wait_for(test(*args, **kw), 3 * TIMEOUT_S))

    return run


def connect(url, **kw):
    options = {
        "ping_interval": None,
        "open_timeout": TIMEOUT_S,
        "close_timeout": TIMEOUT_S,
        "max_queue": None,
        **kw,
    }
    return websockets.connect(url, **options)


def check_message(raw):
    """A message of the server as an object; what must hold for every one is asserted."""
    assert isinstance(raw, str), "a server never sends binary here"
    message = strict_json(raw)
    assert isinstance(message, dict)
    assert not {"type", "payload"} <= message.keys()
    return message


async def receive(ws):
    return check_message(await asyncio.wait_for(ws.recv(), TIMEOUT_S))


async def ask(ws, jpeg):
    """Sends one frame, gives the one message that comes."""
    await ws.send(jpeg)
    return await receive(ws)


async def receive_answers(ws, n):
    """Messages until n results and drops have come; others stand between them."""
    messages = []
    while sum("frame_index" in m for m in messages) < n:
        messages.append(await receive(ws))
    return messages


async def receive_to_end(ws):
    """(messages, close code, reason) until the server closes; 1006 when it did not say so."""
    messages = []
    try:
        while True:
            messages.append(await receive(ws))
    except websockets.ConnectionClosed as closed:
        if closed.rcvd is None:
            return messages, 1006, ""
        return messages, closed.rcvd.code, closed.rcvd.reason


async def occupy(srv, ws, jpeg):
    """Sends a frame of a slow pipeline and waits until a worker has it."""
    await ws.send(jpeg)
    srv.wait_in_work()


# ---- Prometheus text, read strictly

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')


class Metrics:
    """The text format 0.0.4; anything odd is an assertion."""

    def __init__(self, text):
        self.types, self.helps, self.series = {}, {}, {}
        self._family = None
        self._closed = set()
        assert text.endswith("\n")
        for line in text[:-1].split("\n"):
            self._take(line)
        for name, kind in self.types.items():
            self._check_family(name, kind)

    def _take(self, line):
        if line.startswith("# HELP "):
            _, _, name, text = line.split(" ", 3)
            assert name not in self.helps and text
            self._enter(name)
            self.helps[name] = text
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in self.types
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped")
            self._enter(name)
            self.types[name] = kind
        else:
            self._take_sample(line)

    def _enter(self, name):
        """A family's lines stand together."""
        if name == self._family:
            return
        assert name not in self._closed, f"{name} stands in two places"
        self._closed.add(self._family)
        self._family = name

    def _take_sample(self, line):
        match = SAMPLE.match(line)
        assert match, f"not a sample: {line!r}"
        name, labels, value = match.groups()
        family = name
        if self.types.get(self._family) == "histogram":
            family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert family == self._family, f"{name} stands in the family {self._family}"
        assert family in self.types, f"{name} before its TYPE"
        key = (name, parse_labels(labels or ""))
        assert key not in self.series, f"a series twice: {line}"
        self.series[key] = float(value)

    def _check_family(self, name, kind):
        assert name in self.helps, f"no HELP for {name}"
        if kind == "counter":
            assert name.endswith("_total"), name
            assert all(v >= 0 for (n, _), v in self.series.items() if n == name)
        if kind == "histogram":
            self._check_histogram(name)

    def _check_histogram(self, name):
        """Each of its sets of labels is a histogram of its own."""
        sets = {k for (n, k) in self.series if n == name + "_count"}
        assert sets, f"{name} has no series"
        for labels in sets:
            rows = [(dict(k)["le"], v) for (n, k), v in self.series.items()
                    if n == name + "_bucket" and labels <= k]
            edges = [float(le) for le, _ in rows]
            counts = [v for _, v in rows]
            assert edges == sorted(set(edges)), f"{name}: edges not ascending"
            assert counts == sorted(counts), f"{name}: not cumulative"
            assert rows and rows[-1][0] == "+Inf"
            assert counts[-1] == self.value(name + "_count", **dict(labels))
            assert self.value(name + "_sum", **dict(labels)) >= 0

    def value(self, name, **labels):
        return self.series[name, frozenset(labels.items())]

    def total(self, name):
        """The sum over all labels."""
        values = [v for (n, _), v in self.series.items() if n == name]
        assert values, f"no series {name}"
        return sum(values)

    def edges(self, name):
        return [dict(k)["le"] for (n, k) in self.series if n == name + "_bucket"]


def parse_labels(text):
    labels, at = [], 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"not labels: {text!r}"
        labels.append(match.groups())
        at = match.end()
    assert len(labels) == len({k for k, _ in labels})
    return frozenset(labels)
