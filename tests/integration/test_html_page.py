"""The page of a run in a real browser: it is drawn, asks nobody, and needs neither script nor style."""

import contextlib
import functools
import http.server
import pathlib
import re
import shutil
import struct
import subprocess
import threading
import zlib

import pytest

import harness
from load_helpers import load

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
STRICT = "sandbox; default-src 'none'; img-src 'self'; style-src 'self'"

needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no chromium to look at the page with")


@pytest.fixture(name="page")
def page_fixture(streamd, tmp_path):
    """The page of a real run whose profile has an evil name."""
    (tmp_path / "mix.txt").write_text("</script><script>alert(1)</script> fps=20\nquoted\"'& fps=10\n")
    out = load("run", f"127.0.0.1:{streamd().port}", "-p", "null", "-s", 4, "-d", "2s",
               "--profiles", tmp_path / "mix.txt", "--html", tmp_path / "page.html", "-q")
    assert out.code in (0, 5), out.err
    return tmp_path / "page.html"


def test_the_page_asks_nobody_and_runs_nothing(page):
    text = page.read_text()
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?\s*(?:https?:)?//""", text)
    scripts = re.findall(r"<script\b[^>]*>", text)
    assert scripts == ['<script type="application/json" id="report">']
    assert "alert(1)</script>" not in text and "&lt;/script&gt;&lt;script&gt;alert(1)" in text
    assert " style=" not in text and not re.search(r"\son\w+=", text)


def chromium(tmp_path, *args):
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}",
         "--virtual-time-budget=2000", *args],
        capture_output=True, text=True, timeout=60 * harness.SLOW, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_browser
def test_a_browser_has_all_of_it(page, tmp_path):
    dom = chromium(tmp_path, "--dump-dom", page.as_uri())
    for words in ("Latency over time", "How often each latency came", "budget 37 ms", "Gates",
                  "latency.p99&lt;37ms", "Latency by stage", "The worst sessions", "Conditions"):
        assert words in dom, words
    assert dom.count("<svg") >= 4 and dom.count('role="img"') == 4


def pixels(path):
    """Width, height and the rows of a PNG of 8 bits a channel (RFC 2083), unfiltered."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            width, height, _, colour = struct.unpack(">IIBB", data[at + 8:at + 18])
        if kind == b"IDAT":
            packed += data[at + 8:at + 8 + length]
        at += 12 + length
    step = {2: 3, 6: 4}[colour]
    raw, stride, rows, above = zlib.decompress(packed), width * step, [], bytes(width * step)
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for x in range(stride):
            a = line[x - step] if x >= step else 0
            b, c = above[x], above[x - step] if x >= step else 0
            if kind == 1:
                line[x] = (line[x] + a) & 255
            elif kind == 2:
                line[x] = (line[x] + b) & 255
            elif kind == 3:
                line[x] = (line[x] + (a + b) // 2) & 255
            elif kind == 4:
                best = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))
                line[x] = (line[x] + best[2]) & 255
        rows.append(bytes(line))
        above = line
    return step, rows


def colours(path):
    step, rows = pixels(path)
    return {row[x:x + 3] for row in rows for x in range(0, len(row), step)}


@contextlib.contextmanager
def strict_server(folder):
    """A host of reports that blocks scripts and inline styles, as Jenkins does."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        asked = []

        def end_headers(self):
            self.send_header("Content-Security-Policy", STRICT)
            super().end_headers()

        def log_message(self, *_):
            self.asked.append(self.path)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], Handler.asked
    server.shutdown()
    server.server_close()


BLUE, VERMILLION = bytes.fromhex("3b8ed6"), bytes.fromhex("d55e00")


@needs_browser
def test_it_is_drawn_under_a_strict_policy_too(page, tmp_path):
    shot = pathlib.Path(tmp_path, "shot.png")
    with strict_server(page.parent) as (port, asked):
        chromium(tmp_path, f"--screenshot={shot}", "--window-size=700,1500",
                 f"http://127.0.0.1:{port}/page.html")
    seen = colours(shot)
    assert BLUE in seen and VERMILLION in seen and len(seen) > 20
    assert {path for path in asked if path != "/favicon.ico"} == {"/page.html"}
