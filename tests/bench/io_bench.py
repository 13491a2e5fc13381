"""bench: what a frame costs streamd, beside the least that it can cost.

  io_bench.py --build build/plain --out build/bench.json [--into README.md] [--quick] [SECTION...]

Beside streamd with the null pipeline stand yard_lws (libwebsockets with the settings that were
measured to be the fastest, and nothing more), yard_epoll (no library at all), and servers as one
writes them with Node's ws and with FastAPI. The server has core 1, the client core 0. In every
round each contender is started, measured and ended once, in turns; figures are medians over the
rounds, ratios are medians of the ratios within a round.

Frames/s are those of one core, by the server's CPU time: then neither a client that is too slow
nor others on the machine make a server look slow. Latencies do need an idle machine.

SECTION is one of those that `list` lists; without any, all that are measured here.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import time
import typing

import servers
import table
from yards import BOTH_CORES, Yard, median, p99_median, ratio, rotated

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
FRAME_BYTES, FPS = 46000, 30
SIZES = (8000, 46000, 200000)
LEVELS = (10, 100, 1000, 2000)
BUDGET_US = 37000
SLIP_MAX_US = 5000  # at p99: above it the client itself was late
SESSIONS_MAX, SESSIONS_STEP = 4000, 100
IDLE_SESSIONS = 2000
INLINE, WORKER = "streamd", "streamd, one worker"
DECIDES, TWO_THREADS = "streamd, as it decides", "streamd, two I/O threads"
LIBRARY, FLOOR = "bare lws", "bare epoll"
NODE = "Node ws, bufferutil"  # the faster of the two


class Bench:
    """What this invocation measures with."""

    def __init__(self, args):
        self.yard = Yard(args.build, args.out.parent / "bench")
        self.rounds = 1 if args.quick else args.rounds

    def in_turns(self, what, names, run):
        """{name: [run(name) of each round]}"""
        runs = {name: [] for name in names}
        for k in range(self.rounds):
            print(f"{what}: round {k + 1} of {self.rounds}", file=sys.stderr, flush=True)
            for name in rotated(names, k):
                runs[name].append(run(name))
        return runs

    def cpu_at(self, names, n, **where):
        """What a frame costs each of names at n sessions, beside the first of them."""
        runs = self.in_turns(
            f"{n} sessions at {FPS} fps", names,
            lambda name: self.yard.measure(name, "open", "-n", n, "-f", FPS, "-s", FRAME_BYTES,
                                           "-t", 2.5, "-w", 0.7, **where))
        return told(runs, names[0])


def told(runs, beside):
    """Medians of what the client tells, and CPU per frame as a ratio to `beside`."""
    return {name: {"cpu_us": median([r["cpu_us_per_frame"] for r in seen]),
                   "ratio": ratio(runs, name, beside, "cpu_us_per_frame"),
                   "frames_per_s": median([r["frames_per_s"] for r in seen]),
                   "server_cpu": median([r["server_cpu"] for r in seen]),
                   "client_cpu": median([r["client_cpu"] for r in seen]),
                   "p99_us": p99_median([r["targets"][0]["p99"] for r in seen]),
                   "dropped": sum(r["dropped"] for r in seen)} for name, seen in runs.items()}


def two_digits(value):
    return f"{value:.2f}"


def size_text(n_bytes):
    return f"{n_bytes // 1000} KB"


# ---- closed loop


def closed(bench, names, size):
    return bench.in_turns(
        f"closed loop, {size_text(size)}", names,
        lambda name: bench.yard.measure(name, "closed", "-s", size, "-t", 1.2, "-w", 0.4))


def io_closed(bench):
    names = bench.yard.among(INLINE, LIBRARY, FLOOR, "Node ws", NODE, "FastAPI")
    return {str(size): told(closed(bench, names, size), INLINE) for size in SIZES}


def io_closed_text(result):
    rows = []
    for name in result[str(SIZES[0])]:
        row = [name]
        for size in SIZES:
            one = result[str(size)][name]
            row += [f"{1e3 / one['cpu_us']:.1f}k", two_digits(one["ratio"])]
        rows.append(tuple(row))
    head = ["server"]
    for size in SIZES:
        head += [size_text(size), "streamd : it"]
    return "Closed loop of 16 sessions, frames/s of one core:\n\n" + table.grid(head, rows)


# ---- CPU per frame


def io_cpu(bench):
    names = [LIBRARY, INLINE, WORKER, FLOOR]
    return {str(n): bench.cpu_at(names, n) for n in LEVELS}


def io_cpu_text(result):
    rows = [(name, *(f"{result[str(n)][name]['cpu_us']:.1f} us "
                     f"({two_digits(result[str(n)][name]['ratio'])})" for n in LEVELS))
            for name in result[str(LEVELS[0])]]
    return (f"CPU a frame, sessions of {FPS} fps and {size_text(FRAME_BYTES)} (and beside "
            f"{LIBRARY}):\n\n" + table.grid(["server", *map(str, LEVELS)], rows))


# ---- sessions


def keeps_up(bench, name, n):
    """In the better of two tries: a shared machine may take a moment from either."""
    for _ in range(2):
        seen = bench.yard.measure(name, "open", "-n", n, "-f", FPS, "-s", FRAME_BYTES,
                                  "-t", 2.5, "-w", 1)["targets"][0]
        if seen["p99"] is not None and seen["p99"] < BUDGET_US and seen["slip_p99"] < SLIP_MAX_US:
            return True
    return False


def most_sessions(bench, name):
    low, high = 0, SESSIONS_MAX // SESSIONS_STEP + 1  # keeps up with low, not with high
    while high - low > 1:
        middle = (low + high) // 2
        if keeps_up(bench, name, middle * SESSIONS_STEP):
            low = middle
        else:
            high = middle
    return {"sessions": low * SESSIONS_STEP}


def io_sessions(bench):
    runs = bench.in_turns("most sessions", [INLINE, LIBRARY],
                          lambda name: most_sessions(bench, name))
    return {name: {"sessions": median([r["sessions"] for r in seen]),
                   "ratio": ratio(runs, INLINE, name, "sessions")} for name, seen in runs.items()}


def io_sessions_text(result):
    rows = [(name, f"{one['sessions']:.0f}", two_digits(one["ratio"]))
            for name, one in result.items()]
    return (f"Sessions of {FPS} fps and {size_text(FRAME_BYTES)} with p99 below "
            f"{BUDGET_US // 1000} ms:\n\n" + table.grid(["server", "sessions", "streamd : it"], rows))


# ---- memory, latency


def memory(bench):
    names = [INLINE, LIBRARY, FLOOR]
    runs = bench.in_turns(f"memory of {IDLE_SESSIONS} idle sessions", names,
                          lambda name: bench.yard.measure(name, "idle", "-n", IDLE_SESSIONS,
                                                          "-t", 0.3, "-w", 0))
    return {name: {"bytes": median([r["bytes_per_session"] for r in seen])}
            for name, seen in runs.items()}


def memory_text(result):
    rows = [(name, f"{one['bytes'] / 1024:.1f} KiB") for name, one in result.items()]
    return (f"Memory of an idle session, {IDLE_SESSIONS} of them:\n\n"
            + table.grid(["server", "a session"], rows))


def latency(bench):
    """All of them run at once on that core, and cameras turn from one to the other."""
    names = [INLINE, WORKER, LIBRARY, FLOOR]
    seen = {name: [] for name in names}
    for k in range(bench.rounds):
        print(f"latency: round {k + 1} of {bench.rounds}", file=sys.stderr, flush=True)
        order = rotated(names, k)
        for name, target in zip(order, bench.yard.measure_together(
                order, "open", "-n", 4 * len(names), "-f", FPS, "-s", FRAME_BYTES, "-t", 6, "-b")):
            seen[name].append(target)
    return {name: {"p50_us": median([t["sent_p50"] for t in seen[name]]),
                   "p99_us": p99_median([t["sent_p99"] for t in seen[name]]),
                   "p50_more_us": median([a["sent_p50"] - b["sent_p50"]
                                          for a, b in zip(seen[name], seen[FLOOR])]),
                   "p99_ratio": ratio(seen, name, FLOOR, "sent_p99")} for name in names}


def latency_text(result):
    rows = [(name, f"{one['p50_us']:.0f} us", f"{one['p50_more_us']:+.0f} us",
             f"{one['p99_us']:.0f} us", two_digits(one["p99_ratio"]))
            for name, one in result.items()]
    return (f"Latency with little load, 4 sessions of {FPS} fps and {size_text(FRAME_BYTES)} each, "
            "from sent to answered:\n\n"
            + table.grid(["server", "p50", f"beside {FLOOR}", "p99", f"by {FLOOR}'s"], rows))


# ---- threads


def handover(bench):
    names = [INLINE, WORKER, DECIDES]
    return {"closed": told(closed(bench, names, FRAME_BYTES), INLINE),
            "1000": bench.cpu_at(names, 1000)}


def io_threads(bench):
    return bench.cpu_at([INLINE, TWO_THREADS], 1000, core=BOTH_CORES)


def cpu_text(what, result):
    rows = [(name, f"{one['cpu_us']:.1f} us", two_digits(one["ratio"]), str(one["dropped"]))
            for name, one in result.items()]
    return f"{what}:\n\n" + table.grid(["server", "CPU a frame", "beside the first", "drops"], rows)


def handover_text(result):
    return (cpu_text(f"Through a worker thread, closed loop of {size_text(FRAME_BYTES)}",
                     result["closed"])
            + "\n" + cpu_text(f"Through a worker thread, 1000 sessions of {FPS} fps", result["1000"]))


def io_threads_text(result):
    return cpu_text(f"I/O threads on two cores, one of which the client is on, 1000 sessions of "
                    f"{FPS} fps", result)


# ---- the goals


def largest_step(cpu, who):
    """From one level to the next, above 10 sessions."""
    at = [cpu[str(n)][who]["cpu_us"] for n in LEVELS[1:]]
    return max(b / a for a, b in zip(at, at[1:]))


def times(closed_loop, who, other):
    """How many times other's frames/s at 46 KB."""
    at = closed_loop[str(FRAME_BYTES)]
    return at[other]["ratio"] / at[who]["ratio"]


class Goal(typing.NamedTuple):
    section: str
    what: str
    must_be: str
    figure: typing.Callable  # of the section's result and of whom
    tell: typing.Callable
    will_do: typing.Callable
    of_bare: bool = True  # the bare server's own figure tells something


GOALS = [
    *(Goal("io-closed", f"frames/s of one core beside {LIBRARY}, {size_text(size)}", "0.90 or more",
           lambda r, _, size=size: r[str(size)][LIBRARY]["ratio"], two_digits,
           lambda v: v >= 0.90, of_bare=False) for size in SIZES),
    Goal("io-closed", "the same beside FastAPI, 46 KB", "7 or more",
         lambda r, who: times(r, who, "FastAPI"), two_digits, lambda v: v >= 7),
    Goal("io-closed", "the same beside Node ws, 46 KB", "1.7 or more",
         lambda r, who: times(r, who, "Node ws"), two_digits, lambda v: v >= 1.7),
    Goal("io-closed", f"the same beside {NODE}, 46 KB", "1.7 or more",
         lambda r, who: times(r, who, NODE), two_digits, lambda v: v >= 1.7),
    Goal("handover", "CPU a frame through a worker beside inline, 1000 sessions", "1.4 or less",
         lambda r, _: r["1000"][WORKER]["ratio"], two_digits, lambda v: v <= 1.4, of_bare=False),
    Goal("io-sessions", "sessions of 30 fps, p99 below 37 ms, one core", "2400 or more",
         lambda r, who: r[who]["sessions"], "{:.0f}".format, lambda v: v >= 2400),
    Goal("io-sessions", f"the same beside {LIBRARY}", "0.95 or more",
         lambda r, _: r[LIBRARY]["ratio"], two_digits, lambda v: v >= 0.95, of_bare=False),
    Goal("io-cpu", "CPU a frame, 100 to 1000 to 2000 sessions: the larger step", "1.05 or less",
         largest_step, two_digits, lambda v: v <= 1.05),
    Goal("io-cpu", f"the same: worst beside {LIBRARY}", "1.15 or less",
         lambda r, who: max(r[str(n)][who]["ratio"] for n in LEVELS[1:]), two_digits,
         lambda v: v <= 1.15, of_bare=False),
    Goal("io-threads", "CPU a frame with two I/O threads beside one", "1.1 or less",
         lambda r, _: r[TWO_THREADS]["ratio"], two_digits, lambda v: v <= 1.1,
         of_bare=False),
    Goal("memory", f"memory of an idle session beyond {LIBRARY}", "8 KiB or less",
         lambda r, who: (r[who]["bytes"] - r[LIBRARY]["bytes"]) / 1024, "{:.1f} KiB".format,
         lambda v: v <= 8, of_bare=False),
    Goal("latency", f"p50 with little load beyond {FLOOR}", "30 us or less",
         lambda r, who: r[who]["p50_more_us"], "{:.0f} us".format, lambda v: v <= 30),
    Goal("latency", f"p99 with little load beside {FLOOR}", "3 or less",
         lambda r, who: r[who]["p99_ratio"], two_digits, lambda v: v <= 3),
]


def figure_of(goal, sections, who):
    """None: it was not asked for, or a contender is missing."""
    try:
        return goal.figure(sections[goal.section], who)
    except (KeyError, TypeError):
        return None


def judge(sections):
    """Of each goal: what, must be, streamd's figure and the bare server's, as told, met."""
    for goal in GOALS:
        value = figure_of(goal, sections, INLINE)
        bare = figure_of(goal, sections, LIBRARY) if goal.of_bare else None
        yield {"goal": goal.what, "must_be": goal.must_be, "value": value, "bare": bare,
               "told": "not measured" if value is None else goal.tell(value),
               "told_bare": "" if bare is None else goal.tell(bare),
               "met": None if value is None else goal.will_do(value)}


def goals_text(judged):
    met = {True: "yes", False: "**no**", None: ""}
    return table.grid(["goal", "must be", "measured", "met", f"{LIBRARY} itself"],
                      [(g["goal"], g["must_be"], g["told"], met[g["met"]], g["told_bare"])
                       for g in judged])


# ---- sections


MEASURED = {  # here; name: (what it is, measure, tell)
    "io-closed": ("frames/s of one core, closed loop", io_closed, io_closed_text),
    "io-cpu": ("CPU a frame by number of sessions", io_cpu, io_cpu_text),
    "io-sessions": ("most sessions that one core answers in time", io_sessions, io_sessions_text),
    "memory": ("of idle sessions", memory, memory_text),
    "latency": ("with little load", latency, latency_text),
    "handover": ("to a worker thread and back", handover, handover_text),
    "io-threads": ("one I/O thread beside two", io_threads, io_threads_text),
}
GROUPS = {"io": ["io-closed", "io-cpu", "io-sessions", "memory", "latency"]}
BY_NAME = {  # benches of their own, `make bench-NAME`, most of which take minutes
    "pipelines": "what each pipeline costs",
    "capture": "what a camera costs streamctl",
    "passthrough": "what passing a frame on costs it",
    "split": "how fast MJPEG streams are split",
    "motion": "what vector code gives motion",
    "loadgen": "how many cameras streamload plays",
    "overload": "when there is too much",
}


def list_sections():
    for name, (what, *_) in MEASURED.items():
        print(f"  {name:12} {what}")
    for name, members in GROUPS.items():
        print(f"  {name:12} {', '.join(members)}")
    for name, what in BY_NAME.items():
        print(f"  {name:12} {what}; only by name: make bench-{name}")


def chosen(asked):
    names = [member for name in asked for member in GROUPS.get(name, [name])] or list(MEASURED)
    unknown = [n for n in names if n not in MEASURED and n not in BY_NAME]
    if unknown:
        sys.exit(f"no such section: {', '.join(unknown)}; `list` lists them")
    return names


class Machine:
    """Who used the two cores meanwhile."""

    def __init__(self):
        self.began, self.busy_s, self.own_s = time.monotonic(), servers.machine_busy_s(), own_s()

    def text(self, rounds):
        seconds = time.monotonic() - self.began
        others_s = servers.machine_busy_s() - self.busy_s - (own_s() - self.own_s)
        share = max(0, others_s) / (seconds * os.cpu_count())
        model = next((line.partition(":")[2].strip() for line in
                      pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                      if line.startswith("model name")), "unknown processor")
        return (f"{model}; median of {rounds} rounds; took {seconds:.0f} s; others used "
                f"{100 * share:.0f} % of the machine.\n")


def own_s():
    """CPU time of this process and of all servers and clients that have ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in both)


def measure(bench, names):
    sections, texts = {}, []
    for name in names:
        _, run, tell = MEASURED[name]
        sections[name] = run(bench)
        texts.append(tell(sections[name]))
        print(texts[-1], flush=True)
    return sections, texts


def remarks(bench, names):
    text = "".join(f"\n{name} was not measured: {why} could not be had.\n"
                   for name, why in bench.yard.missing.items())
    left_out = [n for n in (*MEASURED, *BY_NAME) if n not in names]
    return text, (f"Not run: {', '.join(left_out)}." if left_out else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--into", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("sections", nargs="*", metavar="SECTION")
    args = parser.parse_args()
    if args.sections == ["list"]:
        list_sections()
        return
    if args.into and args.sections:
        parser.error("--into is for all that are measured here: no SECTION beside it")
    if os.cpu_count() < 2:
        sys.exit("bench needs two cores")
    names = chosen(args.sections)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for name in (n for n in names if n in BY_NAME):
        subprocess.run(["make", "--no-print-directory", f"bench-{name}"], check=True)
    here = [n for n in names if n in MEASURED]
    if not here:
        return
    machine, bench = Machine(), Bench(args)
    sections, texts = measure(bench, here)
    judged = list(judge(sections))
    missing, left_out = remarks(bench, names)
    args.out.write_text(json.dumps({"rounds": bench.rounds, "goals": judged,
                                    "sections": sections, "missing": bench.yard.missing}, indent=1))
    text = goals_text(judged) + missing + "\n" + machine.text(bench.rounds)
    print(f"{text}{left_out}")
    if args.into:
        table.put_into(args.into, "\n".join([text, *texts]), BEGIN, END)


if __name__ == "__main__":
    main()
