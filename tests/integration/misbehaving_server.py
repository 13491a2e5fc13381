"""A server that speaks the protocol, but not as it should.

    misbehaving_server.py MODE [CONNECTIONS]

Listens on a free port of 127.0.0.1 and tells on standard output, as JSON lines, which
one, and then every connection and every frame it gets. It misbehaves in the first
CONNECTIONS connections (all, without the argument) and answers well in later ones.
tls:FOLDER answers well, over TLS, with cert.pem and key.pem in that folder.
"""

import asyncio
import http
import json
import pathlib
import socket
import ssl
import struct
import sys
import zlib
from urllib.parse import parse_qs, urlsplit

import websockets

HEADER = struct.Struct("!IdI")


def tell(**fields):
    print(json.dumps(fields), flush=True)


class Session:
    """One connection: what it got, and how to answer."""

    def __init__(self, ws):
        self.ws = ws
        self.n_frames = 0

    async def frame(self):
        """The index of the next frame."""
        message = await self.ws.recv()
        frame_id, timestamp, length = HEADER.unpack(message[: HEADER.size])
        jpeg = message[HEADER.size :]
        good = len(jpeg) == length and jpeg[:2] == b"\xff\xd8" and jpeg[-2:] == b"\xff\xd9"
        tell(event="frame", frame_id=frame_id, timestamp=timestamp, good=good,
             crc=zlib.crc32(jpeg))  # fmt: skip
        self.n_frames += 1
        return frame_id

    async def say(self, **fields):
        await self.ws.send(json.dumps(fields))

    async def answer(self, index, timing=True):
        fields = {"frame_index": index, "result": {"detections": []}}
        if timing:
            fields["frame_id"] = index
            fields["timing"] = {"wait_us": 1, "pipeline_us": 2, "server_us": 4}
        await self.say(**fields)

    async def answer_some(self, n):
        for _ in range(n):
            await self.answer(await self.frame())

    async def answer_all(self):
        while True:
            await self.answer_some(1)


async def good(s, _):
    await s.answer_all()


async def plain(s, _):
    while True:
        await s.answer(await s.frame(), timing=False)


async def never(s, _):
    while True:
        await s.frame()


async def skip_one(s, arg):
    """Does not answer the frame of that index."""
    while True:
        index = await s.frame()
        if index != int(arg):
            await s.answer(index)


async def late(s, arg):
    while True:
        index = await s.frame()
        await asyncio.sleep(int(arg) / 1000)
        await s.answer(index)


async def reorder(s, _):
    while True:
        first, second = await s.frame(), await s.frame()
        await s.answer(second)
        await s.answer(first)


async def drop(s, arg):
    """Every second frame, with the reason or without."""
    while True:
        await s.answer(await s.frame())
        fields = {"frame_index": await s.frame(), "dropped": True}
        if arg:
            fields["reason"] = arg
        await s.say(**fields)


async def drop_all(s, arg):
    while True:
        await s.say(frame_index=await s.frame(), dropped=True, reason=arg)


async def slow_down(s, arg):
    await s.answer_some(int(arg))
    await s.say(warning="slow_down")
    await s.answer_all()


async def error(s, arg):
    """An error after some answers, then close 1000."""
    await s.answer_some(int(arg))
    await s.frame()
    await s.say(error="pipeline_failure", detail="the pipeline failed")
    await s.ws.close(1000, "")


async def error_then_silence(s, _):
    await s.frame()
    await s.say(error="pipeline_failure", detail="the pipeline failed")
    await never(s, None)


async def full(s, _):
    await s.say(error="internal_error", detail="too many sessions")
    await s.ws.close(1013, "full")


async def garbage(s, _):
    for text in ("this is not JSON", "[1,2]", '{"frame_index":"x","result":{}}', "", "null"):
        await s.ws.send(text)
    await s.answer_all()


async def unknown(s, _):
    await s.say(hello="world")
    await s.say(warning="something_new")
    await s.answer_all()


async def binary(s, _):
    await s.answer_some(1)
    await s.ws.send(b"\x00\x01\x02")
    await never(s, None)


async def huge(s, _):
    await s.answer_some(1)
    await s.ws.send("x" * (2 << 20))
    await never(s, None)


async def large(s, _):
    """As large as a message may be, in many fragments."""

    async def parts(index):
        yield json.dumps({"frame_index": index, "result": {"x": "?"}})[:-3]
        for _ in range(100):
            yield "y" * 10000
        yield '"}}'

    while True:
        await s.ws.send(parts(await s.frame()))


async def disconnect(s, arg):
    """Breaks the connection without a word."""
    await s.answer_some(int(arg))
    await s.frame()
    s.ws.transport.abort()


async def close(s, arg):
    await s.answer_some(3)
    await s.frame()
    await s.ws.close(int(arg), "because")


async def twice(s, _):
    while True:
        index = await s.frame()
        await s.answer(index)
        await s.answer(index)


async def made_up(s, _):
    while True:
        index = await s.frame()
        await s.answer(index + 1000)
        await s.answer(index)


async def deaf(s, _):
    """Reads nothing: what is sent fills the buffers on the way."""
    s.ws.transport.pause_reading()
    await asyncio.sleep(3600)


TEXT_FRAME = struct.Struct("!BBQ")


async def flood(s, _):
    """Closes, and goes on talking."""
    await s.answer_some(1)
    s.ws.transport.write(b"\x88\x02\x03\xe9" + TEXT_FRAME.pack(0x81, 127, 1 << 20))
    s.ws.transport.write(b" " * (1 << 20))
    await never(s, None)


async def drip(s, _):
    """One large message in small pieces, whatever the client says meanwhile."""
    await s.frame()
    s.ws.transport.write(TEXT_FRAME.pack(0x81, 127, 1_000_000))
    while True:
        s.ws.transport.write(b" " * 6000)
        await asyncio.sleep(0.02)


def refuse(status):
    async def process(_path, _headers):
        tell(event="refused")
        return http.HTTPStatus(int(status)), [], b"no\n"

    return process


def tls(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pathlib.Path(folder, "cert.pem"), pathlib.Path(folder, "key.pem"))
    return context


def listener(name):
    """A deaf server's kernel is not to hear much either."""
    sock = socket.socket()
    if name == "deaf":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    sock.bind(("127.0.0.1", 0))
    return sock


async def main(mode, connections):
    name, _, arg = mode.partition(":")
    seen = 0

    async def handle(ws, path):
        nonlocal seen
        seen += 1
        query = {k: v[-1] for k, v in parse_qs(urlsplit(path).query).items()}
        tell(event="connection", path=urlsplit(path).path, query=query)
        behave = good if name == "tls" or seen > connections else globals()[name]
        try:
            await behave(Session(ws), arg)
        except websockets.ConnectionClosed as closed:
            tell(event="closed", code=closed.code)
        except RuntimeError:  # drip: the transport is closed
            tell(event="closed", code=None)

    server = await websockets.serve(
        handle,
        sock=listener(name),
        process_request=refuse(arg) if name == "refuse" else None,
        ssl=tls(arg) if name == "tls" else None,
        compression=None,
        ping_interval=0.2,
        ping_timeout=5,
        max_size=None,
        max_queue=4,
    )
    tell(event="listening", port=server.sockets[0].getsockname()[1])
    await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1 << 30))
