#!/usr/bin/env python3
"""people.py [1|2] - finds people who stand or walk: see streamd-pipeline(7).

Needs python3-opencv. The argument is the scale: at 2 (the default) pictures come in half their
size, which takes about a quarter of the time; a person must be about 100 pixels tall there.

    streamd --pipeline people=exec:workers=2,/path/to/people.py
"""
import json
import math
import os
import struct
import sys

# Whatever a library prints must not come between the answers: standard output becomes
# standard error, and the socket stays in `answers`.
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

import cv2
import numpy

HEADER = struct.Struct("<4sIIIQQ")  # magic, payload_bytes, width, height, sequence, deadline_us
WINDOW_W, WINDOW_H = 64, 128        # what the detector looks at: nothing is found in less


def read_exactly(n):
    data = sys.stdin.buffer.read(n)
    if len(data) < n:
        sys.exit()
    return data


def tell(**line):
    print(json.dumps(line, allow_nan=False), file=answers, flush=True)


def detection(box, weight, picture, scale):
    """In pixels of the full frame; the search goes a little beyond the edges, a box does not."""
    height, width = picture.shape
    left, top = max(int(box[0]), 0), max(int(box[1]), 0)
    right, bottom = min(int(box[0] + box[2]), width), min(int(box[1] + box[3]), height)
    score = 1 / (1 + math.exp(-float(weight)))  # 0.5 is the edge between yes and no
    return {"x": left * scale, "y": top * scale, "w": (right - left) * scale,
            "h": (bottom - top) * scale, "label": "person", "score": round(score, 3)}


def detect(hog, picture, scale):
    if picture.shape[0] < WINDOW_H or picture.shape[1] < WINDOW_W:
        return []
    boxes, weights = hog.detectMultiScale(picture, winStride=(8, 8), padding=(8, 8), scale=1.1)
    found = [detection(b, w, picture, scale) for b, w in zip(boxes, numpy.ravel(weights))]
    return sorted(found, key=lambda d: -d["score"])


def main(scale):
    cv2.setNumThreads(1)  # streamd runs workers side by side: workers=N
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
    detect(hog, numpy.zeros((2 * WINDOW_H, 2 * WINDOW_W), numpy.uint8), scale)  # warms up
    tell(protocol=1, name="people", version="1.0", format="gray", scale=scale)
    while True:
        magic, n_bytes, width, height, seq, _ = HEADER.unpack(read_exactly(HEADER.size))
        if magic != b"SPW1":
            sys.exit("this is not a frame")
        pixels = numpy.frombuffer(read_exactly(n_bytes), numpy.uint8)
        try:
            tell(seq=seq, result={
                "detections": detect(hog, pixels.reshape(height, width), scale)})
        except (cv2.error, ValueError) as failed:
            tell(seq=seq, error=str(failed))


if len(sys.argv) > 2 or sys.argv[1:] not in ([], ["1"], ["2"]):
    sys.exit(__doc__)
main(int(sys.argv[1]) if len(sys.argv) == 2 else 2)
