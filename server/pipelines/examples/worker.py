#!/usr/bin/env python3
"""Tells how large each picture is: see streamd-pipeline(7)."""
import json
import struct
import sys

# magic, payload_bytes, width, height, sequence, deadline_us
HEADER = struct.Struct("<4sIIIQQ")

def read_exactly(n):
    data = sys.stdin.buffer.read(n)  # waits for all of it
    if len(data) < n:
        sys.exit()                   # end of file: no more frames
    return data

def tell(**line):
    print(json.dumps(line), flush=True)

# A model is loaded here: no frame comes before the hello.
tell(protocol=1, name="size", version="1.0", format="jpeg")
while True:
    magic, n, width, height, seq, _ = HEADER.unpack(read_exactly(32))
    if magic != b"SPW1":
        sys.exit("this is not a frame")
    jpeg = read_exactly(n)
    size = {"bytes": len(jpeg), "width": width, "height": height}
    tell(seq=seq, result=size)
