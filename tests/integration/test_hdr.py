"""The HdrHistogram log, read by a decoder written from the published format (V2, HdrHistogram.org)."""

import base64
import json
import struct
import zlib

from load_helpers import load


def varint(data, at):
    """ZigZag LEB128; the ninth byte has all its bits."""
    value = shift = 0
    for n in range(9):
        byte = data[at]
        at += 1
        value |= (byte if n == 8 else byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    return (value >> 1) ^ -(value & 1), at


def decode(text):
    """{highest equivalent value in us: count}."""
    packed = base64.b64decode(text)
    cookie, length = struct.unpack(">II", packed[:8])
    assert cookie & ~0xF0 == 0x1C849304 and length == len(packed) - 8
    data = zlib.decompress(packed[8:])
    cookie, payload, offset, digits, lowest, highest, ratio = struct.unpack(">IIIIQQd", data[:40])
    assert cookie & ~0xF0 == 0x1C849303 and payload == len(data) - 40
    assert (offset, digits, lowest, ratio) == (0, 3, 1, 1.0) and highest >= 3600e6
    counts, at, index = {}, 40, 0
    while at < len(data):
        n, at = varint(data, at)
        if n < 0:
            index -= n
            continue
        bucket, sub = index // 1024 - 1, index % 1024 + 1024
        if bucket < 0:
            bucket, sub = 0, sub - 1024
        counts[((sub + 1) << bucket) - 1] = n
        index += 1
    return counts


def lines_of(path):
    for line in path.read_text().splitlines():
        if line[0] in '#"':
            continue
        tag = None
        if line.startswith("Tag="):
            tag, _, line = line[4:].partition(",")
        start, length, most, payload = line.split(",")
        yield tag, float(start), float(length), float(most), decode(payload)


def test_it_says_what_the_report_says(streamd, tmp_path):
    srv = streamd("--pipeline", "slow=delay:ms=3,jitter_ms=2")
    load("run", f"127.0.0.1:{srv.port}", "-p", "slow", "-s", 3, "-d", "2s", "-q",
         "--json", tmp_path / "r.json", "--hdr", tmp_path / "r.hdr")
    report = json.loads((tmp_path / "r.json").read_text())
    hist = report["record"]["parts"][0]["times"]["latency"]
    found = list(lines_of(tmp_path / "r.hdr"))
    seconds, whole = [f for f in found if not f[0]], [f for f in found if f[0] == "default"]
    assert len(whole) == 1 and len(seconds) == len(report["record"]["seconds"])
    _, start, length, most, counts = whole[0]
    assert (start, length) == (0.0, 2.0)
    assert most == round(hist["max_us"] / 1000, 3)
    assert sum(counts.values()) == hist["count"] == sum(sum(f[4].values()) for f in seconds)
    assert max(counts) >= hist["max_us"] > max(counts) * 0.998
    for mine, theirs in zip(sorted(counts.items()), hist["buckets"], strict=False):
        assert mine[1] == theirs[1]
