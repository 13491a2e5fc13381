"""bench-loadgen: how many cameras a load generator can play, streamload beside node's ws and Artillery.

  loadgen.py --build build/plain --out build/bench/loadgen.json [--into README.md] [--quick]

The server is streamd with the null pipeline on its I/O thread, on core 0: it answers at once. The
generator has core 1. A camera sends 46 KB at 30 fps on an absolute schedule. In every
round each tool plays each number of sessions once, in turn; medians over the rounds are
told. A tool holds a number of sessions when 99.9 % of its frames are sent within their slot
of 33 ms and 99 % within 5 ms of when they were due.

npm installs ws and Artillery into build/bench/npm; without npm or network their rows are missing,
and that is said.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

import freeze
import servers
import table

HERE = pathlib.Path(__file__).parent
FPS, BYTES = 30, 46000
SERVER_CORE, LOAD_CORE = 0, 1
SLOT_US, SOON_US = 1e6 / FPS, 5000
IN_SLOT, SOON = 0.999, 0.99
BEGIN, END = "<!-- bench-loadgen -->", "<!-- /bench-loadgen -->"
BASE_KIB = 8192  # that 32 KiB a session come on top of
POINTS = {
    "streamload": (200, 500, 1000, 1500, 2000),
    "node ws": (100, 200, 300, 500, 700),
    "Artillery": (50, 100, 150, 200, 250),
}


def bucket_high_us(bucket):
    """common/hist.h: 1 us each below 64, then 32 to a power of two."""
    if bucket < 32:
        return bucket
    shift = (bucket + 1) // 32 - 1
    return ((bucket + 1 - 32 * shift) << shift) - 1


def share_within(hist, limit_us):
    return sum(n for b, n in hist["buckets"] if bucket_high_us(b) <= limit_us) / hist["count"]


def timed(command, env=None):
    """Runs it on the generator's core; gives its output and its resource usage."""
    process = subprocess.Popen(["taskset", "-c", str(LOAD_CORE), *map(str, command)],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               env={**os.environ, **(env or {})})
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return out, usage, process.returncode


class Streamload:
    def __init__(self, build, scratch):
        self.binary, self.path = build / "streamload", scratch / "streamload.json"

    def play(self, port, sessions, seconds):
        _, usage, code = timed([self.binary, "run", f"127.0.0.1:{port}", "-q", "-p", "null",
                                "-s", sessions, "-f", FPS, "--size", BYTES, "-d", f"{seconds}s",
                                "--json", self.path])
        report = json.loads(self.path.read_text())
        total, slip = report["summary"]["total"], report["record"]["parts"][0]["times"]["slip"]
        due = sessions * FPS * seconds
        kept = total["sent"] / due
        return {
            "in_slot": kept * share_within(slip, SLOT_US),
            "in_5ms": kept * share_within(slip, SOON_US),
            "p99_ms": total["latency"]["p99_ms"],
            "cpu_us": report["generators"][0]["cpu_us"] / total["sent"],
            "rss_kib": usage.ru_maxrss,
            "exit_code": code,
        }


def npm(folder, *packages):
    """Installs into folder unless it is there. False: it cannot be had."""
    if all((folder / "node_modules" / p).is_dir() for p in packages):
        return True
    if not shutil.which("npm"):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", *packages], cwd=folder,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300,
                              env={**os.environ, "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1"}, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


class Node:
    def __init__(self, folder):
        self.env = {"NODE_PATH": str(folder / "node_modules")}

    def play(self, port, sessions, seconds):
        url = f"ws://127.0.0.1:{port}/ws/video/stream?pipeline_id=null"
        out, usage, code = timed(["node", HERE / "loadgen_node.js", url, sessions, FPS, seconds,
                                  BYTES], self.env)
        told = json.loads(out)
        p99_us = told["p99_us"]
        return {"in_slot": told["in_slot"], "in_5ms": told["in_5ms"],
                "p99_ms": None if p99_us is None else p99_us / 1000,
                "cpu_us": told["cpu_us_per_frame"], "rss_kib": usage.ru_maxrss, "exit_code": code}


class Artillery:
    def __init__(self, folder, scratch):
        self.program = folder / "node_modules" / ".bin" / "artillery"
        self.script, self.out = scratch / "artillery.json", scratch / "artillery.txt"

    def play(self, port, sessions, seconds):
        count = FPS * seconds
        self.out.unlink(missing_ok=True)
        self.script.write_text(json.dumps({
            "config": {"target": f"ws://127.0.0.1:{port}/ws/video/stream?pipeline_id=null",
                       "processor": str((HERE / "loadgen_artillery.js").resolve()),
                       "phases": [{"duration": 1, "arrivalCount": sessions}]},
            "scenarios": [{"engine": "ws", "flow": [
                {"loop": [{"function": "sendFrame"}], "count": count},
                {"think": 1}, {"function": "finish"}]}],
        }))
        _, usage, code = timed([self.program, "run", self.script],
                               {"FPS": str(FPS), "COUNT": str(count), "BYTES": str(BYTES),
                                "OUT": str(self.out), "ARTILLERY_DISABLE_TELEMETRY": "true"})
        lines = self.out.read_text().splitlines() if self.out.exists() else []
        told = [json.loads(line) for line in lines]
        late = [v for t in told for v in t["late"]]
        latency = sorted(v for t in told for v in t["latency"])
        due = sessions * count
        all_there = len(latency) == due
        return {
            "in_slot": sum(v <= SLOT_US for v in late) / due,
            "in_5ms": sum(v <= SOON_US for v in late) / due,
            "p99_ms": latency[int(0.99 * due)] / 1000 if all_there else None,
            "cpu_us": 1e6 * (usage.ru_utime + usage.ru_stime) / max(1, len(late)),
            "rss_kib": usage.ru_maxrss,
            "exit_code": code,
        }


def holds(point):
    return point["in_slot"] >= IN_SLOT and point["in_5ms"] >= SOON


def median_point(runs):
    point = {}
    for key in runs[0]:
        values = [r[key] for r in runs]
        point[key] = None if None in values else statistics.median(values)
    return point


def measure(tools, port, rounds, seconds, points):
    runs = {(name, n): [] for name in tools for n in points[name]}
    for turn in range(rounds):
        for place in range(max(len(p) for p in points.values())):
            for name, tool in tools.items():
                if place < len(points[name]):
                    n = points[name][place]
                    run = tool.play(port, n, seconds)
                    runs[name, n].append(run)
                    print(f"round {turn + 1}: {name} {n}: {100 * run['in_slot']:.2f} % in slot, "
                          f"{100 * run['in_5ms']:.2f} % within 5 ms", file=sys.stderr, flush=True)
    return {name: {n: median_point(runs[name, n]) for n in points[name]} for name in tools}


# ---- telling


def largest(points):
    return max((n for n, p in points.items() if holds(p)), default=0)


def percent(value):
    return f"{100 * value:.2f} %"


def rows(result):
    for name, points in result["tools"].items():
        for n, p in points.items():
            yield (name, str(n), percent(p["in_slot"]), percent(p["in_5ms"]),
                   "never" if p["p99_ms"] is None else f"{p['p99_ms']:.2f} ms",
                   f"{p['cpu_us']:.0f} us", f"{p['rss_kib'] / 1024:.0f} MiB",
                   "yes" if holds(p) else "no")


def freeze_rows(result):
    for name, f in result["freeze"].items():
        codes = ", ".join(map(str, f["exit_codes"]))
        yield (f"of the {name}", f"{f['true_p99_ms']:.0f} ms", f"{f['p99_ms']:.0f} ms",
               f"{100 * f['off']:+.1f} %", codes)


def markdown(result):
    tools = result["tools"]
    text = table.grid(["generator", "sessions", "sent in their slot", "within 5 ms", "p99",
                       "CPU a frame", "memory", "holds"], list(rows(result)))
    most = {name: largest(points) for name, points in tools.items()}
    ours = most.get("streamload", 0)
    text += f"\nThe most of those tried: streamload {ours}"
    for name, n in most.items():
        if name != "streamload":
            text += f"; {name} {n}" + (f" (1 : {ours / n:.1f})" if n else "")
    biggest = max(tools["streamload"])
    rss = tools["streamload"][biggest]["rss_kib"]
    text += (f". Memory of streamload at {biggest} sessions, shared libraries and all: "
             f"{(rss - BASE_KIB) / biggest:.1f} KiB a session over a base of 8 MiB.\n")
    for name in result["missing"]:
        text += f"\n{name} could not be had (npm, network), so its rows are missing.\n"
    text += "\nOne stop of 500 ms in 12 s of 10 sessions:\n\n"
    text += table.grid(["stop", "true p99", "told p99", "off", "exit code"],
                       list(freeze_rows(result)))
    return text


def put_into(path, text):
    readme = path.read_text()
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    path.write_text(f"{head}{BEGIN}\n{text}{END}{tail}")


def available(build, out, missing):
    scratch = out.parent
    tools = {"streamload": Streamload(build, scratch)}
    folder = (out.parent / "npm").resolve()
    if npm(folder / "ws", "ws"):
        tools["node ws"] = Node(folder / "ws")
    else:
        missing.append("node ws")
    if npm(folder / "artillery", "artillery"):
        tools["Artillery"] = Artillery(folder / "artillery", scratch)
    else:
        missing.append("Artillery")
    return tools


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--into", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="one round")
    args = parser.parse_args()
    rounds = 1 if args.quick else 5
    missing = []
    tools = available(args.build, args.out, missing)
    with servers.Streamd(args.build / "streamd", SERVER_CORE, 0, ["bench=null"], "latest") as srv:
        port = srv.ports[0]
        result = {"rounds": rounds, "missing": missing,
                  "tools": measure(tools, port, rounds, 4, POINTS)}
        srv.port, srv.pid = port, srv.process.pid
        result["freeze"] = freeze.measure(args.build / "streamload", srv,
                                          args.out.parent / "freeze.json", rounds)
    args.out.write_text(json.dumps(result, indent=1))
    text = markdown(result)
    print(text)
    if args.into:
        put_into(args.into, text)


if __name__ == "__main__":
    main()
