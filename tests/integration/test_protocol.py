"""Every row and sentence of the wire protocol, from the outside."""

import math
import random
import re
import socket
import struct
import urllib.parse

import pytest
import websockets

import jpegs
import rawws
from harness import (
    STREAM_PATH,
    TIMEOUT_S,
    ask,
    check_message,
    connect,
    ms,
    occupy,
    receive,
    receive_answers,
    receive_to_end,
    sync,
    until,
)

NULL = "pipeline_id=null"
TIMING_KEYS = {"wait_us", "pipeline_us", "decode_us", "inference_us", "server_us"}


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def open_raw(srv, query=NULL, **kw):
    return rawws.RawWs(srv.port, query, timeout_s=TIMEOUT_S, **kw)


def raw_answer(ws):
    opcode, payload = ws.read_message()
    assert opcode == rawws.TEXT
    return check_message(payload.decode())


def assert_error(message, code, *words):
    """Exactly one error with its two keys; every word is in the detail."""
    assert message.keys() == {"error", "detail"}, message
    assert message["error"] == code, message
    detail = message["detail"]
    assert isinstance(detail, str) and detail
    for word in words:
        assert word.lower() in detail.lower(), f"{word!r} not in {detail!r}"


def assert_nothing_internal(detail):
    found = re.search(
        r"/\w+/|\.[ch]\b|\.so\b|0x[0-9a-f]{4}|turbo|libjpeg|lws|errno|assert|line \d|null\)", detail, re.I
    )
    assert not found, detail


async def send_at_least_a_part(ws, payload):
    """The library stops sending when the server's close arrives meanwhile, and says so."""
    try:
        await ws.send(payload)
    except websockets.ConnectionClosedOK:
        pass


async def closing_error(ws, code, *words):
    """The rest of the session: this one error, then 1000 with an empty reason."""
    messages, close_code, reason = await receive_to_end(ws)
    assert len(messages) == 1, messages
    assert_error(messages[0], code, *words)
    assert (close_code, reason) == (1000, "")
    return messages[0]["detail"]


# ---- endpoint


def free_port_of_both_families():
    for _ in range(50):
        with socket.socket(socket.AF_INET6) as six, socket.socket(socket.AF_INET) as four:
            try:
                six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                six.bind(("::1", 0))
            except OSError:
                pytest.skip("this machine has no ::1")
            port = six.getsockname()[1]
            try:
                four.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port that is free in both families")


@sync
async def test_localhost_is_both_addresses(streamd):
    port = free_port_of_both_families()
    srv = streamd(listen=f"localhost:{port}", n_listeners=2)
    assert {e["address"] for e in srv.listening} == {"127.0.0.1", "::1"}
    assert {e["port"] for e in srv.listening} == {port}
    for host in ("127.0.0.1", "[::1]", "localhost"):
        async with connect(srv.url("null", host=host)) as ws:
            assert await ask(ws, jpegs.SHORTEST) == {"frame_index": 0, "result": {}}


@pytest.mark.parametrize(
    "query",
    [
        NULL,
        f"{NULL}&x=1&y=2",
        f"x=1&{NULL}",
        f"{NULL}&x=%zz",
        f"{NULL}&%",
        f"{NULL}&x=%",
        f"{NULL}&x=%4",
        f"%zz=%zz&{NULL}",
        f"{NULL}&x=%00",
        f"{NULL}&x=%0d%0aSet-Cookie:%20a",
        f"{NULL}&x=%ff%fe",
        f"{NULL}&&&=&=1&",
        f"&{NULL}",
        f"{NULL}&timing",
        f"{NULL}&x=a=b=c",
        f"{NULL}&x=../../etc/passwd",
        f"{NULL}&x=/a?b",
        "pipeline_id=nu%6cl",
        "pipeline_id=%6e%75%6C%6c",
        "pipeline_id=nope&pipeline_id=null",
        "pipeline_id=&pipeline_id=null",
        "pipeline_id&pipeline_id=null",
        "pipeline_id=%zz&pipeline_id=null",
        NULL + "".join(f"&unknown{i}={i}" for i in range(100)),
        f"{NULL}&x=" + "y" * 2000,
    ],
)
def test_a_known_pipeline_is_found_in_any_query(streamd, query):
    with open_raw(streamd(), query) as ws:
        assert ws.status == 101
        ws.send(jpegs.SHORTEST)
        assert raw_answer(ws) == {"frame_index": 0, "result": {}}


@pytest.mark.parametrize(
    "query",
    [
        None,
        "",
        "&",
        "=",
        "%",
        "%zz",
        "x=1",
        "pipeline_id",
        "pipeline_id=",
        "pipeline_id=%",
        "pipeline_id=%zz",
        "pipeline_id=null%",
        "pipeline_id=null%zz",
        "pipeline_id=null%00",
        "pipeline_id=null%00x",
        "pipeline_id=%00",
        "pipeline_id=%ff%fe",
        "pipeline_id=%ed%a0%80",
        "pipeline_id=%c0%80",
        "pipeline_id=%f4%90%80%80",
        "pipeline_id=null%20",
        "pipeline_id=+null",
        "pipeline_id=NULL",
        "Pipeline_Id=null",
        "xpipeline_id=null",
        "pipeline_idx=null",
        "pipeline_id=null&pipeline_id=",
        "pipeline_id=null&pipeline_id",
        "pipeline_id=null&pipeline_id=nope",
        "x=1?pipeline_id=null",
    ],
)
def test_a_wrong_pipeline_is_told_in_a_message_then_1000(streamd, query):
    with open_raw(streamd(), query) as ws:
        assert ws.status == 101
        texts, code, reason, reset = ws.read_to_end()
        assert len(texts) == 1
        assert_error(check_message(texts[0]), "invalid_pipeline", "pipeline_id")
        assert (code, reason, reset) == (1000, "", False)


@pytest.mark.parametrize(
    "unknown",
    [
        "nope",
        "with space",
        "a+b",
        'quote"back\\slash',
        "line\nfeed\ttab\r\x01\x1f\x7f",
        "grün 摄像头 \U0001f600",
        "</script>&amp;",
        "percent%41",
        "%s%n%d",
        "nul\x00inside",
        "x" * 200,
        '"' * 200,
        "\x01" * 60,
        "é" * 100,
    ],
)
@sync
async def test_the_unknown_id_is_repeated(streamd, unknown):
    srv = streamd()
    async with srv.connect(urllib.parse.quote(unknown, safe="+")) as ws:
        await closing_error(ws, "invalid_pipeline", "pipeline_id", unknown)
    srv.wait_event("stream_error", error="invalid_pipeline")


@pytest.mark.parametrize("n_chars", [1000, 3000])
@sync
async def test_a_very_long_id_is_answered_like_any_other(streamd, n_chars):
    async with streamd().connect("y" * n_chars) as ws:
        await closing_error(ws, "invalid_pipeline", "pipeline_id", "y" * 32)


@sync
async def test_plus_is_a_plus_and_not_a_space(streamd):
    srv = streamd("--pipeline", "a+b=null")
    async with srv.connect("a+b") as ws:
        assert await ask(ws, jpegs.SHORTEST) == {"frame_index": 0, "result": {}}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/ws",
        "/ws/video",
        "/ws/video/",
        f"{STREAM_PATH}/",
        f"{STREAM_PATH}s",
        f"{STREAM_PATH}/x",
        "/ws/video/strea",
        "/WS/VIDEO/STREAM",
        "/healthz",
        "/metrics",
        "/sessions",
        "/nope",
    ],
)
def test_any_other_path_gives_a_plain_status_and_no_upgrade(streamd, path):
    with open_raw(streamd(), NULL, path=path) as conn:
        assert conn.status != 101
        assert 200 <= conn.status < 500
        assert "sec-websocket-accept" not in conn.headers


@pytest.mark.parametrize("offer", ["video", "chat, superchat", "streamd", "lws-minimal,http"])
def test_subprotocol_offers_are_ignored(streamd, offer):
    with open_raw(streamd(), extra=[f"Sec-WebSocket-Protocol: {offer}"]) as ws:
        assert ws.status == 101
        assert "sec-websocket-protocol" not in ws.headers
        ws.send(jpegs.SHORTEST)
        assert raw_answer(ws) == {"frame_index": 0, "result": {}}


@pytest.mark.parametrize(
    "offer",
    ["permessage-deflate", "permessage-deflate; client_max_window_bits", "x-webkit-deflate-frame"],
)
def test_compression_is_declined(streamd, offer):
    with open_raw(streamd(), extra=[f"Sec-WebSocket-Extensions: {offer}"]) as ws:
        assert ws.status == 101
        assert "sec-websocket-extensions" not in ws.headers
        ws.send(jpegs.GRAY)
        assert raw_answer(ws) == {"frame_index": 0, "result": {}}


def test_an_origin_and_cookies_do_not_matter(streamd):
    extra = ["Origin: http://example.invalid", "Cookie: a=b", "User-Agent: Mozilla/5.0"]
    with open_raw(streamd(), extra=extra) as ws:
        ws.send(jpegs.GRAY)
        assert raw_answer(ws) == {"frame_index": 0, "result": {}}


def test_there_is_no_greeting(streamd):
    with open_raw(streamd()) as ws:
        ws.ping(b"first")
        assert ws.read_message() == (rawws.PONG, b"first")
        ws.send(jpegs.SHORTEST)
        assert raw_answer(ws)["frame_index"] == 0


# ---- fragments, reads and pings


@sync
async def test_a_frame_in_twelve_fragments_is_one_frame(streamd):
    picture = jpegs.padded(46000)
    step = math.ceil(len(picture) / 12)
    parts = [picture[i : i + step] for i in range(0, len(picture), step)]
    assert len(parts) == 12
    async with streamd().connect("inspect") as ws:
        for index in range(3):
            await ws.send(parts)
            answer = await receive(ws)
            assert answer.keys() == {"frame_index", "result"}
            assert answer["frame_index"] == index


@pytest.mark.parametrize("n_bytes", [1, 2, 7])
def test_fragments_may_be_tiny(streamd, n_bytes):
    with open_raw(streamd(), "pipeline_id=inspect") as ws:
        ws.write(b"".join(rawws.pieces(rawws.BINARY, jpegs.GRAY, n_bytes)))
        assert raw_answer(ws)["frame_index"] == 0


def test_a_ping_between_fragments_is_answered_at_once(streamd):
    with open_raw(streamd()) as ws:
        parts = rawws.pieces(rawws.BINARY, jpegs.GRAY, 100)
        for i, part in enumerate(parts[:-1]):
            ws.write(part)
            ws.ping(b"%d" % i)
            assert ws.read_message() == (rawws.PONG, b"%d" % i)
        ws.write(parts[-1])
        assert raw_answer(ws) == {"frame_index": 0, "result": {}}


def test_empty_fragments_are_part_of_the_message(streamd):
    with open_raw(streamd()) as ws:
        ws.write(rawws.frame(rawws.BINARY, b"", fin=False))
        ws.write(rawws.frame(rawws.CONTINUATION, jpegs.GRAY, fin=False))
        ws.write(rawws.frame(rawws.CONTINUATION, b"", fin=False))
        ws.write(rawws.frame(rawws.CONTINUATION, b"", fin=True))
        assert raw_answer(ws) == {"frame_index": 0, "result": {}}


def test_the_ends_may_be_split_over_fragments(streamd):
    with open_raw(streamd()) as ws:
        for cut in (1, 2, 3):
            ws.write(rawws.frame(rawws.BINARY, jpegs.SHORTEST[:cut], fin=False))
            ws.write(rawws.frame(rawws.CONTINUATION, jpegs.SHORTEST[cut:]))
            assert raw_answer(ws) == {"frame_index": cut - 1, "result": {}}


def test_head_and_frame_may_arrive_one_byte_at_a_time(streamd):
    with open_raw(streamd(), bytewise=True) as ws:
        ws.write_bytewise(rawws.frame(rawws.BINARY, jpegs.GRAY))
        assert raw_answer(ws) == {"frame_index": 0, "result": {}}


def test_a_frame_in_the_same_packet_as_the_head_is_read(streamd):
    early = rawws.frame(rawws.BINARY, jpegs.SHORTEST)
    with open_raw(streamd(), early=early) as ws:
        assert raw_answer(ws) == {"frame_index": 0, "result": {}}


def test_a_large_frame_behind_the_head_in_one_write_is_read(streamd):
    early = rawws.frame(rawws.BINARY, jpegs.padded(50000))
    with open_raw(streamd(), "pipeline_id=inspect", early=early) as ws:
        assert raw_answer(ws)["frame_index"] == 0


def test_many_frames_in_one_write_are_all_answered(streamd):
    with open_raw(streamd()) as ws:
        ws.write(rawws.frame(rawws.BINARY, jpegs.GRAY) * 200)
        indices = []
        while len(indices) < 200:
            answer = raw_answer(ws)
            indices += [answer["frame_index"]] if "warning" not in answer else []
        assert sorted(indices) == list(range(200))


def test_a_frame_cut_at_any_byte_of_the_wire_is_read(streamd):
    with open_raw(streamd()) as ws:
        for index, cut in enumerate(range(1, 10)):
            wire = rawws.frame(rawws.BINARY, jpegs.SHORTEST)
            ws.write(wire[:cut])
            ws.write(wire[cut:])
            assert raw_answer(ws) == {"frame_index": index, "result": {}}


@pytest.mark.parametrize("key", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x02\x04\x08"])
def test_any_masking_key_works(streamd, key):
    with open_raw(streamd(), "pipeline_id=motion") as ws:
        ws.write(rawws.frame(rawws.BINARY, jpegs.padded(70001), key=key))
        assert raw_answer(ws)["frame_index"] == 0


@pytest.mark.parametrize("n_bytes", [0, 1, 125])
def test_client_pings_are_answered_with_their_payload(streamd, n_bytes):
    payload = bytes(range(n_bytes))
    with open_raw(streamd()) as ws:
        ws.ping(payload)
        assert ws.read_message() == (rawws.PONG, payload)


def test_a_storm_of_pings_hides_no_answer(streamd):
    with open_raw(streamd()) as ws:
        for i in range(3000):
            ws.ping(b"%d" % i)
        ws.send(jpegs.SHORTEST)
        message = ws.read_message()
        while message[0] == rawws.PONG:
            message = ws.read_message()
        assert message == (rawws.TEXT, b'{"frame_index":0,"result":{}}')


def test_an_unasked_pong_is_ignored(streamd):
    with open_raw(streamd()) as ws:
        ws.write(rawws.frame(rawws.PONG, b"unasked"))
        ws.send(jpegs.SHORTEST)
        assert raw_answer(ws) == {"frame_index": 0, "result": {}}


@pytest.mark.parametrize(
    "name, wire",
    [
        ("reserved bit", rawws.frame(rawws.BINARY, jpegs.GRAY, rsv=4)),
        ("reserved opcode", rawws.frame(3, jpegs.GRAY)),
        ("reserved control opcode", rawws.frame(11, b"")),
        ("continuation of nothing", rawws.frame(rawws.CONTINUATION, jpegs.GRAY)),
        ("fragmented ping", rawws.frame(rawws.PING, b"x", fin=False)),
        ("too long ping", rawws.frame(rawws.PING, b"x" * 126)),
        (
            "new message inside a message",
            rawws.frame(rawws.BINARY, b"\xff\xd8", fin=False) + rawws.frame(rawws.BINARY, jpegs.GRAY),
        ),
        ("length with the top bit", b"\x82\xff" + b"\xff" * 8 + b"abcd"),
    ],
)
@sync
async def test_a_broken_websocket_frame_ends_that_session_only(streamd, name, wire):
    srv = streamd()
    async with srv.connect("null") as other:
        with open_raw(srv) as ws:
            ws.write(wire)
            texts, code, _, _ = ws.read_to_end()
            assert not any("result" in t for t in texts), name
            assert code in (None, 1002, 1009), code
        srv.wait_event("stream_disconnect")
        assert await ask(other, jpegs.GRAY) == {"frame_index": 0, "result": {}}


def test_an_unmasked_frame_harms_nobody(streamd):
    """A server may refuse it (RFC 6455 5.1 says it must); it may not take it for another."""
    srv = streamd()
    with open_raw(srv) as ws:
        ws.write(rawws.frame(rawws.BINARY, jpegs.GRAY, masked=False))
        opcode, payload = ws.read_message()
        refused = opcode == rawws.CLOSE and rawws.close_parts(payload)[0] == 1002
        assert refused or check_message(payload.decode()) == {"frame_index": 0, "result": {}}
    with open_raw(srv) as ws:
        ws.send(jpegs.GRAY)
        assert raw_answer(ws) == {"frame_index": 0, "result": {}}


# ---- messages


@sync
async def test_results_have_exactly_two_keys_and_indices_count_up(streamd):
    async with streamd().connect("null") as ws:
        for index in range(50):
            assert await ask(ws, jpegs.GRAY) == {"frame_index": index, "result": {}}


@sync
async def test_every_session_counts_its_own_frames(streamd):
    srv = streamd()
    async with srv.connect("null") as one, srv.connect("null") as two:
        for index in range(3):
            assert (await ask(one, jpegs.GRAY))["frame_index"] == index
        assert (await ask(two, jpegs.GRAY))["frame_index"] == 0


@pytest.mark.parametrize("pipeline", ["null", "delay", "spin", "inspect", "motion"])
@sync
async def test_every_kind_is_there_under_its_own_name(streamd, pipeline):
    async with streamd().connect(pipeline) as ws:
        answer = await ask(ws, jpegs.COLOR)
        assert answer.keys() == {"frame_index", "result"}
        assert isinstance(answer["result"], dict)


@sync
async def test_the_shortest_frame_is_valid_to_the_protocol(streamd):
    async with streamd().connect("null") as ws:
        assert await ask(ws, jpegs.SHORTEST) == {"frame_index": 0, "result": {}}


def assert_detection(box, width, height):
    assert {"x", "y", "w", "h", "label", "score"} <= box.keys()
    assert isinstance(box["label"], str) and box["label"]
    assert 0 <= box["score"] <= 1
    assert box["w"] > 0 and box["h"] > 0
    assert 0 <= box["x"] and box["x"] + box["w"] <= width
    assert 0 <= box["y"] and box["y"] + box["h"] <= height


def overlaps(box, left, top, right, bottom):
    across = min(box["x"] + box["w"], right) - max(box["x"], left)
    down = min(box["y"] + box["h"], bottom) - max(box["y"], top)
    return across > 0 and down > 0


@sync
async def test_motion_finds_what_changed_in_pixels_of_the_frame(streamd):
    async with streamd().connect("motion") as ws:
        for _ in range(20):
            still = (await ask(ws, jpegs.EMPTY_SCENE))["result"]
        assert still["detections"] == []
        assert still["motion"] == 0
        moved = (await ask(ws, jpegs.BOX_SCENE))["result"]
        assert moved["detections"] and 0 < moved["motion"] <= 1
        for box in moved["detections"]:
            assert_detection(box, 160, 120)
            assert box["label"] == "motion"
        assert any(overlaps(b, 48, 32, 112, 88) for b in moved["detections"])


@sync
async def test_motion_keeps_two_sessions_apart(streamd):
    srv = streamd()
    async with srv.connect("motion") as one, srv.connect("motion") as two:
        for _ in range(10):
            a = await ask(one, jpegs.EMPTY_SCENE)
            b = await ask(two, jpegs.BOX_SCENE)
        assert a["result"]["detections"] == b["result"]["detections"] == []


@sync
async def test_motion_survives_a_size_that_changes(streamd):
    async with streamd().connect("motion") as ws:
        for index, picture in enumerate([jpegs.GRAY, jpegs.BOX_SCENE, jpegs.COLOR] * 3):
            assert (await ask(ws, picture))["frame_index"] == index


@pytest.mark.parametrize("picture", [jpegs.GRAY, jpegs.COLOR, jpegs.PROGRESSIVE])
@sync
async def test_motion_decodes_every_sort_of_jpeg(streamd, picture):
    async with streamd().connect("motion") as ws:
        assert "detections" in (await ask(ws, picture))["result"]


# ---- drops


async def two_drops(ws, srv):
    """Frame 0 in work, 1 replaced by 2, 2 replaced by 3; gives the four answers."""
    await occupy(srv, ws, jpegs.GRAY)
    for _ in range(3):
        await ws.send(jpegs.GRAY)
    return await receive_answers(ws, 4)


def slow(hold_ms=300):
    return ["--workers", "1", "--pipeline", f"slow=delay:ms={ms(hold_ms)}"]


@sync
async def test_the_newest_frame_waits_and_drops_overtake_results(streamd):
    srv = streamd(*slow())
    async with srv.connect("slow") as ws:
        first, second, third, fourth = await two_drops(ws, srv)
        assert first == {"frame_index": 1, "dropped": True}
        assert second == {"frame_index": 2, "dropped": True}
        assert first["dropped"] is True
        assert third.keys() == fourth.keys() == {"frame_index", "result"}
        assert (third["frame_index"], fourth["frame_index"]) == (0, 3)


@sync
async def test_a_session_is_idle_again_after_its_answers(streamd):
    srv = streamd(*slow(50))
    async with srv.connect("slow") as ws:
        await two_drops(ws, srv)
        for index in range(4, 8):
            answer = await ask(ws, jpegs.GRAY)
            while "warning" in answer:
                answer = await receive(ws)
            assert answer.keys() == {"frame_index", "result"}
            assert answer["frame_index"] == index


@sync
async def test_each_index_is_answered_exactly_once_in_a_flood(streamd):
    srv = streamd("--workers", "1", "--pipeline", "slow=delay:ms=3,jitter_ms=3")
    async with srv.connect("slow") as ws:
        for _ in range(300):
            await ws.send(jpegs.GRAY)
        answers = [m for m in await receive_answers(ws, 300) if "frame_index" in m]
        assert sorted(m["frame_index"] for m in answers) == list(range(300))
        results = [m["frame_index"] for m in answers if "result" in m]
        assert results == sorted(results), "results of one session keep their order"
        assert results[-1] == 299, "the newest frame is never the one that is dropped"
    end = srv.wait_event("stream_disconnect")
    assert (end["received"], end["answered"]) == (300, len(results))
    assert (end["dropped"], end["failed"], end["rejected"]) == (300 - len(results), 0, 0)


# ---- slow_down


async def flood(ws, n=100):
    for _ in range(n):
        await ws.send(jpegs.GRAY)
    return await receive_answers(ws, n)


def count_warnings(messages):
    """How many slow_down; each must be exact and directly behind a result or a drop."""
    for before, message in zip([None, *messages], messages):
        if "warning" in message:
            assert message == {"warning": "slow_down"}
            assert before is not None and "frame_index" in before
    return sum("warning" in m for m in messages)


async def calm(srv, ws):
    """One frame at a time until the session's state is normal again."""
    messages = []
    while srv.sessions()[0]["state"] != "normal":
        for _ in range(10):
            await ws.send(jpegs.GRAY)
            messages += await receive_answers(ws, 1)
    return messages


@sync
async def test_slow_down_comes_once_a_session_and_only_behind_an_answer(streamd):
    srv = streamd("--workers", "1", "--pipeline", "slow=delay:ms=10")
    async with srv.connect("slow") as ws:
        messages = await flood(ws)
        messages += await calm(srv, ws)
        messages += await flood(ws)
        await ws.send(jpegs.GRAY)
        messages += await receive_answers(ws, 1)
        assert count_warnings(messages) == 1
    srv.wait_event("stream_disconnect")
    (event,) = srv.events("stream_slow_down")
    assert 0.30 < event["drop_rate"] <= 1
    assert srv.metrics().value("streamd_slow_downs_total") == 1
    states = srv.events("stream_state")
    assert states[0]["from"] == "normal"
    assert all(a["to"] == b["from"] for a, b in zip(states, states[1:]))
    assert [e["to"] for e in states].count("critical") >= 2


@sync
async def test_each_session_is_told_to_slow_down_for_itself(streamd):
    srv = streamd("--workers", "2", "--pipeline", "slow=delay:ms=10")
    for n in (1, 2):
        async with srv.connect("slow") as ws:
            messages = await flood(ws)
            await ws.send(jpegs.GRAY)
            messages += await receive_answers(ws, 1)
            assert count_warnings(messages) == 1
        srv.wait_event("stream_disconnect", n=n)
    assert len(srv.events("stream_slow_down")) == 2


@sync
async def test_few_drops_signal_nothing(streamd):
    srv = streamd(*slow(100))
    async with srv.connect("slow") as ws:
        assert count_warnings(await two_drops(ws, srv)) == 0
    srv.wait_event("stream_disconnect")
    assert not srv.events("stream_slow_down")


# ---- timing=1 and header=1


def assert_timing(timing):
    assert timing.keys() == TIMING_KEYS
    assert all(is_int(v) and v >= 0 for v in timing.values()), timing
    assert timing["decode_us"] + timing["inference_us"] == timing["pipeline_us"]


def header(frame_id, jpeg, timestamp=1700000000.25, length=None):
    return struct.pack("!IdI", frame_id, timestamp, len(jpeg) if length is None else length)


def headed(frame_id, jpeg, **kw):
    return header(frame_id, jpeg, **kw) + jpeg


@sync
async def test_timing_tells_its_times_in_whole_microseconds(streamd):
    srv = streamd("--pipeline", "slow=delay:ms=20")
    async with srv.connect("slow", timing=1) as ws:
        answer = await ask(ws, jpegs.GRAY)
        assert answer.keys() == {"frame_index", "result", "timing"}
        timing = answer["timing"]
        assert_timing(timing)
        assert timing["pipeline_us"] >= 20000
        assert timing["decode_us"] == 0
        assert timing["wait_us"] + timing["pipeline_us"] <= timing["server_us"]


@sync
async def test_decoding_is_told_apart_from_the_rest_of_the_pipeline(streamd):
    """Parts of a whole that want the same picture decode it once, so the sum is what one needs."""
    srv = streamd("--pipeline", "both=motion+inspect")
    for pipeline in ("motion", "both"):
        async with srv.connect(pipeline, timing=1) as ws:
            for _ in range(3):
                timing = (await ask(ws, jpegs.COLOR))["timing"]
                assert_timing(timing)
                assert timing["decode_us"] > 0


@sync
async def test_timing_gives_drops_a_reason(streamd):
    srv = streamd(*slow())
    async with srv.connect("slow", timing=1) as ws:
        drop, _, _, _ = await two_drops(ws, srv)
        assert drop.keys() == {"frame_index", "dropped", "timing", "reason"}
        assert drop["reason"] == "replaced" and drop["dropped"] is True
        assert_timing(drop["timing"])


@sync
async def test_waiting_is_told_apart_from_the_pipeline(streamd):
    srv = streamd(*slow())
    async with srv.connect("slow", timing=1) as ws:
        _, _, first, last = await two_drops(ws, srv)
        for answer in (first, last):
            assert answer.keys() == {"frame_index", "result", "timing"}
            timing = answer["timing"]
            assert_timing(timing)
            assert timing["wait_us"] + timing["pipeline_us"] <= timing["server_us"]
        assert last["timing"]["wait_us"] > first["timing"]["wait_us"]


@pytest.mark.parametrize("query", ["timing=0", "timing=", "timing", "timing=1&timing=0"])
def test_without_timing_1_there_is_none(streamd, query):
    with open_raw(streamd(), f"{NULL}&{query}") as ws:
        ws.send(jpegs.GRAY)
        assert raw_answer(ws) == {"frame_index": 0, "result": {}}


@pytest.mark.parametrize("query", ["timing=0&timing=1", "timing=%31"])
def test_the_last_timing_counts_and_is_decoded(streamd, query):
    with open_raw(streamd(), f"{query}&{NULL}") as ws:
        ws.send(jpegs.GRAY)
        assert raw_answer(ws).keys() == {"frame_index", "result", "timing"}


@sync
async def test_header_echoes_the_frame_id_and_nothing_else(streamd):
    async with streamd().connect("null", header=1) as ws:
        for index, frame_id in enumerate([0, 7, 7, 2**31, 2**32 - 1, 1]):
            answer = await ask(ws, headed(frame_id, jpegs.GRAY))
            assert answer == {"frame_index": index, "result": {}, "frame_id": frame_id}
            assert is_int(answer["frame_id"])


@sync
async def test_header_gives_drops_their_frame_id_but_no_reason(streamd):
    srv = streamd(*slow())
    async with srv.connect("slow", header=1) as ws:
        await occupy(srv, ws, headed(100, jpegs.GRAY))
        for frame_id in (101, 102, 103):
            await ws.send(headed(frame_id, jpegs.GRAY))
        answers = await receive_answers(ws, 4)
        assert answers[0] == {"frame_index": 1, "dropped": True, "frame_id": 101}
        assert answers[1] == {"frame_index": 2, "dropped": True, "frame_id": 102}
        assert [(m["frame_index"], m["frame_id"]) for m in answers[2:]] == [(0, 100), (3, 103)]


@sync
async def test_timing_and_header_go_together(streamd):
    srv = streamd(*slow())
    async with srv.connect("slow", header=1, timing=1) as ws:
        await occupy(srv, ws, headed(5, jpegs.GRAY))
        for frame_id in (6, 7):
            await ws.send(headed(frame_id, jpegs.GRAY))
        drop, result, last = await receive_answers(ws, 3)
        assert drop.keys() == {"frame_index", "dropped", "timing", "reason", "frame_id"}
        assert result.keys() == last.keys() == {"frame_index", "result", "timing", "frame_id"}
        assert [m["frame_id"] for m in (drop, result, last)] == [6, 5, 7]


@pytest.mark.parametrize("timestamp", [0.0, -1.0, 1e308, math.inf, -math.inf, math.nan, 5e-324])
@sync
async def test_the_timestamp_may_be_anything(streamd, timestamp):
    async with streamd().connect("null", header=1) as ws:
        answer = await ask(ws, headed(1, jpegs.GRAY, timestamp=timestamp))
        assert answer == {"frame_index": 0, "result": {}, "frame_id": 1}


@sync
async def test_the_pipeline_sees_the_jpeg_without_its_header(streamd):
    async with streamd().connect("motion", header=1) as ws:
        answer = await ask(ws, headed(1, jpegs.COLOR))
        assert answer.keys() == {"frame_index", "result", "frame_id"}


@pytest.mark.parametrize("n_bytes", [1, 3, 7, 15, 16, 17, 100])
def test_a_header_may_be_split_anywhere(streamd, n_bytes):
    with open_raw(streamd(), f"{NULL}&header=1") as ws:
        ws.write(b"".join(rawws.pieces(rawws.BINARY, headed(9, jpegs.GRAY), n_bytes)))
        assert raw_answer(ws) == {"frame_index": 0, "result": {}, "frame_id": 9}


@pytest.mark.parametrize(
    "message, word",
    [
        (headed(1, jpegs.GRAY, length=0), "length"),
        (headed(1, jpegs.GRAY, length=len(jpegs.GRAY) - 1), "length"),
        (headed(1, jpegs.GRAY, length=len(jpegs.GRAY) + 1), "length"),
        (headed(1, jpegs.GRAY, length=len(jpegs.GRAY) + 16), "length"),
        (headed(1, jpegs.GRAY, length=2**32 - 1), "length"),
        (header(1, jpegs.GRAY), "length"),
        (header(1, b""), ""),
        (b"", ""),
        (headed(1, jpegs.GRAY)[:15], "header"),
        (b"\x00", "header"),
        (jpegs.SHORTEST, "header"),
        (jpegs.GRAY, ""),
        (headed(1, jpegs.GRAY[2:]), "SOI"),
        (headed(1, jpegs.GRAY[:-2]), "EOI"),
    ],
)
@sync
async def test_a_bad_header_is_an_invalid_frame(streamd, message, word):
    async with streamd().connect("null", header=1) as ws:
        await ws.send(message)
        await closing_error(ws, "invalid_frame", word)


@sync
async def test_without_header_1_sixteen_bytes_in_front_are_no_soi(streamd):
    async with streamd().connect("null") as ws:
        await ws.send(headed(1, jpegs.GRAY))
        await closing_error(ws, "invalid_frame", "SOI")


# ---- errors

LIMIT_MB = 0.0625
LIMIT = 65536
LIMITED = ["--max-frame-size-mb", LIMIT_MB]


@pytest.mark.parametrize("text", ["hello", "", "{}", '{"type":"x","payload":1}', "é\U0001f600" * 50])
@sync
async def test_any_text_is_an_invalid_message(streamd, text):
    async with streamd().connect("null") as ws:
        await ws.send(text)
        await closing_error(ws, "invalid_message", "binary")


@pytest.mark.parametrize(
    "name, payload, words",
    [
        ("empty", b"", ["empty"]),
        ("one byte", b"\xff", ["SOI"]),
        ("wrong start", b"\x00" + jpegs.GRAY[1:], ["SOI"]),
        ("second byte wrong", b"\xff\x00" + jpegs.GRAY[2:], ["SOI"]),
        ("no end", jpegs.GRAY[:-2], ["EOI"]),
        ("half an end", jpegs.GRAY[:-1], ["EOI"]),
        ("padding behind the end", jpegs.GRAY + b"\x00", ["EOI"]),
        ("only a start", b"\xff\xd8", ["EOI"]),
        ("three bytes", b"\xff\xd8\xff", ["EOI"]),
        ("three bytes that end in D9", b"\xff\xd8\xd9", ["EOI"]),
        ("only an end", b"\xff\xd9", ["SOI"]),
        ("neither", b"PNG picture", ["SOI"]),
    ],
)
@sync
async def test_an_invalid_frame_names_what_is_wrong(streamd, name, payload, words):
    srv = streamd()
    async with srv.connect("null") as ws:
        await ws.send(payload)
        detail = await closing_error(ws, "invalid_frame", *words)
        other = {"SOI": "EOI", "EOI": "SOI"}.get(words[0])
        assert other is None or other not in detail, name
    end = srv.wait_event("stream_disconnect")
    assert (end["received"], end["rejected"]) == (0, 1)


@pytest.mark.parametrize(
    "name, payload, code, word",
    [
        ("too large comes before SOI", b"\x00" * (LIMIT + 1), "frame_too_large", "too large"),
        ("SOI comes before EOI", b"\x00" * LIMIT, "invalid_frame", "SOI"),
        ("text comes before size", "x" * (LIMIT + 1), "invalid_message", "binary"),
        ("text comes before empty", "", "invalid_message", "binary"),
    ],
)
@sync
async def test_checks_run_in_their_order(streamd, name, payload, code, word):
    async with streamd(*LIMITED).connect("null") as ws:
        await ws.send(payload)
        await closing_error(ws, code, word)


@sync
async def test_the_pipeline_is_checked_before_any_message(streamd):
    with open_raw(streamd(), "pipeline_id=x", early=rawws.frame(rawws.TEXT, b"hi")) as ws:
        texts, code, _, _ = ws.read_to_end()
        assert len(texts) == 1 and code == 1000
        assert_error(check_message(texts[0]), "invalid_pipeline", "pipeline_id")


@sync
async def test_a_frame_of_exactly_the_limit_is_accepted(streamd):
    async with streamd(*LIMITED).connect("inspect") as ws:
        for index in range(3):
            answer = await ask(ws, jpegs.padded(LIMIT))
            assert answer["frame_index"] == index and "result" in answer


@sync
async def test_one_byte_more_is_too_large(streamd):
    async with streamd(*LIMITED).connect("null") as ws:
        assert "result" in await ask(ws, jpegs.GRAY)
        await send_at_least_a_part(ws, jpegs.padded(LIMIT + 1))
        await closing_error(ws, "frame_too_large", "too large", str(LIMIT), str(LIMIT + 1))


@sync
async def test_the_default_limit_is_5_mib(streamd):
    srv = streamd()
    async with srv.connect("null") as ws:
        assert "result" in await ask(ws, jpegs.padded(5 << 20))
        await send_at_least_a_part(ws, jpegs.padded((5 << 20) + 1))
        await closing_error(ws, "frame_too_large", "too large", "5242880", "5242881")


@pytest.mark.parametrize("n_bytes", [100, 4096, LIMIT])
def test_the_limit_holds_for_the_sum_of_the_fragments(streamd, n_bytes):
    srv = streamd(*LIMITED)
    with open_raw(srv) as ws:
        ws.write(b"".join(rawws.pieces(rawws.BINARY, jpegs.padded(LIMIT), n_bytes)))
        assert raw_answer(ws) == {"frame_index": 0, "result": {}}
        ws.write(b"".join(rawws.pieces(rawws.BINARY, jpegs.padded(LIMIT + 1), n_bytes)))
        texts, code, reason, reset = ws.read_to_end()
        assert len(texts) == 1
        assert_error(check_message(texts[0]), "frame_too_large", "too large", str(LIMIT))
        assert (code, reason, reset) == (1000, "", False)


@sync
async def test_with_a_header_the_limit_is_still_a_limit(streamd):
    srv = streamd(*LIMITED)
    async with srv.connect("null", header=1) as ws:
        assert "result" in await ask(ws, headed(1, jpegs.padded(LIMIT - 16)))
        await send_at_least_a_part(ws, headed(2, jpegs.padded(LIMIT + 1)))
        await closing_error(ws, "frame_too_large", "too large", str(LIMIT))


@pytest.mark.parametrize("pipeline", ["motion", "inspect"])
@pytest.mark.parametrize("payload", [jpegs.SHORTEST, jpegs.corrupt()])
@sync
async def test_a_corrupt_jpeg_is_a_pipeline_failure_and_tells_nothing_internal(
    streamd, pipeline, payload
):
    srv = streamd()
    async with srv.connect(pipeline) as ws:
        await ws.send(payload)
        assert_nothing_internal(await closing_error(ws, "pipeline_failure", "fail"))
    assert srv.wait_event("stream_pipeline_error")["frame_index"] == 0
    end = srv.wait_event("stream_disconnect")
    assert (end["received"], end["answered"], end["failed"]) == (1, 0, 1)


@pytest.mark.parametrize("options, size, words", [
    (("--max-pixels", "100"), None, "more pixels than this server decodes"),
    ((), (65000, 65000), "more pixels than this server decodes"),
    ((), (8000, 8000), "more pixels than its bytes can hold"),
])
@pytest.mark.parametrize("workers", [0, 1])
@sync
async def test_too_many_pixels_are_a_pipeline_failure_that_says_so(
    streamd, options, size, words, workers
):
    jpeg = bytearray(jpegs.COLOR)
    if size:
        at = jpeg.index(b"\xff\xc0") + 5
        jpeg[at:at + 4] = struct.pack("!HH", *size)
    srv = streamd("--workers", str(workers), *options)
    async with srv.connect("motion") as ws:
        await ws.send(bytes(jpeg))
        assert_nothing_internal(await closing_error(ws, "pipeline_failure", words))
    async with srv.connect("inspect") as ws:  # does not decode
        assert "result" in await ask(ws, bytes(jpeg))


@sync
async def test_a_picture_cut_short_never_crashes_motion(streamd):
    srv = streamd()
    for cut in range(4, len(jpegs.COLOR), 23):
        async with srv.connect("motion") as ws:
            message = await ask(ws, jpegs.COLOR[:cut] + b"\xff\xd9")
            assert "result" in message or message["error"] == "pipeline_failure"
    async with srv.connect("motion") as ws:
        assert "result" in await ask(ws, jpegs.COLOR)


@sync
async def test_a_picture_with_flipped_bytes_never_crashes_motion(streamd):
    srv = streamd()
    dice = random.Random(7)
    for _ in range(60):
        broken = bytearray(jpegs.COLOR)
        for _ in range(8):
            broken[dice.randrange(2, len(broken) - 2)] = dice.randrange(256)
        async with srv.connect("motion") as ws:
            message = await ask(ws, bytes(broken))
            assert "result" in message or message["error"] == "pipeline_failure"


@sync
async def test_no_detail_tells_anything_internal(streamd):
    srv = streamd(*LIMITED)
    for payload in ("text", b"", b"x", b"\xff\xd8", b"x" * (LIMIT + 1)):
        async with srv.connect("null") as ws:
            assert_nothing_internal((await ask(ws, payload))["detail"])


# ---- after an error


def test_nothing_behind_an_error_is_answered(streamd):
    srv = streamd()
    with open_raw(srv) as ws:
        good = rawws.frame(rawws.BINARY, jpegs.GRAY)
        ws.write(rawws.frame(rawws.TEXT, b"x") + good * 5 + rawws.frame(rawws.TEXT, b"y"))
        texts, code, reason, reset = ws.read_to_end()
        assert len(texts) == 1
        assert_error(check_message(texts[0]), "invalid_message")
        assert (code, reason, reset) == (1000, "", False)
    end = srv.wait_event("stream_disconnect")
    assert end["received"] == 0


@sync
async def test_work_in_progress_is_not_answered_behind_an_error(streamd):
    srv = streamd(*slow())
    async with srv.connect("slow") as ws:
        await occupy(srv, ws, jpegs.GRAY)
        await ws.send(jpegs.GRAY)
        await ws.send("text")
        await closing_error(ws, "invalid_message", "binary")
    end = srv.wait_event("stream_disconnect")
    assert end["received"] == 2


def test_a_result_that_comes_late_is_not_sent_behind_the_close(streamd):
    srv = streamd(*slow())
    with open_raw(srv, "pipeline_id=slow") as ws:
        ws.send(jpegs.GRAY)
        srv.wait_in_work()
        ws.send_text("text")
        texts, code, _, _ = ws.read_to_end(echo_close=False)
        assert [check_message(t)["error"] for t in texts] == ["invalid_message"] and code == 1000
    end = srv.wait_event("stream_disconnect")
    assert (end["received"], end["answered"], end["dropped"]) == (1, 0, 1)


BAD_STARTS = [
    ("invalid_message", rawws.frame(rawws.TEXT, b"x")),
    ("invalid_frame", rawws.frame(rawws.BINARY, b"")),
    ("frame_too_large", rawws.frame(rawws.BINARY, b"\xff\xd8" + b"\0" * LIMIT)),
]


@pytest.mark.parametrize("code, wire", BAD_STARTS)
def test_the_error_survives_while_the_client_keeps_sending_megabytes(streamd, code, wire):
    with open_raw(streamd(*LIMITED)) as ws:
        ws.write(wire)
        good = rawws.frame(rawws.BINARY, jpegs.padded(LIMIT))
        for _ in range(128):  # 8 MB, and only then does it read
            ws.write(good)
        texts, close_code, reason, reset = ws.read_to_end()
        assert [check_message(t)["error"] for t in texts] == [code]
        assert (close_code, reason, reset) == (1000, "", False)


def test_the_error_survives_for_a_wrong_pipeline_too(streamd):
    with open_raw(streamd(), "pipeline_id=nope") as ws:
        good = rawws.frame(rawws.BINARY, jpegs.padded(LIMIT))
        for _ in range(128):
            ws.write(good)
        texts, close_code, reason, reset = ws.read_to_end()
        assert [check_message(t)["error"] for t in texts] == ["invalid_pipeline"]
        assert (close_code, reason, reset) == (1000, "", False)


def test_one_message_far_too_large_is_drained_to_its_end(streamd):
    with open_raw(streamd("--max-frame-size-mb", "1")) as ws:
        ws.write(rawws.frame(rawws.BINARY, jpegs.padded(12 << 20)))
        texts, close_code, reason, reset = ws.read_to_end()
        assert len(texts) == 1
        assert_error(check_message(texts[0]), "frame_too_large", str(1 << 20), str(12 << 20))
        assert (close_code, reason, reset) == (1000, "", False)


@pytest.mark.parametrize("n_bytes", [65536, 1 << 20])
def test_fragments_without_end_are_drained_behind_the_error(streamd, n_bytes):
    with open_raw(streamd(*LIMITED)) as ws:
        chunk = b"\0" * n_bytes
        ws.write(rawws.frame(rawws.BINARY, b"\xff\xd8" + chunk, fin=False))
        for _ in range((8 << 20) // n_bytes):
            ws.write(rawws.frame(rawws.CONTINUATION, chunk, fin=False))
        texts, close_code, reason, reset = ws.read_to_end()
        assert [check_message(t)["error"] for t in texts] == ["frame_too_large"]
        assert (close_code, reason, reset) == (1000, "", False)


def test_a_client_that_never_answers_the_close_is_let_go(streamd):
    srv = streamd()
    with open_raw(srv) as ws:
        ws.send_text("x")
        texts, code, _, _ = ws.read_to_end(echo_close=False)
        assert len(texts) == 1 and code == 1000
    srv.wait_event("stream_disconnect")


# ---- close codes


CAPPED = ["--max-frame-size-mb", "0.5", "--max-message-mb", "1"]


@pytest.mark.parametrize("n_bytes", [(1 << 20) + 1, 4 << 20])
def test_above_the_hard_cap_the_close_is_1009(streamd, n_bytes):
    srv = streamd(*CAPPED)
    with open_raw(srv) as ws:
        ws.write(rawws.frame(rawws.BINARY, jpegs.padded(n_bytes)))
        texts, code, _, reset = ws.read_to_end()
        assert (texts, code, reset) == ([], 1009, False)
    srv.wait_event("stream_disconnect", close_code=1009)


@sync
async def test_between_limit_and_hard_cap_it_is_an_error_message(streamd):
    async with streamd(*CAPPED).connect("null") as ws:
        await send_at_least_a_part(ws, jpegs.padded(1 << 20))
        await closing_error(ws, "frame_too_large", "too large", "524288", "1048576")


@sync
async def test_the_default_hard_cap_is_16_mib(streamd):
    srv = streamd()
    async with srv.connect("null") as ws:
        await send_at_least_a_part(ws, jpegs.padded(16 << 20))
        await closing_error(ws, "frame_too_large", "too large", str(5 << 20), str(16 << 20))
    async with srv.connect("null") as ws:
        await send_at_least_a_part(ws, jpegs.padded((16 << 20) + 1))
        messages, code, _ = await receive_to_end(ws)
        assert (messages, code) == ([], 1009)


@sync
async def test_a_full_server_says_internal_error_then_1013(streamd):
    srv = streamd("--max-sessions", "2")
    async with srv.connect("null") as one, srv.connect("null") as two:
        async with srv.connect("null") as three:
            messages, code, _ = await receive_to_end(three)
            assert len(messages) == 1
            assert_error(messages[0], "internal_error")
            assert_nothing_internal(messages[0]["detail"])
            assert code == 1013
        for ws in (one, two):
            assert "result" in await ask(ws, jpegs.GRAY)
    until(lambda: srv.metrics().value("streamd_sessions_active") == 0, "both are gone")
    async with srv.connect("null") as ws:
        assert "result" in await ask(ws, jpegs.GRAY)


@sync
async def test_without_a_limit_many_sessions_are_accepted(streamd):
    srv = streamd()
    sockets = [await srv.connect("null") for _ in range(30)]
    for ws in sockets:
        assert "result" in await ask(ws, jpegs.GRAY)
    for ws in sockets:
        await ws.close()


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
@sync
async def test_a_client_that_closes_gets_its_close_back(streamd, code):
    srv = streamd()
    async with srv.connect("null") as ws:
        assert "result" in await ask(ws, jpegs.GRAY)
        await ws.close(code, "bye")
        assert ws.close_code == code
    srv.wait_event("stream_disconnect")


def test_a_close_without_a_code_is_fine(streamd):
    srv = streamd()
    with open_raw(srv) as ws:
        ws.write(rawws.frame(rawws.CLOSE))
        texts, code, _, reset = ws.read_to_end(echo_close=False)
        assert texts == [] and code in (1000, 1005) and not reset
    srv.wait_event("stream_disconnect")


@sync
async def test_an_idle_connection_is_closed_after_the_idle_timeout(streamd):
    srv = streamd("--idle-timeout", "1s")
    async with srv.connect("null") as ws:
        messages, code, _ = await receive_to_end(ws)
        assert messages == [] and code != 1006
    assert srv.wait_event("stream_disconnect")["received"] == 0


@sync
async def test_a_connection_that_sends_frames_is_not_idle(streamd):
    timeout_ms = ms(1000)
    srv = streamd("--idle-timeout", f"{timeout_ms}ms", "--pipeline", f"slow=delay:ms={ms(100)}")
    async with srv.connect("slow") as ws:
        for index in range(25):
            assert (await ask(ws, jpegs.GRAY))["frame_index"] == index


@sync
async def test_a_connection_that_waits_for_its_answer_is_not_idle(streamd):
    """Each index is answered exactly once, however long the pipeline takes."""
    timeout_ms = ms(300)
    srv = streamd("--idle-timeout", f"{timeout_ms}ms", "--pipeline", f"slow=delay:ms={ms(1500)}")
    async with srv.connect("slow") as ws:
        answer = await ask(ws, jpegs.GRAY)
        assert (answer["frame_index"], "result" in answer) == (0, True)
