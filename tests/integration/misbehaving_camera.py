#!/usr/bin/env python3
"""A camera that does what real cameras do, and worse: one address for each kind of misbehaviour.

    misbehaving_camera.py [--port 0] [--cert FILE.pem]     prints its port, then serves

Streams take ?n=COUNT (pictures, 0: no end; default 0) and ?fps=RATE (default 30). Every picture is a
real JPEG with its number in a comment: "frame 12". GET / lists the addresses, GET /stats tells as
JSON what was asked for and how many connections were open at once. Standard library only.
"""
import argparse
import base64
import hashlib
import json
import os
import select
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

USER, PASSWORD = "joe", "s3cr@t:/"
BOUNDARY = "frame"

BIG = base64.b64decode(  # 64x48
    "/9j/4AAQSkZJRgABAgAAAQABAAD//gAQTGF2YzU5LjM3LjEwMAD/2wBDAAgoKC8oLzc3Nzc3N0E8QUNDQ0FB"
    "QUFDQ0NISEhVVVVISEhDQ0hIUFBVVVxfXFdXVVdfX2RkZHh4c3OMjJGsrM//xACJAAEBAQEBAQAAAAAAAAAA"
    "AAAHCAYDBQQBAQEBAQEAAAAAAAAAAAAAAAcGBQgDEAABAgIGBwUJAQAAAAAAAAABAAIRAyExFBJBBGHRkaFR"
    "4QWxQoEicaLCsjKCM9JDc2IRAAECBQIFBAMBAAAAAAAAAAECABEEA0EhwYFCURIx0aJxMmGREyLh/8AAEQgA"
    "MABAAwEiAAIRAAMRAP/aAAwDAQACEQMRAD8An9N0qVfpNXaimTKM6Y1g7x2DE4VClUsAGiAXslAUc2ebVmVU"
    "EEJwpd+QHffLPK0YpMRmmKniOzu5sQ6APvR2KjJJqM1xdTuyyb4N9H8MqdeodXgeKd1JyoHKT7RJa4/MPK71"
    "HgK66OKYErKhA2aJWl0UVlSMBdrAjl+WGdKAM80VMJGikDsSuizpX33fzPxNSmt+ndks3wb6M1RmkxGaVKd2"
    "1zfBvo7FRmkxGa4rp3ZTN8G+jNVt+kEwmiNHkMPW9qWIW06R+76PeSrTu2ub4N9HmsrJMuY2YHVYQ4iBx4Jm"
    "u0RiptbmnsqDdh1peZmiaHADTrpWaTXB/lQEfbw4+tRp1UlSUk9HvHPIRz2fEyoY7uazVj/37PNe8ZrjgFkL"
    "XM4N2HWkuiJu6k+nw5uYE1jqUmGYfHw2F+Zud2PjyRhaaYXd/JLbsux9Zdu1Ixs7Ixi7dqUTTVIQ+KvV5eKr"
    "HT+/PeEP8g/CAitblpwysu5dvRJJMYboHALlKkkiLojRikawy+L9o/FUixTAigER5x1bIa9GoSlR6ijvDtn7"
    "D//Z"
)
SMALL = base64.b64decode(  # 32x24
    "/9j/4AAQSkZJRgABAgAAAQABAAD//gAQTGF2YzU5LjM3LjEwMAD/2wBDAAgoKC8oLzc3Nzc3N0E8QUNDQ0FB"
    "QUFDQ0NISEhVVVVISEhDQ0hIUFBVVVxfXFdXVVdfX2RkZHh4c3OMjJGsrM//xAB6AAEBAQEBAAAAAAAAAAAA"
    "AAAFBwYCAwEBAQEBAAAAAAAAAAAAAAAABQIHBhAAAAMGAggHAQAAAAAAAAAAAAEDgUIRwQQCMRJRgrFBE7Iy"
    "IXEUkWGDIjM0EQACAQMDBQEBAAAAAAAAAAABAhEhAAMEEiKRURPhMaGx/8AAEQgAGAAgAwEiAAIRAAMRAP/a"
    "AAwDAQACEQMRAD8Aw1GlnzGfT2aeiO0cLutG1ofw+S7lsGJXdbId1pQAZ7+7tHZlzqTRPHtHaSSet3ld1sgT"
    "Rrxu4d2JlEj0w3ePf0Cy7rZCU039SOvyGMI0p/fdwiqTqCRVfFB7SCP5atKqjbbljDvF7E/dg8VPLxLMzqkJ"
    "gg8yYdXdbIaXpse5zzyCIoGp8tTLiDYy4JQmJ20B5RW6TUceJQw1QUkiqZ2qWW/a3A4lvKGBmKKu62QQpehl"
    "uwAYcu9TwxrA+qsH7YOJziZlENJUHdUnixr0pf8A/9k="
)


def segment(marker, payload):
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def picture(k, base=BIG, extra=b""):
    """SOI, a comment with the number, extra segments, the rest."""
    return base[:2] + segment(0xFE, b"frame %d" % k) + extra + base[2:]


def with_thumbnail(k):
    return picture(k, extra=segment(0xE1, b"Exif\0\0" + SMALL))


def part(jpeg, boundary=BOUNDARY, length=None, eol="\r\n", kind="image/jpeg"):
    """length: None for the right one, "" for no such line, else the text as it is."""
    lines = ["--" + boundary, "Content-Type: " + kind]
    if length != "":
        lines.append("Content-Length: " + (length or str(len(jpeg))))
    return (eol.join(lines) + eol * 2).encode() + jpeg + eol.encode()


class Peer(Exception):
    """The client is gone."""


class Request:
    """One request, and what an endpoint needs to answer it."""

    def __init__(self, sock, stats, method, target, headers):
        self.sock, self.stats, self.method, self.headers = sock, stats, method, headers
        url = urlsplit(target)
        self.target, self.path = target, url.path
        query = parse_qs(url.query)
        self.n = int(query.get("n", ["0"])[0])
        self.fps = float(query.get("fps", ["30"])[0])
        self.to = query.get("to", [""])[0]
        self.keep = False  # the connection, for another request

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as e:
            raise Peer from e

    def head(self, content_type, status="200 OK", version="1.0", *lines):
        out = ["HTTP/%s %s" % (version, status)]
        if content_type:
            out.append("Content-Type: " + content_type)
        self.send(("\r\n".join(out + list(lines)) + "\r\n\r\n").encode())

    def multipart(self, parameter="; boundary=" + BOUNDARY):
        self.head("multipart/x-mixed-replace" + parameter)

    def ticks(self, n=None):
        """Numbers of pictures, each when it is due."""
        n = self.n if n is None else n
        start, k = time.monotonic(), 0
        while n == 0 or k < n:
            self.wait(max(0.0, start + k / self.fps - time.monotonic()))
            yield k
            k += 1

    def wait(self, seconds):
        """Sleeps, but notices at once when the client closes."""
        if isinstance(self.sock, ssl.SSLSocket):  # cannot peek
            time.sleep(seconds)
        elif select.select([self.sock], [], [], seconds)[0]:
            if not self.sock.recv(1, socket.MSG_PEEK):
                raise Peer

    def hold(self):
        """Silence, until the client closes."""
        try:
            while self.sock.recv(4096):
                pass
        except OSError:
            pass

    def reset(self):
        """RST instead of an orderly end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.sock.detach())
        raise Peer


ENDPOINTS = {}


def endpoint(f):
    ENDPOINTS["/" + f.__name__.replace("_", "-")] = f
    return f


def stream(name, doc, make, parameter="; boundary=" + BOUNDARY):
    """An endless multipart whose part k is make(k)."""

    def serve(r):
        r.multipart(parameter)
        for k in r.ticks():
            r.send(make(k))

    serve.__name__, serve.__doc__ = name, doc
    endpoint(serve)


# Boundaries
stream("plain", "as it should be", lambda k: part(picture(k)))
stream("dashes", "the parameter has the dashes of the lines", lambda k: part(picture(k)),
       "; boundary=--" + BOUNDARY)
stream("quoted", "a quoted boundary with a semicolon in it",
       lambda k: part(picture(k), "fr;a me"), '; charset=x; boundary="fr;a me"')
stream("case", "upper case", lambda k: part(picture(k)), "; BOUNDARY=" + BOUNDARY)
stream("no_boundary", "no boundary parameter", lambda k: part(picture(k)), "")
stream("empty_boundary", "an empty boundary parameter", lambda k: part(picture(k)), "; boundary=")
stream("wrong_boundary", "a boundary that never comes", lambda k: part(picture(k)), "; boundary=other")
stream("late_boundary", "no boundary before the first part",
       lambda k: part(picture(k)).split(b"\r\n", 1)[1] if k == 0 else part(picture(k)))

# Lengths and headers
stream("no_length", "no Content-Length", lambda k: part(picture(k), length=""))
stream("short_length", "a Content-Length that is too small",
       lambda k: part(picture(k), length=str(len(picture(k)) // 2)))
stream("long_length", "a Content-Length that is too large",
       lambda k: part(picture(k), length=str(len(picture(k)) + 1000)))
stream("padded_length", "a Content-Length with blanks and zeros",
       lambda k: part(picture(k), length="   0000%d  " % len(picture(k))))
stream("absurd_length", "a Content-Length of 24 digits", lambda k: part(picture(k), length="9" * 24))
stream("negative_length", "a negative Content-Length", lambda k: part(picture(k), length="-1"))
stream("lf", "headers that end with LF only", lambda k: part(picture(k), eol="\n"))
stream("mixed", "parts between the pictures that are none",
       lambda k: part(b'{"n": %d}' % k, kind="application/json") + part(picture(k))
       + part(b"<p>no picture</p>", kind="text/html"))

# Pictures
stream("padding", "zeros after EOI", lambda k: part(picture(k) + bytes(64)))
stream("no_eoi", "pictures without EOI", lambda k: part(picture(k)[:-2]))
stream("exif", "a thumbnail, so an EOI, inside the picture", lambda k: part(with_thumbnail(k)))
stream("resize", "two sizes, taking turns", lambda k: part(picture(k, (BIG, SMALL)[k % 2])))
stream("cut_off", "every second picture is cut in half",
       lambda k: part(picture(k)[:len(picture(k)) // 2 if k % 2 else None], length=""))
stream("huge", "every second picture has 8 MiB",
       lambda k: part(picture(k, extra=segment(0xE2, bytes(65533)) * 128 if k % 2 else b"")))
stream("garbage", "random bytes between the pictures",
       lambda k: os.urandom(500).replace(b"\xff", b"\0") + part(picture(k)))


# Ways to send
@endpoint
def split(r):
    """a few bytes at a time"""
    r.multipart()
    for k in r.ticks():
        data = part(picture(k))
        for at in range(0, len(data), 7):
            r.send(data[at:at + 7])


@endpoint
def chunked(r):
    """chunked transfer, the chunks cut anywhere"""
    r.head("multipart/x-mixed-replace; boundary=" + BOUNDARY, "200 OK", "1.1",
           "Transfer-Encoding: chunked")
    for k in r.ticks():
        data = part(picture(k))
        for at in range(0, len(data), 301):
            r.send(b"%x\r\n%s\r\n" % (len(data[at:at + 301]), data[at:at + 301]))
    r.send(b"0\r\n\r\n")


@endpoint
def mid_frame(r):
    """begins in the middle of a picture"""
    r.multipart()
    r.send(picture(0)[200:] + b"\r\n")
    for k in r.ticks():
        r.send(part(picture(k + 1)))


@endpoint
def bare(r):
    """JPEGs back to back, application/octet-stream"""
    r.head("application/octet-stream")
    for k in r.ticks():
        r.send(picture(k))


@endpoint
def no_type(r):
    """JPEGs back to back, without any Content-Type"""
    r.head(None)
    for k in r.ticks():
        r.send(picture(k))


@endpoint
def burst(r):
    """pictures in bursts of 50"""
    r.multipart()
    for k in r.ticks():
        if k % 50 == 0:
            r.send(b"".join(part(picture(k + i)) for i in range(50)))


# Single pictures
@endpoint
def snapshot(r):
    """one JPEG a request; the connection stays"""
    data = picture(r.stats.count("/snapshot"))
    r.head("image/jpeg", "200 OK", "1.1", "Content-Length: %d" % len(data))
    r.send(data)
    r.keep = True


@endpoint
def snapshot_close(r):
    """one JPEG a request, without a length; the end of the connection is its end"""
    r.head("image/jpeg")
    r.send(picture(r.stats.count("/snapshot-close")))


# Credentials
def authorized(r, scheme, challenge, check):
    given = r.headers.get("authorization", "")
    if given.startswith(scheme + " ") and check(given[len(scheme) + 1:]):
        plain(r)
        return
    r.head("text/plain", "401 Unauthorized", "1.0", "WWW-Authenticate: " + challenge)
    r.send(b"who are you?\n")


def plain(r):
    ENDPOINTS["/plain"](r)


@endpoint
def basic(r):
    """wants Basic credentials"""
    right = base64.b64encode(("%s:%s" % (USER, PASSWORD)).encode()).decode()
    authorized(r, "Basic", 'Basic realm="camera"', lambda given: given == right)


def md5(*fields):
    return hashlib.md5(":".join(fields).encode()).hexdigest()


@endpoint
def digest(r):
    """wants Digest credentials"""

    def check(given):
        f = {k.strip(): v.strip(' "') for k, _, v in (p.partition("=") for p in given.split(","))}
        want = md5(md5(USER, "camera", PASSWORD), "n0nce", f.get("nc", ""), f.get("cnonce", ""),
                   "auth", md5(r.method, r.target))
        return f.get("response") == want and f.get("username") == USER

    authorized(r, "Digest", 'Digest realm="camera", nonce="n0nce", qop="auth"', check)


# Redirects and refusals
def go(r, where):
    r.head(None, "302 Found", "1.0", "Location: " + where)


@endpoint
def redirect(r):
    """/redirect/3 leads to /plain after three steps"""
    left = int(r.path.rpartition("/")[2] or 1)
    query = "?" + urlsplit(r.target).query
    go(r, ("/redirect/%d" % (left - 1) if left > 1 else "/plain") + query)


@endpoint
def redirect_loop(r):
    """leads to itself"""
    go(r, "/redirect-loop")


@endpoint
def redirect_to(r):
    """leads to ?to=URL"""
    go(r, r.to)


@endpoint
def status(r):
    """/status/503 answers with that status"""
    r.head("text/plain", r.path.rpartition("/")[2] + " Told So")
    r.send(b"as you asked\n")


@endpoint
def html(r):
    """a page instead of pictures"""
    r.head("text/html")
    r.send(b"<html><body>Please log in</body></html>")


# Ends
@endpoint
def ends(r):
    """five pictures (or n), then the end"""
    r.multipart()
    for k in r.ticks(r.n or 5):
        r.send(part(picture(k)))
    r.send(b"--frame--\r\n")


@endpoint
def stall(r):
    """three pictures (or n), then silence"""
    r.multipart()
    for k in r.ticks(r.n or 3):
        r.send(part(picture(k)))
    r.hold()


@endpoint
def stall_in_picture(r):
    """three pictures (or n) and a half, then silence"""
    r.multipart()
    for k in r.ticks(r.n or 3):
        r.send(part(picture(k)))
    r.send(part(picture(999))[:400])
    r.hold()


@endpoint
def silent(r):
    """no answer at all"""
    r.hold()


@endpoint
def trickle(r):
    """bytes keep coming, but never a picture"""
    r.multipart()
    while True:
        r.send(b"\0")
        time.sleep(0.05)


@endpoint
def reset(r):
    """three pictures (or n), then a reset in the middle of one"""
    r.multipart()
    for k in r.ticks(r.n or 3):
        r.send(part(picture(k)))
    r.send(part(picture(999))[:400])
    r.reset()


@endpoint
def closes(r):
    """closes without an answer"""


@endpoint
def flaky(r):
    """503, then nothing, then five pictures, and all over again"""
    turn = (r.stats.count("/flaky") - 1) % 3
    if turn == 0:
        r.head("text/plain", "503 Busy")
    if turn == 2:
        ends(r)


@endpoint
def one_socket(r):
    """three pictures (or n), then silence; while one client is there, others are reset"""
    patience = time.monotonic() + 0.5  # the end of the one before may still be on its way
    while r.stats.open_now("/one-socket") > 1:
        if time.monotonic() > patience:
            r.stats.refuse()
            r.reset()
        time.sleep(0.005)
    stall(r)


@endpoint
def stats(r):
    """what was asked for, as JSON"""
    data = r.stats.json().encode()
    r.head("application/json", "200 OK", "1.0", "Content-Length: %d" % len(data))
    r.send(data)


def index(r):
    r.head("text/plain; charset=utf-8")
    for name, f in ENDPOINTS.items():
        r.send(("%-20s %s\n" % (name, f.__doc__)).encode())


class Stats:
    """Requests and connections, all and at once, by address."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests, self.open, self.open_max = {}, {}, {}
        self.connections = self.refused = 0
        self.authorization = {}

    def connect(self):
        with self.lock:
            self.connections += 1

    def refuse(self):
        with self.lock:
            self.refused += 1

    def enter(self, name, headers):
        with self.lock:
            self.requests[name] = self.requests.get(name, 0) + 1
            self.open[name] = self.open.get(name, 0) + 1
            self.open_max[name] = max(self.open_max.get(name, 0), self.open[name])
            if "authorization" in headers:
                self.authorization[name] = self.authorization.get(name, 0) + 1

    def leave(self, name):
        with self.lock:
            self.open[name] -= 1

    def count(self, name):
        with self.lock:
            return self.requests.get(name, 0)

    def open_now(self, name):
        with self.lock:
            return self.open.get(name, 0)

    def json(self):
        with self.lock:
            return json.dumps({"connections": self.connections, "requests": self.requests,
                               "open": self.open, "open_max": self.open_max,
                               "authorization": self.authorization,
                               "refused": self.refused}) + "\n"


def read_request(reader):
    """(method, target, headers) or None at the end."""
    first = reader.readline(8192).decode("latin-1").split()
    if len(first) < 2:
        return None
    headers = {}
    for line in iter(lambda: reader.readline(8192).decode("latin-1").strip(), ""):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return first[0], first[1], headers


class Connection(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.stats.connect()
        reader = self.request.makefile("rb")
        try:
            while self.answer(reader):
                pass
        except (Peer, OSError):
            pass
        finally:
            reader.close()

    def answer(self, reader):
        got = read_request(reader)
        if not got:
            return False
        r = Request(self.request, self.server.stats, *got)
        name = r.path if r.path in ENDPOINTS else "/" + r.path.strip("/").split("/")[0]
        serve = index if r.path == "/" else ENDPOINTS.get(name)
        r.stats.enter(name, r.headers)
        try:
            if serve:
                serve(r)
            else:
                r.head("text/plain", "404 Not Found")
        finally:
            r.stats.leave(name)
        return r.keep


class Camera(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host="127.0.0.1", port=0, cert=None):
        super().__init__((host, port), Connection)
        self.stats = Stats()
        self.tls = None
        if cert:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(cert)

    @property
    def port(self):
        return self.server_address[1]

    def get_request(self):
        sock, peer = super().get_request()
        if self.tls:  # the handshake happens in the connection's thread, at the first read
            sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return sock, peer

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--cert", help="PEM file with certificate and key: speak TLS")
    o = p.parse_args()
    with Camera(o.host, o.port, o.cert) as camera:
        print(camera.port, flush=True)
        try:
            camera.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
