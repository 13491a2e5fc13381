"""bench-compare: is `streamload compare` right about real runs?

  compare.py --build build/plain [--runs 20]

Three servers: two alike, and one whose pipeline takes 10 % longer. Runs of 3 s are taken of all three
in turns. Then, many times over, 10 of the runs of the first are drawn by chance and compared with 10
of the second (they must not differ: a false alarm) and with 10 of the third (they must). The comparing
is streamload's own, on the files. Draws share runs, so the shares are less exact than their number
suggests.
"""

import argparse
import json
import pathlib
import random
import statistics
import subprocess
import tempfile

import servers

SERVER_CORE, LOAD_CORE = 0, 1
SIDES = ("one", "other", "slower")
WORK_MS = {"one": 20, "other": 20, "slower": 22}
DRAWS, DRAWN = 200, 10


def play(streamload, port, path):
    done = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), streamload, "run", f"127.0.0.1:{port}", "-p", "work", "-q",
         "-s", "8", "-f", "30", "-d", "3s", "--json", path], check=False)
    return done.returncode != 5


def differ(streamload, a, b):
    done = subprocess.run([streamload, "compare", *a, "vs", *b], capture_output=True, check=False)
    assert done.returncode in (0, 6), done.stderr
    return done.returncode == 6


def share_that_differs(streamload, a, b, chance):
    found = 0
    for _ in range(DRAWS):
        found += differ(streamload, chance.sample(a, DRAWN), chance.sample(b, DRAWN))
    return found / DRAWS


def p99_ms(path):
    return json.loads(path.read_text())["summary"]["total"]["latency"]["p99_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args()
    streamload = args.build / "streamload"
    runs = {side: [] for side in SIDES}
    invalid = 0
    with tempfile.TemporaryDirectory() as folder:
        up = {side: servers.Streamd(args.build / "streamd", SERVER_CORE, 8,
                                    [f"work=delay:ms={WORK_MS[side]},jitter_ms=4"], "latest")
              for side in SIDES}
        while min(map(len, runs.values())) < args.runs:
            for side in SIDES:
                path = pathlib.Path(folder, f"{side}{len(runs[side])}.json")
                if play(streamload, up[side].ports[0], path):
                    runs[side].append(path)
                else:
                    invalid += 1
        for server in up.values():
            server.kill()
        for side in SIDES:
            p99 = [p99_ms(p) for p in runs[side]]
            print(f"{side:7} {WORK_MS[side]} ms of work: p99 {statistics.mean(p99):.2f} ms, "
                  f"run to run {100 * statistics.stdev(p99) / statistics.mean(p99):.2f} %")
        chance = random.Random(1)
        print(f"{invalid} runs were not valid; of {DRAWS} draws of {DRAWN} runs each")
        for side in SIDES[1:]:
            share = share_that_differs(streamload, runs["one"], runs[side], chance)
            print(f"one against {side}: {100 * share:.1f} % differ")


if __name__ == "__main__":
    main()
