"""bench-pipelines: what each pipeline costs, by size of the picture.

  pipelines.py --build build/plain [--rounds 5] [--into README.md]

The time of the pipeline in the server, as `timing=1` tells it, decoding included: the median of 40 frames,
and of the rounds (--rounds), in turns. streamd has core 0, the camera core 1.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

import servers
import table

BEGIN, END = "<!-- bench-pipelines -->", "<!-- /bench-pipelines -->"
SIZES = ((640, 480), (1280, 720), (1920, 1080))
FRAMES = 40
EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "server" / "pipelines" / "examples"
SPECS = ["worker=exec:workers=2,python3 " + str(EXAMPLE / "worker.py")]
WANTED = ("inspect", "motion", "face", "apriltag", "worker")


def offered(streamd):
    done = subprocess.run([streamd, "--list-pipelines", "--json"], check=True, capture_output=True)
    return {p["name"] for p in json.loads(done.stdout)["pipelines"]} | {"worker"}


def pipeline_ms(streamctl, port, name, size):
    done = subprocess.run(
        ["taskset", "-c", "1", streamctl, "stream", f"test:{size[0]}x{size[1]}@10",
         f"127.0.0.1:{port}", "-q", "-p", name, "-n", str(FRAMES), "--no-adapt", "--in-flight", "1",
         "--budget", "5s"], check=True, capture_output=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    times = [e["timing"]["pipeline_us"] / 1000 for e in events if e["event"] == "result"]
    return statistics.median(times)


def put_into(path, text):
    head, _, rest = path.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    path.write_text(f"{head}{BEGIN}\n{text}{END}{tail}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--into", type=pathlib.Path)
    args = parser.parse_args()
    names = [n for n in WANTED if n in offered(args.build / "streamd")]
    seen = {(n, s): [] for n in names for s in SIZES}
    with servers.Streamd(args.build / "streamd", 0, 1, SPECS, "latest") as server:
        for k in range(args.rounds):
            print(f"round {k + 1} of {args.rounds}", file=sys.stderr)
            for name, size in seen:
                seen[name, size].append(
                    pipeline_ms(args.build / "streamctl", server.ports[0], name, size))
    rows = [(n, *(f"{statistics.median(seen[n, s]):.2f} ms" for s in SIZES)) for n in names]
    text = table.grid(["pipeline", *(f"{w}x{h}" for w, h in SIZES)], rows)
    print(text)
    if args.into:
        put_into(args.into, text)


if __name__ == "__main__":
    main()
