"""bench-overload: what happens when there is too much, streamd beside the usual server.

  overload.py --streamd build/plain/streamd --out build/bench/overload.json [--quick]

Prints the tables and writes them beside the report as Markdown (.md); plot.py draws the
report. Servers run on core 0, the load generator on core 1; pipelines sleep, so a worker
is a model that runs elsewhere. Contenders run in turn in every round, with the same
cameras at the same phases, and medians over the rounds are told.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import sys
import time

import servers
import table
from load import GARBAGE, Camera, Run, play, quantile

BUDGET_MS = 37
SERVER_CORE, LOAD_CORE = 0, 1
TRIES = 3  # for a run that was not valid
POLICIES = ("latest", "strict", "phase17")
CONTENDERS = (*POLICIES, "usual")

FLEET = 5  # servers side by side in a situation
WORKERS = 2  # of the overload curve and of the fairness table
WORK_MS = 10
CAPACITY_PER_S = WORKERS * 1000 / WORK_MS
LOADS = (0.5, 0.75, 1, 1.5, 2, 3, 4)

# fps and work of the unequal sessions
UNEQUAL = (
    (5, 5), (10, 20), (15, 10), (20, 5), (25, 20), (30, 10),
    (30, 20), (45, 5), (60, 10), (60, 20), (90, 5), (120, 10),
)  # fmt: skip
GARBAGE_FPS = 1000


class Bench:
    """The settings of this invocation, and what the machine did meanwhile."""

    def __init__(self, args):
        self.binary = args.streamd
        self.quick = args.quick
        self.rounds = 1 if args.quick else args.rounds
        self.sessions = args.sessions
        self.loads = LOADS[::2] if args.quick else LOADS
        self.window_s = 0.6 if args.quick else 0.8
        self.warm_s = 0.25
        self.runs = []  # of each run: the generator's slip, its CPU, others' CPU

    def start(self, contender, workers, pipelines):
        if contender == "usual":
            return servers.Usual(SERVER_CORE, workers, pipelines)
        return servers.Streamd(self.binary, SERVER_CORE, workers, pipelines, contender)

    def play(self, group, cameras, **times) -> Run:
        """Plays, and notes how the machine was; group: the servers that are meant to run."""
        began_s, busy_s = time.monotonic(), servers.machine_busy_s()
        own_s = time.process_time() + sum(s.cpu_s() for s in group)
        run = play(cameras, **times)
        own_s = time.process_time() + sum(s.cpu_s() for s in group) - own_s
        busy_s = servers.machine_busy_s() - busy_s
        cores_s = (time.monotonic() - began_s) * os.cpu_count()
        self.runs.append(
            {
                "valid": run.is_valid(),
                "slip_p50_us": run.slip_p50_us,
                "slip_p99_us": run.slip_p99_us,
                "load_cpu_share": round(run.cpu_share, 3),
                "foreign_cpu_share": round(max(0, busy_s - own_s) / cores_s, 3),
                "broken": run.broken,
            }
        )
        return run


def tell(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def to_ms(us):
    return None if us is None else us / 1000


def results(run, camera):
    return [(age_us, at_us) for age_us, at_us, kind in run.replies(camera) if kind == "result"]


# ---- the situations


class Fleet:
    """Separate servers of one worker each, so that a situation runs FLEET times at once."""

    def __init__(self, bench, contender, pipeline):
        if contender == "usual":
            self.group = [bench.start("usual", FLEET, [pipeline])]
        else:
            self.group = [bench.start(contender, 1, [pipeline]) for _ in range(FLEET)]
        self.ports = [port for server in self.group for port in server.ports]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.group:
            server.kill()

    def normal_after_s(self):
        """How long after its start a session was last in another state; 0 if never."""
        worst_s = 0.0
        for events in (server.events() for server in self.group):
            begun = {e["session_id"]: e for e in events if e["event_type"] == "stream_connect"}
            states = {}
            for e in events:
                if e["event_type"] == "stream_state":
                    states[e["session_id"]] = e
            for name, e in states.items():
                if e["to"] != "normal":
                    return None
                worst_s = max(worst_s, iso_s(e["time"]) - iso_s(begun[name]["time"]))
        return worst_s


def iso_s(text):
    hours, minutes, seconds = text.rstrip("Z").partition("T")[2].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def play_situation(bench, contender, pipeline, sessions_each, seconds, grace_s=0.0):
    """FLEET servers with sessions_each cameras of 30 fps each; (run, when normal again).

    Without grace_s only what arrives while the cameras still send counts: the last frame
    of all waits longest, because no newer one replaces it.
    """
    for _ in range(TRIES):
        phases = random.Random(pipeline)
        with Fleet(bench, contender, f"work=delay:{pipeline}") as fleet:
            cameras = [
                Camera(port, "work", 30, phases.random() / 30)
                for port in fleet.ports
                for _ in range(sessions_each)
            ]
            run = bench.play(fleet.group, cameras, seconds=seconds, grace_s=grace_s)
            run.to_us += int(grace_s * 1e6)
            normal_after_s = fleet.normal_after_s() if contender != "usual" else None
            for camera in cameras:
                camera.close()
        if run.is_valid():
            break
    return run, normal_after_s


def measure_slow_first(bench, contender, seconds):
    run, normal_s = play_situation(bench, contender, "ms=0,first_ms=40", 1, seconds, 0.2)
    n_results = [len(results(run, c)) for c in run.cameras]
    offered = [c.n_due for c in run.cameras]
    return {
        "frames": median(offered),
        "not_answered": median(o - n for o, n in zip(offered, n_results)),
        "normal_after_s": normal_s,
    }


def measure_some_slow(bench, contender, seconds):
    run, _ = play_situation(bench, contender, "ms=0,slow_ms=40,slow_share=0.05", 4, seconds)
    window_us = 64 / 30 * 1e6
    gaps, locked = [], 0
    for camera in run.cameras:
        at = [run.from_us, *(at_us for _, at_us in results(run, camera)), run.to_us]
        gaps.append(max(b - a for a, b in zip(at, at[1:])))
        locked += at[-1] - at[-2] > min(window_us, seconds * 1e6 / 2)
    return {
        "sessions": len(run.cameras),
        "locked_share": locked / len(run.cameras),
        "longest_gap_s": max(gaps) / 1e6,
    }


def measure_slow_work(bench, contender, seconds):
    run, _ = play_situation(bench, contender, "ms=50", 1, seconds)
    ages = [[age for age, _ in results(run, c)] for c in run.cameras]
    return {
        "results_per_s": median(len(a) / seconds for a in ages),
        "age_p50_ms": to_ms(median(quantile(a, 0.5) for a in ages)),
        "age_max_ms": to_ms(median(max(a, default=None) for a in ages)),
    }


def measure_two_sessions(bench, contender, seconds):
    run, _ = play_situation(bench, contender, "ms=20", 2, seconds)
    at_start, at_end, shares = [], [], []
    for pair in zip(run.cameras[::2], run.cameras[1::2]):
        both = [results(run, camera) for camera in pair]
        answered = sum(both, [])
        at_start.append(
            quantile([age for age, at in answered if at < run.from_us + 1_000_000], 0.5)
        )
        at_end.append(quantile([age for age, at in answered if at >= run.to_us - 1_000_000], 0.5))
        shares.append(min(map(len, both)) / max(1, len(answered)))
    return {
        "age_start_ms": to_ms(median(at_start)),
        "age_end_ms": to_ms(median(at_end)),
        "smaller_share": median(shares),
    }


SITUATIONS = (  # name, how, seconds, with --quick
    ("slow_first", measure_slow_first, 8, 3),
    ("some_slow", measure_some_slow, 20, 5),
    ("slow_work", measure_slow_work, 15, 3),
    ("two_sessions", measure_two_sessions, 10, 3),
)


def bench_situations(bench):
    report = {}
    for name, measure, seconds, quick_s in SITUATIONS:
        seconds = quick_s if bench.quick else seconds
        report[name] = {"seconds": seconds}
        for contender in ("usual", "latest"):
            tell(f"situation {name}: {contender}, {seconds} s")
            report[name][contender] = measure(bench, contender, seconds)
            report[name][contender]["valid"] = bench.runs[-1]["valid"]
    return report


# ---- the overload curve


def measure_point(bench, contender, load, phases):
    """One window of one contender at one load."""
    fps = load * CAPACITY_PER_S / bench.sessions
    with bench.start(contender, WORKERS, [f"work=delay:ms={WORK_MS}"]) as server:
        cameras = [
            Camera(server.ports[k % len(server.ports)], "work", fps, phases[k] / fps)
            for k in range(bench.sessions)
        ]
        run = bench.play([server], cameras, seconds=bench.window_s, warm_s=bench.warm_s)
        for camera in cameras:
            camera.close()
    ages, dropped = [], {}
    for camera in cameras:
        for age_us, _, kind in run.replies(camera):
            if kind == "result":
                ages.append(age_us)
            else:
                dropped[kind] = dropped.get(kind, 0) + 1
    return {
        "valid": run.is_valid(),
        "offered_per_s": sum(map(run.n_offered, cameras)) / run.seconds,
        "answered_per_s": len(ages) / run.seconds,
        "in_budget_per_s": sum(a <= BUDGET_MS * 1000 for a in ages) / run.seconds,
        "dropped_per_s": {reason: n / run.seconds for reason, n in dropped.items()},
        "age_p50_ms": to_ms(quantile(ages, 0.5)),
        "age_p99_ms": to_ms(quantile(ages, 0.99)),
    }


def retry(measure, *args):
    """A measurement that is not valid is made again, a few times."""
    for _ in range(TRIES):
        point = measure(*args)
        if point["valid"]:
            break
    return point


def bench_curve(bench):
    points = {c: {str(load): [] for load in bench.loads} for c in CONTENDERS}
    for k in range(bench.rounds):
        tell(f"overload: round {k + 1} of {bench.rounds}")
        for load in bench.loads:
            rng = random.Random(f"{k} {load}")
            phases = [rng.random() for _ in range(bench.sessions)]
            for contender in CONTENDERS:
                point = retry(measure_point, bench, contender, load, phases)
                points[contender][str(load)].append(point)
    return {
        "workers": WORKERS,
        "work_ms": WORK_MS,
        "capacity_per_s": CAPACITY_PER_S,
        "sessions": bench.sessions,
        "window_s": bench.window_s,
        "warm_s": bench.warm_s,
        "rounds": bench.rounds,
        "points": points,
    }


# ---- fairness


def jain(rates):
    """Jain, Chiu, Hawe 1984: 1 when all are equal, 1/n when one has it all."""
    squares = sum(r * r for r in rates)
    return sum(rates) ** 2 / (len(rates) * squares) if squares else None


def fair_rate(sessions, workers):
    """The answers/s of a session that wants more than its share when all take turns:
    who wants less gets it all, and turns are equal however long they last."""
    rate = 0.0
    for fps in sorted({fps for fps, _ in sessions}):
        small = sum(f * ms for f, ms in sessions if f < fps)
        large = sum(ms for f, ms in sessions if f >= fps)
        rate = (workers * 1000 - small) / large
        if rate < fps:
            break
    return rate


def measure_fairness(bench, contender, with_garbage, phases):
    works = sorted({work for _, work in UNEQUAL})
    pipelines = [f"work{ms}=delay:ms={ms}" for ms in works]
    with bench.start(contender, WORKERS, pipelines) as server:
        ports = server.ports
        cameras = [
            Camera(ports[k % len(ports)], f"work{work}", fps, phases[k] / fps)
            for k, (fps, work) in enumerate(UNEQUAL)
        ]
        extra = [Camera(ports[0], "null", GARBAGE_FPS, 0, GARBAGE)] if with_garbage else []
        seconds = 1 if bench.quick else 1.5
        run = bench.play([server], cameras + extra, seconds=seconds, warm_s=0.5)
        for camera in cameras + extra:
            camera.close()
    offered = [run.n_offered(c) / run.seconds for c in cameras]
    answered = [len(results(run, c)) / run.seconds for c in cameras]
    rate = fair_rate(UNEQUAL, WORKERS)
    saturated = [a for (fps, _), a in zip(UNEQUAL, answered) if fps > rate]
    modest = [(o, a) for (fps, _), o, a in zip(UNEQUAL, offered, answered) if fps <= rate]
    ages = [age for c in cameras for age, _ in results(run, c)]
    return {
        "valid": run.is_valid(),
        "offered_per_s": offered,
        "answered_per_s": answered,
        "in_budget_per_s": sum(a <= BUDGET_MS * 1000 for a in ages) / run.seconds,
        "jain": jain(saturated),
        "modest_share": sum(a for _, a in modest) / sum(o for o, _ in modest),
        "age_p50_ms": to_ms(quantile(ages, 0.5)),
        "age_p99_ms": to_ms(quantile(ages, 0.99)),
        "garbage_answered_per_s": sum(len(results(run, c)) for c in extra) / run.seconds,
    }


def bench_fairness(bench):
    report = {f"{c}{g}": [] for c in ("latest", "usual") for g in ("", "+garbage")}
    for k in range(bench.rounds):
        tell(f"fairness: round {k + 1} of {bench.rounds}")
        rng = random.Random(f"fair {k}")
        phases = [rng.random() for _ in UNEQUAL]
        for name, rounds in report.items():
            contender, _, garbage = name.partition("+")
            rounds.append(retry(measure_fairness, bench, contender, bool(garbage), phases))
    rate = fair_rate(UNEQUAL, WORKERS)
    return {
        "sessions": UNEQUAL,
        "workers": WORKERS,
        "fair_rate": rate,
        "saturated": sum(fps > rate for fps, _ in UNEQUAL),
        "garbage_fps": GARBAGE_FPS,
        "rounds": report,
    }


# ---- all of it


def describe_runs(runs):
    """How the generator and the machine were, over all runs."""

    def spread(key):
        values = [r[key] for r in runs]
        return {"median": median(values), "p90": quantile(values, 0.9), "max": max(values)}

    return {
        "runs": len(runs),
        "not_valid": sum(not r["valid"] for r in runs),
        **{key: spread(key) for key in runs[0] if key != "valid"},
    }


def options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streamd", default="build/plain/streamd")
    parser.add_argument("--out", default="build/bench/overload.json", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="one round, under a minute")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=16, help="of the overload curve")
    return parser.parse_args()


def main():
    args = options()
    if os.cpu_count() < 2:
        sys.exit("bench-overload needs two cores")
    os.sched_setaffinity(0, {LOAD_CORE})
    bench = Bench(args)
    began_s = time.monotonic()
    report = {
        "budget_ms": BUDGET_MS,
        "quick": args.quick,
        "loadavg_before": os.getloadavg()[0],
        "situations": bench_situations(bench),
        "curve": bench_curve(bench),
        "fairness": bench_fairness(bench),
        "machine": describe_runs(bench.runs),
        "took_s": time.monotonic() - began_s,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    text = table.markdown(report)
    args.out.with_suffix(".md").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
