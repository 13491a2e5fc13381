"""plugins/onnx.c with the real ONNX Runtime, on models that are written here, byte by byte.

The model is as simple as one can be that looks at the picture: its input is 64x64, each of its 64
cells of 8x8 gives one box around the cell, and how bright the cell is says how sure it is.
"""

import os
import pathlib
import struct

import pytest

import harness

PLUGIN = pathlib.Path(harness.binary()).parent / "plugins" / "onnx.so"
CELLS = 8
SIDE = 64
FRAME = (160, 120)  # fits as 64x48, 8 rows below the top: a cell is 20 pixels
SQUARE = (40, 20, 20, 20)  # a cell of it

pytestmark = pytest.mark.skipif(not PLUGIN.exists(), reason=f"{PLUGIN} was not built")


# ---- the library


@pytest.fixture(name="ort", scope="module")
def ort_fixture():
    """ONNX Runtime: $ONNXRUNTIME, or what `make test-onnx` fetched."""
    given = pathlib.Path(os.environ.get("ONNXRUNTIME",
                                        harness.ROOT / "build" / "npm" / "libonnxruntime.so.1"))
    if not given.exists():
        pytest.skip(f"no {given}: make test-onnx fetches ONNX Runtime, or ONNXRUNTIME names it")
    return given


@pytest.fixture(autouse=True)
def what_is_not_ours(monkeypatch, tmp_path):
    """ONNX Runtime 1.30 leaves 14 bytes behind, once, by making and freeing an environment; and
    what its threads do with each other ThreadSanitizer cannot see, as it was not built for that."""
    (tmp_path / "lsan").write_text("leak:libonnxruntime.so")
    given = os.environ.get("LSAN_OPTIONS", "")
    monkeypatch.setenv("LSAN_OPTIONS",
                       f"{given}:suppressions={tmp_path}/lsan:print_suppressions=0".lstrip(":"))
    given = os.environ.get("TSAN_OPTIONS", "")
    monkeypatch.setenv("TSAN_OPTIONS", f"{given}:ignore_noninstrumented_modules=1".lstrip(":"))


# ---- protobuf, as much as a model needs: onnx.proto has the numbers


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    """An int, a text, or bytes: a message, or numbers in a row."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


FLOAT, INT64 = 1, 7


def constant(name, dims, values, kind=FLOAT):
    raw = struct.pack(f"<{len(values)}{'f' if kind == FLOAT else 'q'}", *values)
    head = b"".join(field(1, d) for d in dims)
    return field(5, head + field(2, kind) + field(8, name) + field(9, raw))


def ints(name, *values):
    return field(5, field(1, name) + b"".join(field(8, v) for v in values) + field(20, 7))


def integer(name, value):
    return field(5, field(1, name) + field(3, value) + field(20, 2))


def node(kind, inputs, output, *attributes):
    return field(1, b"".join(field(1, i) for i in inputs) + field(2, output) + field(4, kind) +
                 b"".join(attributes))


def port(number, name, dims, kind=FLOAT):
    """An input or output of the graph; a text among the dims is one that is open."""
    shape = b"".join(field(1, field(2 if isinstance(d, str) else 1, d)) for d in dims)
    return field(number, field(1, name) + field(2, field(1, field(1, kind) + field(2, shape))))


def model(*parts, opset=13):
    graph = field(2, "test") + b"".join(parts)
    return field(1, 8) + field(8, field(1, "") + field(2, opset)) + field(7, graph)


def scores(shape, source="images"):
    """How bright each of the cells is, 0 to 1, in that shape."""
    k = SIDE // CELLS
    return (constant("weights", [1, 3, k, k], [1 / (3 * k * k)] * (3 * k * k)) +
            node("Conv", [source, "weights"], "cells", ints("strides", k, k)) +
            constant("shape", [len(shape)], shape, INT64) +
            node("Reshape", ["cells", "shape"], "scores"))


def cells():
    return [(x, y) for y in range(CELLS) for x in range(CELLS)]


def middles():
    """x, y, w, h of each cell's box, in pixels of the input."""
    k = SIDE // CELLS
    return [(k * x + k / 2, k * y + k / 2, k, k) for x, y in cells()]


def flat(rows):
    return [v for row in rows for v in row]


def v8(size=(SIDE, SIDE)):
    return model(port(11, "images", [1, 3, *size]), scores([1, 1, 64]),
                 constant("boxes", [1, 4, 64], flat(zip(*middles()))),
                 node("Concat", ["boxes", "scores"], "out", integer("axis", 1)),
                 port(12, "out", [1, 5, 64]))


def v5():
    """Half sure that there is anything; the second of two classes is what it is."""
    return model(port(11, "images", ["batch", 3, SIDE, SIDE]), scores([1, 64, 1]),
                 constant("boxes", [1, 64, 6], flat((*b, 0.5, 0.1) for b in middles())),
                 node("Concat", ["boxes", "scores"], "out", integer("axis", 2)),
                 port(12, "out", ["batch", 64, 7]))


def v8_nhwc():
    return model(port(11, "pixels", [1, SIDE, SIDE, 3]),
                 node("Transpose", ["pixels"], "images", ints("perm", 0, 3, 1, 2)),
                 scores([1, 1, 64]),
                 constant("boxes", [1, 4, 64], flat(zip(*middles()))),
                 node("Concat", ["boxes", "scores"], "out", integer("axis", 1)),
                 port(12, "out", [1, 5, 64]))


def ssd():
    """An output that looks like scores stands before them, as in models of TensorFlow."""
    k = 1 / CELLS
    corners = [(y * k, x * k, y * k + k, x * k + k) for x, y in cells()]
    return model(port(11, "images", [1, 3, SIDE, SIDE]), scores([1, 64]),
                 constant("corners", [1, 64, 4], flat(corners)),
                 constant("zeros", [1, 64], [0] * 64),
                 node("Identity", ["corners"], "boxes"), node("Identity", ["zeros"], "classes"),
                 port(12, "boxes", [1, 64, 4]), port(12, "classes", [1, 64]),
                 port(12, "scores", [1, 64]))


# ---- pictures


def jpeg(x, y, w, h, size=FRAME):
    """A grey JPEG without an imaging library: black, with a white box, grown to blocks of 8x8."""
    left, top, right, bottom = x // 8, y // 8, -(-(x + w) // 8), -(-(y + h) // 8)
    columns, rows = -(-size[0] // 8), -(-size[1] // 8)
    bits, last = "", 0
    for row in range(rows):
        for column in range(columns):
            inside = left <= column < right and top <= row < bottom
            level = 127 if inside else -128
            diff, last = level - last, level
            n = abs(diff).bit_length()
            bits += f"{n:04b}"
            bits += f"{diff if diff > 0 else diff + (1 << n) - 1:0{n}b}" if n else ""
            bits += "0"  # nothing but the shade
    bits += "1" * (-len(bits) % 8)
    data = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")

    def segment(marker, body):
        return bytes([255, marker]) + struct.pack(">H", len(body) + 2) + body

    # Code lengths: 12 codes of 4 bits that are the numbers themselves; one code of 1 bit.
    shades = b"\0" + bytes([0, 0, 0, 12] + [0] * 12)[:16] + bytes(range(12))
    return (b"\xff\xd8" + segment(0xdb, b"\0" + bytes([8] * 64)) +
            segment(0xc0, struct.pack(">BHHB", 8, size[1], size[0], 1) + b"\1\x11\0") +
            segment(0xc4, shades) + segment(0xc4, b"\x10" + bytes([1] + [0] * 15) + b"\0") +
            segment(0xda, b"\1\1\0\0\x3f\0") + data + b"\xff\xd9")


# ---- the tests


@pytest.fixture(name="spec")
def spec_fixture(ort, tmp_path):
    """spec(model, options...) writes the model and gives what --pipeline wants."""

    def make(data, *options):
        path = tmp_path / "model.onnx"
        path.write_bytes(data)
        return f"m=plugin:{PLUGIN}:" + ",".join([f"library={ort}", f"model={path}", *options])

    return make


@harness.sync
async def answers(server, frames):
    async with server.connect("m") as ws:
        return [await harness.ask(ws, f) for f in frames]


def detections(server, *frames):
    return [m["result"]["detections"] for m in answers(server, frames)]


def box(detection):
    return [round(detection[k], 3) for k in "xywh"]


# 40,16 to 64,40: all of the cell of 40,20 to 60,40, and a fifth of two others.
PICTURE = jpeg(*SQUARE)


@pytest.mark.parametrize("make, options, sure", [
    (v8, [], 1), (v8, ["threads=2"], 1), (v8, ["letterbox=1", "input=64x64"], 1),
    (v8_nhwc, ["layout=nhwc"], 1), (v5, ["confidence=0.3"], 0.5), (ssd, ["decode=ssd"], 1)])
def test_box_is_where_the_square_is(streamd, spec, make, options, sure):
    server = streamd("--pipeline", spec(make(), "confidence=0.6", *options))
    for (found,) in detections(server, *[PICTURE] * 3):
        assert box(found) == [40, 20, 20, 20]
        assert found["score"] == pytest.approx(sure, abs=0.02)
        assert found["label"] == ("1" if make is v5 else "0")


def test_stretched(streamd, spec):
    """Without letterbox a cell is 20x15 pixels."""
    server = streamd("--pipeline", spec(v8(), "letterbox=0", "confidence=0.9"))
    (found,) = detections(server, jpeg(0, 0, 160, 120))
    assert len(found) == 64
    assert {tuple(box(f)) for f in found} == {(20 * x, 15 * y, 20, 15) for x, y in cells()}


def test_mean_and_scale_per_channel(streamd, spec):
    """White becomes 0.8, 1 and 0.3 in the channels: 0.7 for the cell."""
    server = streamd("--pipeline", spec(v8(), "mean=55/0/105", "scale=0.004/0.00392157/0.002"))
    (found,) = detections(server, PICTURE)
    best = found[0]
    assert box(best) == [40, 20, 20, 20]
    assert best["score"] == pytest.approx(0.7, abs=0.02)
    assert all(f["score"] <= best["score"] for f in found)


def test_labels(streamd, spec, tmp_path):
    (tmp_path / "names.txt").write_text("cat\r\n\u00fcber dog\n")
    server = streamd("--pipeline", spec(v5(), f"labels={tmp_path}/names.txt"))
    (found,) = detections(server, PICTURE)
    assert found[0]["label"] == "\u00fcber dog"


def test_sizes_may_change_and_sessions_share_the_model(streamd, spec):
    server = streamd("--pipeline", spec(v8(), "confidence=0.9"), "--pipeline",
                     spec(v8(), "confidence=0.9").replace("m=", "again=", 1))
    large = jpeg(80, 40, 40, 40, size=(320, 240))
    for _ in range(2):
        found = detections(server, PICTURE, large, PICTURE)
        assert [box(f) for (f,) in found] == [[40, 20, 20, 20], [80, 40, 40, 40], [40, 20, 20, 20]]


@pytest.mark.parametrize("data, options, says", [
    (b"garbage", [], "model:"), (v8(), ["library=/nowhere.so"], "/nowhere.so"),
    (v8(), ["model=/nowhere.onnx"], "/nowhere.onnx"), (v8(), ["decode=ssd"], "1x5x64"),
    (ssd(), [], "1x64x4"), (v8(), ["input=32x32"], "input is 1x3x64x64"),
    (v8(), ["layout=nhwc"], "layout=nhwc"), (v8_nhwc(), [], "layout=nchw"),
    (v8(), ["labels=/nowhere.txt"], "/nowhere.txt"), (v8(), ["confidence=2"], "confidence:"),
    (v8(), ["iou=x"], "iou:"), (v8(), ["threads=0"], "1 to 64"),
    (v8(), ["mean=1/2"], "1/2"), (v8(), ["scale=nan"], "nan"),
    (v8(), ["input=0x5"], "0x5"), (v8(), ["colour=1"], "colour=1"), (v8(), ["decode=x"], "ssd"),
    (v8(("h", "w")), ["input=20x20"], "model:")])
def test_what_cannot_be_is_refused_with_a_sentence(spec, data, options, says):
    ran = harness.run_streamd("--list-pipelines", "--pipeline", spec(data, *options))
    assert ran.returncode == 2, ran.stderr
    assert says in ran.stderr
    assert not harness.SANITIZER.search(ran.stderr)


@pytest.mark.parametrize("config", ["", ":library=x", ":model=x", ":library="])
def test_both_files_must_be_given(config):
    ran = harness.run_streamd("--list-pipelines", "--pipeline", f"m=plugin:{PLUGIN}{config}")
    assert ran.returncode == 2
    assert "library" in ran.stderr


def test_library_that_is_another(spec):
    ran = harness.run_streamd("--list-pipelines", "--pipeline", spec(v8(), "library=libm.so.6"))
    assert ran.returncode == 2
    assert "'libm.so.6' is not ONNX Runtime" in ran.stderr
