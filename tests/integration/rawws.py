"""A WebSocket client (RFC 6455) over a bare socket, for what a library will not do:
odd fragments, wrong frames, half messages, head and frame in one packet, a reader
that does not read, an abrupt reset."""

import base64
import hashlib
import os
import socket
import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
PATH = "/ws/video/stream"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def mask_bytes(payload, key):
    n = len(payload)
    pad = (key * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(n, "big")


def frame(opcode, payload=b"", fin=True, masked=True, rsv=0, key=None):
    """One WebSocket frame as bytes."""
    n = len(payload)
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if masked else 0
    if n < 126:
        head = struct.pack("!BB", first, bit | n)
    elif n < 65536:
        head = struct.pack("!BBH", first, bit | 126, n)
    else:
        head = struct.pack("!BBQ", first, bit | 127, n)
    if not masked:
        return head + payload
    key = key or os.urandom(4)
    return head + key + mask_bytes(payload, key)


def pieces(opcode, payload, n_bytes):
    """A message in fragments of n_bytes each, as a list of frames."""
    chunks = [payload[i : i + n_bytes] for i in range(0, len(payload), n_bytes)]
    last = len(chunks) - 1
    return [
        frame(CONTINUATION if i else opcode, chunk, fin=i == last) for i, chunk in enumerate(chunks)
    ]


def request_head(path, extra=(), host="127.0.0.1", key=None):
    key = key or base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *extra,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), key


class Closed(Exception):
    """The connection ended, in order (reset False) or not."""

    def __init__(self, reset):
        super().__init__("reset" if reset else "end of stream")
        self.reset = reset


class RawSocket:
    """TCP with a limit on every wait."""

    def __init__(self, port, host="127.0.0.1", timeout_s=20, rcvbuf_bytes=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout_s)
        if rcvbuf_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf_bytes)
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def write(self, data):
        self.sock.sendall(data)

    def write_bytewise(self, data):
        for i in range(len(data)):
            self.sock.sendall(data[i : i + 1])

    def _fill(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            raise Closed(True) from None
        if not data:
            raise Closed(False)
        self.buffer += data

    def read(self, n_bytes):
        while len(self.buffer) < n_bytes:
            self._fill()
        data, self.buffer = self.buffer[:n_bytes], self.buffer[n_bytes:]
        return data

    def read_until(self, mark):
        while mark not in self.buffer:
            self._fill()
        end = self.buffer.index(mark) + len(mark)
        data, self.buffer = self.buffer[:end], self.buffer[end:]
        return data

    def read_all(self):
        """All until the peer closes; a reset ends it as well."""
        try:
            while True:
                self._fill()
        except Closed:
            data, self.buffer = self.buffer, b""
            return data

    def reset(self):
        """RST instead of FIN: whatever is in flight is lost."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


class RawWs(RawSocket):
    """A session: handshake made and checked on construction.

    early: bytes sent in the same packet as the request head.
    bytewise: the head goes out one byte at a time.
    """

    def __init__(self, port, query="pipeline_id=null", path=PATH, early=b"", extra=(),
                 bytewise=False, **kw):
        super().__init__(port, **kw)
        target = path if query is None else f"{path}?{query}"
        head, key = request_head(target, extra)
        try:
            (self.write_bytewise if bytewise else self.write)(head + early)
            self._read_head(key)
        except BaseException:
            self.close()
            raise

    def _read_head(self, key):
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        pairs = (line.split(":", 1) for line in lines[1:] if line)
        self.headers = {name.strip().lower(): value.strip() for name, value in pairs}
        if self.status == 101:
            digest = hashlib.sha1(key.encode() + GUID).digest()
            assert self.headers["sec-websocket-accept"] == base64.b64encode(digest).decode()

    def send(self, payload):
        self.write(frame(BINARY, payload))

    def send_text(self, text):
        self.write(frame(TEXT, text.encode()))

    def ping(self, payload=b""):
        self.write(frame(PING, payload))

    def read_frame(self):
        """(fin, opcode, payload); raises Closed."""
        first, second = self.read(2)
        assert not second & 0x80, "a server must not mask (RFC 6455 5.1)"
        assert not first & 0x70, "no extension was negotiated"
        n = second & 0x7F
        if n == 126:
            (n,) = struct.unpack("!H", self.read(2))
        elif n == 127:
            (n,) = struct.unpack("!Q", self.read(8))
        return bool(first & 0x80), first & 0x0F, self.read(n)

    def read_message(self):
        """(opcode, payload) of the next message or control frame; a ping is answered."""
        opcode, parts = None, []
        while True:
            fin, op, payload = self.read_frame()
            if op == PING:
                self.write(frame(PONG, payload))
            elif op >= CLOSE:
                return op, payload
            else:
                opcode = op if op else opcode
                parts.append(payload)
                if fin:
                    return opcode, b"".join(parts)

    def read_to_end(self, echo_close=True):
        """(text messages, close code or None, reason, reset): all until the stream ends."""
        texts, code, reason = [], None, ""
        try:
            while True:
                op, payload = self.read_message()
                if op == CLOSE:
                    code, reason = close_parts(payload)
                    if echo_close:
                        self.write(frame(CLOSE, payload))
                elif op != PONG:
                    assert op == TEXT, "a server never sends binary here"
                    texts.append(payload.decode())
        except Closed as end:
            return texts, code, reason, end.reset
        except (BrokenPipeError, ConnectionResetError):
            return texts, code, reason, True
        except TimeoutError:
            raise AssertionError(f"left open; close code {code}, messages {texts}") from None


def close_parts(payload):
    """(code, reason) of a close frame's payload."""
    if not payload:
        return 1005, ""
    return struct.unpack("!H", payload[:2])[0], payload[2:].decode()
