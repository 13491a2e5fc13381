"""bench-pipelines: what each pipeline costs by size of the picture, and how many cameras it serves.

  pipelines.py --build build/plain [--rounds 5] [--quick] [--into README.md]

The pictures are those that streamload makes, noise and all, of about 1.2 bits a pixel.

Times: what `timing=1` tells of a frame: the median of 20 frames at 30 a second, and of the rounds, in
turns. streamd has core 0, the camera core 1.

Sessions: how many cameras of 30 fps at random phases keep the p99, from when a frame was due to its
answer, below 37 ms, with at most 1 % dropped or not sent. streamd and streamload share the two cores, and
what streamload is late by counts as well. A number keeps that if two of three runs do, of 2 s and at
least 200 frames; one that does not while others use more than 5 % of the cores is made again, three
times at most. The numbers tried are 10 % apart.

Threads: the same for 640x480, by how many I/O threads and workers streamd has.

Process: the worker of server/pipelines/examples/worker.c beside size_plugin.c, the same in process, on one
core, in turns like the times.

--quick: one round and one run, to see that it works.
"""

import argparse
import asyncio
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import table
import websockets

import servers
from load import rawws

BEGIN, END = "<!-- bench-pipelines -->", "<!-- /bench-pipelines -->"
SERVER_CORE, CAMERA_CORE = 0, 1
SIZES = {"640x480": 46_000, "1280x720": 138_000, "1920x1080": 310_000}  # bytes of a picture
FPS, FRAMES, PICTURES = 30, 20, 8
PARTS = ("decode_us", "inference_us", "pipeline_us")
BUDGET_MS, DROPS_MAX = 37, 0.01
RUNS, RUN_S, RUN_FRAMES = 3, 2, 200
FOREIGN_MAX, AGAIN_MAX = 0.05, 3
SESSIONS_MAX = 1000
SPLITS = ((1, 0), (2, 0), (1, 1), (1, 2), (2, 2))  # I/O threads and workers
SPLIT_PIPELINES, SPLIT_SIZE, SPLIT_SESSIONS_MAX = ("null", "motion", "face"), "640x480", 4000
WORKER, PLUGIN = "size-worker", "size-plugin"  # the same work
PROCESS_SIZE, PROCESS_MAX_MS = "640x480", 0.1
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "server" / "pipelines" / "examples"
WANTED = ("inspect", "motion", "face", "apriltag", "zbar", "worker")


def specs(build):
    """What is not there under its own name: {name: specification}."""
    return {
        "worker": f"exec:workers=2,python3 {EXAMPLES / 'worker.py'}",
        WORKER: f"exec:{build.resolve() / 'bench' / 'size_worker'}",
        PLUGIN: f"plugin:{build.resolve() / 'bench' / 'size_plugin.so'}",
        **{f.stem: f"plugin:{f.resolve()}" for f in (build / "plugins").glob("zbar.so")},
    }


def tell(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, build, folder, quick):
        self.streamd, self.streamload = build / "streamd", build / "streamload"
        self.specs = [f"{name}={spec}" for name, spec in specs(build).items()]
        self.pictures = {size: pathlib.Path(folder, size) for size in SIZES}
        self.runs_wanted = 1 if quick else RUNS // 2 + 1
        self.foreign = []  # of each run of streamload: what others used of all cores
        for size, path in self.pictures.items():
            path.mkdir()
            for k, picture in enumerate(asyncio.run(self.make(size))):
                (path / f"{k}.jpg").write_bytes(picture)

    async def make(self, size):
        """The pictures that streamload sends."""
        pictures = []

        async def take(ws, _path=None):
            async for picture in ws:
                pictures.append(picture)

        async with websockets.serve(take, "127.0.0.1", 0, max_size=None) as server:
            port = server.sockets[0].getsockname()[1]
            run = await asyncio.create_subprocess_exec(
                self.streamload, "run", f"127.0.0.1:{port}", "-q", "-s", "1", "-f", str(FPS),
                "-d", "500ms", "--answer-timeout", "100ms", "--geometry", size,
                "--size", str(SIZES[size]), stdout=subprocess.DEVNULL)
            await run.wait()
        return pictures[:PICTURES]

    def offered(self):
        options = [f"--pipeline={s}" for s in self.specs]
        done = subprocess.run([self.streamd, *options, "--list-pipelines", "--json"], check=True,
                              capture_output=True)
        names = {p["name"] for p in json.loads(done.stdout)["pipelines"]}
        return [n for n in WANTED if n in names]

    def start(self, core, workers, *options):
        return servers.Streamd(self.streamd, core, workers, self.specs, "latest", *options)

    def stream(self, port, name, size):
        """A camera that waits for its answers: the medians of its PARTS, in ms."""
        messages = [rawws.frame(rawws.BINARY, f.read_bytes())
                    for f in sorted(self.pictures[size].iterdir())]
        with rawws.RawWs(port, f"pipeline_id={name}&timing=1") as ws:
            frames = [self.ask(ws, messages[k % len(messages)]) for k in range(-2, FRAMES)]
        return middle(frames[2:])  # the first ones get memory, and the like

    def ask(self, ws, message):
        due_s = time.monotonic() + 1 / FPS
        ws.write(message)
        answer = json.loads(ws.read_message()[1])
        assert "result" in answer and "status" not in answer["result"], answer
        time.sleep(max(0, due_s - time.monotonic()))
        return [answer["timing"][part] / 1000 for part in PARTS]

    def play(self, server, name, size, sessions, seed):
        """The totals of a run of streamload, and what others used of the cores meanwhile."""
        run_s = max(RUN_S, RUN_FRAMES / (FPS * sessions))
        began_s, busy_s, own_s = time.monotonic(), servers.machine_busy_s(), own_cpu_s(server)
        done = subprocess.run(
            ["taskset", "-c", f"{SERVER_CORE},{CAMERA_CORE}", self.streamload, "run",
             f"127.0.0.1:{server.ports[0]}", "-q", "-p", name, "-s", str(sessions), "-f", str(FPS),
             "-d", f"{run_s:.1f}s", "--phase", "random", "--seed", str(seed), "--wait", "sleep",
             "--answer-timeout", "500ms", "--frames", self.pictures[size], "--json", "-"],
            capture_output=True, check=False)
        foreign_s = servers.machine_busy_s() - busy_s - (own_cpu_s(server) - own_s)
        share = max(0, foreign_s) / (time.monotonic() - began_s) / os.cpu_count()
        self.foreign.append(share)
        return json.loads(done.stdout)["summary"]["total"], share

    def keeps(self, server, name, size, sessions):
        """Whether most of the runs do; ends when that is certain."""
        kept = failed = again = 0
        while max(kept, failed) < self.runs_wanted:
            seen, foreign = self.play(server, name, size, sessions, seed=1 + kept + failed)
            if keeps(seen):
                kept += 1
            elif foreign > FOREIGN_MAX and again < AGAIN_MAX:
                again += 1
            else:
                failed += 1
        return kept > failed


def own_cpu_s(server):
    done = resource.getrusage(resource.RUSAGE_CHILDREN)
    return server.cpu_s() + time.process_time() + done.ru_utime + done.ru_stime


def keeps(seen):
    """Of a run's totals. What was held up until the end of the run is as good as dropped."""
    bad = seen["due"] - seen["answered"]
    p99_ms = seen["latency"].get("p99_ms")
    return p99_ms is not None and p99_ms < BUDGET_MS and bad <= DROPS_MAX * seen["due"]


def levels(limit):
    """1 to 20 one by one, then 10 % apart."""
    n, found = 1, []
    while n < limit:
        found.append(n)
        n += max(1, n // 10)
    return [*found, limit]


def most(numbers, guess, is_kept):
    """The largest of the ascending numbers that is kept, 0 if none is; begins near the guess, in
    growing steps, and then halves."""
    low, high = -1, len(numbers)  # indexes: kept, not kept
    at, step = max((k for k, n in enumerate(numbers) if n <= guess), default=0), 2
    while high - low > 1:
        if is_kept(numbers[at]):
            low = at
        else:
            high = at
        if low < 0:
            at = max(0, at - step)
        elif high == len(numbers):
            at = min(high - 1, at + step)
        else:
            at = (low + high) // 2
        step *= 2
    return numbers[low] if low >= 0 else 0


def measure_times(bench, names, rounds):
    """{(name, size): [medians of PARTS]}, an item a round; and of the same work in two ways."""
    cells = [(n, s) for n in names for s in SIZES]
    cells += [(WORKER, PROCESS_SIZE), (PLUGIN, PROCESS_SIZE)]
    seen = {cell: [] for cell in cells}
    os.sched_setaffinity(0, {CAMERA_CORE})
    with bench.start(SERVER_CORE, 1, "--budget=off") as server:
        for k in range(rounds):
            tell(f"times: round {k + 1} of {rounds}")
            for name, size in cells:
                seen[name, size].append(bench.stream(server.ports[0], name, size))
    return seen


def measure_sessions(bench, names, times):
    found = {}
    with bench.start(f"{SERVER_CORE},{CAMERA_CORE}", 2) as server:
        for name, size in ((n, s) for n in names for s in SIZES):
            guess = 1000 / FPS / (middle(times[name, size])[-1] + 0.1)  # half of what two cores would do
            found[name, size] = most(
                levels(SESSIONS_MAX), guess,
                lambda n, name=name, size=size: bench.keeps(server, name, size, n))
            tell(f"sessions: {name} {size}: {found[name, size]}")
    return found


def measure_splits(bench, guesses):
    """{(pipeline, split): sessions}; guesses: {pipeline: sessions}."""
    found = {}
    for split in SPLITS:
        with bench.start(f"{SERVER_CORE},{CAMERA_CORE}", split[1],
                         f"--io-threads={split[0]}") as server:
            for name, guess in guesses.items():
                found[name, split] = most(
                    levels(SPLIT_SESSIONS_MAX), guess,
                    lambda n, name=name, server=server: bench.keeps(server, name, SPLIT_SIZE, n))
                tell(f"threads: {name} {split}: {found[name, split]}")
    return found


def split_rows(found):
    for name in SPLIT_PIPELINES:
        counts = [found[name, split] for split in SPLITS if (name, split) in found]
        if counts:
            yield (name, *(f"**{n}**" if n == max(counts) else str(n) for n in counts))


def middle(rows):
    """The medians of each column."""
    return [statistics.median(column) for column in zip(*rows)]


def row(name, size, rounds, sessions):
    more = " or more" if sessions == SESSIONS_MAX else ""
    return (name, size, *(f"{ms:.2f} ms" for ms in middle(rounds)), f"{sessions}{more}")


def process_text(worker_rounds, plugin_rounds):
    pairs = [(a[-1], b[-1]) for a, b in zip(worker_rounds, plugin_rounds)]
    a, b, more_ms = middle((a, b, a - b) for a, b in pairs)
    mark = "" if more_ms <= PROCESS_MAX_MS else table.SHORT
    return (
        f"A worker process (`worker.c`, which tells the size of a JPEG of {SIZES[PROCESS_SIZE] // 1000}"
        f" KB) costs {more_ms:.3f} ms a frame more than the same as a plugin in process: {a:.3f} ms :"
        f" {b:.3f} ms, median of {len(pairs)} rounds; it must be at most {PROCESS_MAX_MS} ms{mark}.\n"
    )


SPLIT_HEAD = ("sessions", *(f"{io} I/O, {n} worker{'s' if n != 1 else ''}" for io, n in SPLITS))
HEAD = ("pipeline", "picture", "decode", "inference", "both", f"sessions of {FPS} fps")
LEGEND = (
    f"JPEGs of {', '.join(str(n // 1000) for n in SIZES.values())} KB. *Sessions* is how many cameras of"
    f" {FPS} fps keep the p99, from when a frame was due to its answer, below {BUDGET_MS} ms with at most"
    f" {100 * DROPS_MAX:.0f} % dropped: `streamd` and the load generator on the same two cores, in steps"
    f" of 10 %."
)


def machine_text(foreign):
    return (
        f"Others used {100 * statistics.median(foreign):.0f} % of the cores in the median of"
        f" {len(foreign)} runs, {100 * max(foreign):.0f} % in the worst.\n"
    )


def put_into(path, text):
    head, _, rest = path.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    path.write_text(f"{head}{BEGIN}\n{text}{END}{tail}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--into", type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args.build, folder, args.quick)
        names = bench.offered()
        times = measure_times(bench, names, 1 if args.quick else args.rounds)
        sessions = measure_sessions(bench, names, times)
        guesses = {n: max(1, sessions.get((n, SPLIT_SIZE), 1000)) for n in SPLIT_PIPELINES
                   if n == "null" or n in names}
        splits = measure_splits(bench, guesses)
    rows = [row(*cell, times[cell], n) for cell, n in sessions.items()]
    process = process_text(times[WORKER, PROCESS_SIZE], times[PLUGIN, PROCESS_SIZE])
    text = "\n".join([table.grid(HEAD, rows), f"{LEGEND} {machine_text(bench.foreign)}", process,
                      f"The same sessions at {SPLIT_SIZE}, by threads of `streamd`:\n",
                      table.grid(SPLIT_HEAD, list(split_rows(splits)))])
    print(text)
    if args.into:
        put_into(args.into, text)


if __name__ == "__main__":
    main()
