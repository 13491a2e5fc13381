"""HTTP on the port of the stream: health, metrics, sessions, and odd requests."""

import re
import uuid

import pytest

import jpegs
import rawws
from harness import (
    STREAM_PATH,
    TIMEOUT_S,
    Metrics,
    ask,
    ms,
    occupy,
    receive_answers,
    receive_to_end,
    strict_json,
    sync,
    until,
)

ENDPOINTS = ["/healthz", "/readyz", "/metrics", "/sessions", "/pipelines", "/version"]
KINDS = ["null", "delay", "spin", "inspect", "motion"]
HISTOGRAMS = ["streamd_wait_seconds", "streamd_pipeline_seconds", "streamd_total_seconds"]


def talk(srv, request, **kw):
    """Sends bytes on a connection of their own; gives all that came back."""
    with rawws.RawSocket(srv.port, timeout_s=TIMEOUT_S, **kw) as conn:
        conn.write(request)
        return conn.read_all()


def split_reply(raw):
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    match = re.fullmatch(r"HTTP/1\.[01] (\d{3})( .*)?", lines[0])
    assert match, raw[:80]
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        assert colon, line
        headers[name.lower()] = value.strip()
    return int(match.group(1)), headers, body


# ---- every endpoint


@pytest.mark.parametrize("path", ENDPOINTS)
def test_get_answers_200(streamd, path):
    reply = streamd().http(path)
    assert reply.status == 200
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert reply.body


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_query_behind_the_path_does_not_matter(streamd, path):
    assert streamd().http(f"{path}?x=1&y=%zz").status == 200


@pytest.mark.parametrize("path", [*ENDPOINTS, "/nope"])
def test_head_is_get_without_a_body(streamd, path):
    srv = streamd()
    raw = talk(srv, f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    status, headers, body = split_reply(raw)
    assert status == srv.http(path).status
    assert body == b""
    assert int(headers.get("content-length", 1)) > 0


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/version", "/sessions", "/pipelines"])
def test_head_does_not_spoil_the_connection(streamd, path):
    raw = talk(
        streamd(),
        f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    status, headers, rest = split_reply(raw)
    assert status == 200
    if headers.get("connection", "").lower() != "close":
        assert rest.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", ["/sessions", "/pipelines"])
def test_json_says_that_it_is_json(streamd, path):
    reply = streamd().http(path)
    assert reply.headers["content-type"].startswith("application/json")
    assert isinstance(reply.json, (dict, list))


def test_version_names_the_program(streamd):
    assert re.search(r"\d+\.\d+\.\d+", streamd().http("/version").text)


def test_pipelines_lists_every_kind_and_every_instance(streamd):
    srv = streamd("--pipeline", "door=delay:ms=40", "--pipeline", "other=null")
    text = srv.http("/pipelines").text
    strict_json(text)
    for name in [*KINDS, "door", "other"]:
        assert f'"{name}"' in text


def test_sessions_is_an_empty_list_at_first(streamd):
    assert streamd().http("/sessions").json == {"sessions": []}


SESSION_KEYS = {
    "session_id",
    "pipeline_id",
    "peer",
    "io_thread",
    "state",
    "connected_s",
    "received",
    "answered",
    "dropped",
    "failed",
    "in_work",
    "waiting",
    "drop_rate",
    "received_per_s",
    "answered_per_s",
    "last_frame_age_ms",
}


@sync
async def test_sessions_tells_what_each_is_doing(streamd):
    srv = streamd("--workers", "1", "--pipeline", f"slow=delay:ms={ms(1000)}")
    async with srv.connect("slow") as ws, srv.connect("null"):
        await occupy(srv, ws, jpegs.GRAY)
        for _ in range(3):
            await ws.send(jpegs.GRAY)
        await receive_answers(ws, 2)
        rows = {row["pipeline_id"]: row for row in srv.sessions()}
        assert rows.keys() == {"slow", "null"}
        assert all(row.keys() >= SESSION_KEYS for row in rows.values())
        busy, idle = rows["slow"], rows["null"]
        assert (busy["received"], busy["answered"], busy["dropped"]) == (4, 0, 2)
        assert (busy["in_work"], busy["waiting"], busy["failed"]) == (1, 1, 0)
        assert (idle["received"], idle["in_work"], idle["waiting"]) == (0, 0, 0)
        assert idle["state"] == "normal" and idle["drop_rate"] == 0
        assert busy["peer"].startswith("127.0.0.1")
        logged = srv.wait_event("stream_connect", pipeline_id="slow")
        assert busy["session_id"] == logged["session_id"]
        assert busy["peer"] == logged["peer"]
        assert uuid.UUID(busy["session_id"]).version == 4
        await receive_answers(ws, 2)
    srv.wait_no_session()


def test_a_long_reply_arrives_whole(streamd):
    """More than one socket buffer holds, to a peer that takes little at a time."""
    srv = streamd()
    sessions = [rawws.RawWs(srv.port, timeout_s=TIMEOUT_S) for _ in range(250)]
    request = b"GET /sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    _, headers, body = split_reply(talk(srv, request, rcvbuf_bytes=2048))
    assert int(headers["content-length"]) == len(body) > 32768
    rows = strict_json(body.decode())["sessions"]
    assert len({row["session_id"] for row in rows}) == 250
    for ws in sessions:
        ws.close()
    srv.wait_no_session()


@sync
async def test_an_odd_pipeline_name_is_escaped_everywhere(streamd):
    name = 'a"b\\c'
    srv = streamd("--pipeline", f"{name}=null")
    async with srv.connect("a%22b%5Cc") as ws:
        assert "result" in await ask(ws, jpegs.GRAY)
        assert srv.sessions()[0]["pipeline_id"] == name
        strict_json(srv.http("/pipelines").text)
        srv.metrics()


# ---- metrics


def test_metrics_are_strict_prometheus_text(streamd):
    reply = streamd().http("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    metrics = Metrics(reply.text)
    expected = {
        "streamd_sessions_active": "gauge",
        "streamd_sessions_total": "counter",
        "streamd_frames_received_total": "counter",
        "streamd_frames_answered_total": "counter",
        "streamd_frames_dropped_total": "counter",
        "streamd_frames_failed_total": "counter",
        "streamd_frames_rejected_total": "counter",
        "streamd_slow_downs_total": "counter",
        "streamd_received_bytes_total": "counter",
        "streamd_sent_bytes_total": "counter",
        "streamd_workers": "gauge",
        "streamd_worker_busy_seconds_total": "counter",
        "streamd_sessions_state": "gauge",
        **{name: "histogram" for name in HISTOGRAMS},
    }
    assert {n: metrics.types.get(n) for n in expected} == expected


def test_every_counter_is_there_before_anything_happened(streamd):
    metrics = streamd().metrics()
    for reason in ("replaced", "closed"):
        assert metrics.value("streamd_frames_dropped_total", reason=reason) == 0
    for state in ("normal", "warning", "critical"):
        assert metrics.value("streamd_sessions_state", state=state) == 0
    assert metrics.value("streamd_sessions_active") == 0
    assert metrics.value("streamd_frames_received_total") == 0


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_a_bucket_edge_stands_exactly_at_the_budget(streamd, name):
    assert "0.037" in streamd().metrics().edges(name)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_is_told(streamd, workers):
    assert streamd("--workers", workers).metrics().value("streamd_workers") == workers


@sync
async def test_counters_agree_with_the_traffic(streamd):
    srv = streamd("--workers", "1", "--pipeline", "slow=delay:ms=5")
    picture = jpegs.padded(2000)
    async with srv.connect("slow") as ws:
        for _ in range(120):
            await ws.send(picture)
        answers = [m for m in await receive_answers(ws, 120) if "frame_index" in m]
    async with srv.connect("null") as ws:
        for _ in range(10):
            assert "result" in await ask(ws, picture)
        await ws.send("text")
        await receive_to_end(ws)
    async with srv.connect("motion") as ws:
        await ws.send(jpegs.SHORTEST)
        await receive_to_end(ws)
    srv.wait_event("stream_disconnect", n=3)
    n_results = sum("result" in m for m in answers)
    metrics = srv.metrics()
    assert metrics.value("streamd_frames_received_total") == 131
    assert metrics.value("streamd_frames_answered_total") == n_results + 10
    assert metrics.value("streamd_frames_dropped_total", reason="replaced") == 120 - n_results
    assert metrics.value("streamd_frames_dropped_total", reason="closed") == 0
    assert metrics.value("streamd_frames_failed_total") == 1
    assert metrics.value("streamd_frames_rejected_total") == 1
    assert metrics.value("streamd_sessions_total") == 3
    assert metrics.value("streamd_sessions_active") == 0
    assert metrics.value("streamd_received_bytes_total") >= 130 * 2000
    assert metrics.value("streamd_sent_bytes_total") >= 131 * 20
    assert metrics.value("streamd_worker_busy_seconds_total") > 0
    for name in HISTOGRAMS:
        assert metrics.value(name + "_count") >= n_results + 10
    assert metrics.value("streamd_pipeline_seconds_sum") >= n_results * 0.005


@sync
async def test_the_states_of_sessions_add_up_to_those_active(streamd):
    srv = streamd("--workers", "1", "--pipeline", "slow=delay:ms=10")
    async with srv.connect("slow") as ws, srv.connect("null"), srv.connect("null"):
        for _ in range(100):
            await ws.send(jpegs.GRAY)
        await receive_answers(ws, 100)
        srv.wait_event("stream_state", to="critical")
        metrics = srv.metrics()
        assert metrics.value("streamd_sessions_active") == 3
        assert metrics.total("streamd_sessions_state") == 3
        assert metrics.value("streamd_sessions_state", state="critical") == 1


def test_a_name_from_outside_never_becomes_a_label(streamd):
    srv = streamd()
    with rawws.RawWs(srv.port, "pipeline_id=stranger", timeout_s=TIMEOUT_S) as ws:
        ws.read_to_end()
    assert "stranger" not in srv.http("/metrics").text


# ---- readiness


@sync
async def test_readyz_says_503_while_the_server_drains(streamd):
    slow = ["--workers", "1", "--pipeline", f"slow=delay:ms={ms(2000)}"]
    srv = streamd(*slow, "--drain-timeout", "60s")
    assert srv.http("/readyz").status == 200
    async with srv.connect("slow") as ws:
        with rawws.RawSocket(srv.port, timeout_s=TIMEOUT_S) as conn:
            conn.write(b"GET /readyz HTTP/1.1\r\n")
            await occupy(srv, ws, jpegs.GRAY)  # by now it was accepted
            srv.send_signal()
            srv.wait_event("shutdown", signal="SIGTERM")
            conn.write(b"Host: x\r\n\r\n")
            status, _, body = split_reply(conn.read_until(b"\r\n\r\n") + conn.buffer)
            assert status == 503
        messages, code, _ = await receive_to_end(ws)
        assert [m["frame_index"] for m in messages] == [0] and code == 1001


# ---- odd requests


def get(srv, path):
    return talk(srv, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())


@pytest.mark.parametrize("path", ["/nope", "/healthz/", "/healthzz", "/HEALTHZ", "/ws"])
def test_an_unknown_path_is_404(streamd, path):
    assert split_reply(get(streamd(), path))[0] == 404


@pytest.mark.parametrize("path", ["/..", "/%2e%2e/%2e%2e/etc/passwd", "/../etc/passwd", "/%00"])
def test_a_path_leads_to_no_file(streamd, path):
    status, _, body = split_reply(get(streamd(), path))
    assert status in (200, 400, 403, 404) and b"root:" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/healthz", "/metrics", STREAM_PATH])
def test_an_unknown_method_is_405_and_tells_what_is_allowed(streamd, method, path):
    srv = streamd()
    raw = talk(
        srv,
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode(),
    )
    status, headers, _ = split_reply(raw)
    assert status == 405
    assert "GET" in headers["allow"]
    assert srv.http("/healthz").status == 200


def test_options_tells_what_is_allowed(streamd):
    raw = talk(streamd(), b"OPTIONS /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    status, headers, _ = split_reply(raw)
    assert status in (200, 204, 405)
    assert "GET" in headers["allow"]


def test_a_body_is_not_taken_for_a_request(streamd):
    body = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    srv = streamd()
    raw = talk(
        srv,
        b"POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body,
    )
    assert split_reply(raw)[0] == 405
    assert raw.count(b"HTTP/1.") == 1


def test_a_get_of_the_stream_without_upgrade_is_refused(streamd):
    reply = streamd().http(f"{STREAM_PATH}?pipeline_id=null")
    assert 400 <= reply.status < 500


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_http_1_0_without_host_is_answered_and_closed(streamd, path):
    status, _, body = split_reply(talk(streamd(), f"GET {path} HTTP/1.0\r\n\r\n".encode()))
    assert status == 200 and body


def test_head_over_http_1_0_is_answered(streamd):
    status, _, body = split_reply(talk(streamd(), b"HEAD /healthz HTTP/1.0\r\n\r\n"))
    assert (status, body) == (200, b"")


def test_options_over_http_1_0_is_answered(streamd):
    split_reply(talk(streamd(), b"OPTIONS / HTTP/1.0\r\n\r\n"))


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 20000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X-Many: 1\r\n" * 2000 + b"\r\n",
        b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: " + b"c" * 20000 + b"\r\n\r\n",
    ],
)
def test_a_huge_head_is_refused_and_harms_nobody(streamd, head):
    srv = streamd()
    status, _, _ = split_reply(talk(srv, head))
    assert status in (400, 404, 413, 414, 431)
    assert srv.http("/healthz").status == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"\x00" * 1000,
        b"\r\n" * 1000,
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nno colon here\r\n\r\n",
        b"\x82\x84abcd" + jpegs.SHORTEST,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        bytes(range(256)) * 40,
    ],
)
def test_garbage_harms_nobody(streamd, garbage):
    srv = streamd("--idle-timeout", "1s")
    with rawws.RawSocket(srv.port, timeout_s=TIMEOUT_S) as conn:
        conn.write(garbage)
        assert srv.http("/healthz").status == 200
        with rawws.RawWs(srv.port, timeout_s=TIMEOUT_S) as ws:
            ws.send(jpegs.GRAY)
            assert ws.read_message() == (rawws.TEXT, b'{"frame_index":0,"result":{}}')


def test_a_head_that_comes_slowly_holds_up_nobody(streamd):
    srv = streamd()
    with rawws.RawSocket(srv.port, timeout_s=TIMEOUT_S) as conn:
        for piece in (b"GE", b"T /heal", b"thz HTTP/1.", b"1\r", b"\nHos", b"t: x\r\n"):
            conn.write(piece)
            assert srv.http("/healthz").status == 200
        conn.write(b"Connection: close\r\n\r\n")
        assert split_reply(conn.read_all())[0] == 200


def test_half_a_head_is_not_kept_for_ever(streamd):
    srv = streamd("--idle-timeout", "1s")
    with rawws.RawSocket(srv.port, timeout_s=3 * TIMEOUT_S) as conn:
        conn.write(b"GET /healthz HTT")
        conn.read_all()


def test_many_connections_that_say_nothing_hold_up_nobody(streamd):
    srv = streamd()
    silent = [rawws.RawSocket(srv.port, timeout_s=TIMEOUT_S) for _ in range(50)]
    assert srv.http("/healthz").status == 200
    for conn in silent:
        conn.close()
    assert srv.http("/healthz").status == 200


def test_a_client_that_leaves_in_its_request_harms_nobody(streamd):
    srv = streamd()
    for _ in range(20):
        conn = rawws.RawSocket(srv.port, timeout_s=TIMEOUT_S)
        conn.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        conn.reset()
    until(lambda: srv.http("/healthz").status == 200, "it answers")


KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize(
    "name, lines",
    [
        ("no key", ["Upgrade: websocket", "Sec-WebSocket-Version: 13"]),
        ("an old version", ["Upgrade: websocket", KEY, "Sec-WebSocket-Version: 7"]),
        ("another protocol", ["Upgrade: h2c"]),
    ],
)
def test_an_upgrade_that_is_none_harms_nobody(streamd, name, lines):
    srv = streamd("--idle-timeout", "1s")
    with rawws.RawSocket(srv.port, timeout_s=TIMEOUT_S) as conn:
        target = f"{STREAM_PATH}?pipeline_id=null"
        head = [f"GET {target} HTTP/1.1", "Host: x", "Connection: Upgrade", *lines]
        conn.write(("\r\n".join(head) + "\r\n\r\n").encode())
        reply = conn.read_all()
    assert not reply.startswith(b"HTTP/1.1 101"), name
    assert srv.http("/healthz").status == 200
