"""bench-passthrough: what a frame of 46 KB costs streamctl that only passes it on.

  passthrough.py --build build/plain [--beside OTHER/streamctl] [--rounds 5] [--json]

Pictures come over HTTP as a camera sends them (multipart, with lengths), through a pipe and from a
file; they go to streamd's null pipeline and are answered. What is told is the CPU time, user and
system, of the whole streamctl process a frame: that of a run of many frames less that of one of few,
so that its start is not in it. With --beside another streamctl takes turns with it. streamctl has a
core to itself; camera and server share the other. All are medians; the ratios are of neighbours in
time.
"""

import argparse
import contextlib
import json
import os
import pathlib
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import capture
import servers
import table

CORE, OTHER = 0, 1
FPS, FEW, MANY = 200, 100, 500
GOAL_US = 60
HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
PART = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"


def play(piece, send):
    """One piece after the other at FPS, until nobody takes them."""
    began = time.monotonic()
    n = 0
    with contextlib.suppress(OSError, ValueError):  # ValueError: the pipe is closed
        while True:
            send(piece)
            n += 1
            time.sleep(max(0, began + n / FPS - time.monotonic()))


def in_background(target, *args):
    threading.Thread(target=target, args=args, daemon=True).start()


class Camera:
    """Serves the JPEG over HTTP, to one at a time."""

    def __init__(self, jpeg):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/"
        self.part = PART % (len(jpeg), jpeg)
        in_background(self.serve)

    def serve(self):
        while True:
            connection, _ = self.socket.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(HEAD)
                play(self.part, connection.sendall)


def cpu_us():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1e6


def run(streamctl, port, source, piped, n):
    """CPU time in us, frames read, frames sent. piped: a JPEG for standard input, or None."""
    before = cpu_us()
    command = ["taskset", "-c", str(CORE), streamctl, "stream", source, f"127.0.0.1:{port}", "-q",
               "-p", "null", "-n", str(n), "--no-adapt", "--loop", "--source-fps", str(FPS)]
    process = subprocess.Popen(command, bufsize=0, stdout=subprocess.PIPE,
                               stdin=subprocess.PIPE if piped else subprocess.DEVNULL)
    if piped:
        in_background(play, piped, process.stdin.write)
    out = process.stdout.read()
    if process.wait() != 0:
        sys.exit(f"{streamctl} failed: {out[-400:].decode()}")
    end = json.loads(out.splitlines()[-1])
    return cpu_us() - before, end["read"], end["sent"]


def frame_us(*args):
    few, many = run(*args, FEW), run(*args, MANY)
    return (many[0] - few[0]) / (many[2] - few[2]), many[1] / many[2]


def measure(programs, sources, port, rounds):
    """{(program, source): [us of each round]}, and how many frames were read for one sent."""
    seen = {(program, source): [] for program in programs for source in sources}
    read = []
    for n in range(rounds):
        print(f"round {n + 1} of {rounds}", file=sys.stderr)
        for source, (spec, piped) in sources.items():
            for program, path in programs.items():
                us, read_of_sent = frame_us(path, port, spec, piped)
                seen[program, source].append(us)
                read.append(read_of_sent)
    return seen, max(read)


def sum_up(seen, sources):
    for source in sources:
        ours, beside = seen["ours", source], seen.get(("beside", source))
        yield {
            "source": source,
            "us": statistics.median(ours),
            "beside_us": statistics.median(beside) if beside else None,
            "ratio": statistics.median(a / b for a, b in zip(ours, beside)) if beside else None,
        }


def show(result):
    rows = [[r["source"], table.number(r["us"], 0, " us"), f"{GOAL_US} us or less",
             table.number(r["beside_us"], 0, " us"), table.number(r["ratio"], 2)] for r in result]
    print(table.grid(["JPEG from", "CPU a frame", "must be", "beside", "ratio"], rows), end="")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--beside", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    os.sched_setaffinity(0, {OTHER})
    programs = {"ours": args.build / "streamctl"}
    if args.beside:
        programs["beside"] = args.beside
    with tempfile.TemporaryDirectory() as folder:
        picture, video = pathlib.Path(folder, "p.jpg"), pathlib.Path(folder, "v.mjpeg")
        capture.make_jpeg(args.build, picture)
        jpeg = picture.read_bytes()
        video.write_bytes(jpeg * 20)
        sources = {"HTTP": (Camera(jpeg).url, None), "a pipe": ("-", jpeg), "a file": (video, None)}
        with servers.Streamd(args.build / "streamd", OTHER, 1, [], "latest") as server:
            seen, read = measure(programs, sources, server.ports[0], args.rounds)
    print(f"{len(jpeg)} bytes a frame; at most {read:.2f} read for one sent", file=sys.stderr)
    result = list(sum_up(seen, sources))
    if args.json:
        print(json.dumps(result))
    else:
        show(result)


if __name__ == "__main__":
    main()
