"""The tables of bench-overload as Markdown, from its report.

  table.py build/bench/overload.json                  print them
  table.py build/bench/overload.json --into README.md put them between the markers there

What falls short of its limit is marked so; nothing here is typed in by hand.
"""

import argparse
import json
import pathlib
import statistics

BEGIN, END = "<!-- bench-overload -->", "<!-- /bench-overload -->"
WINDOW_S = 64 / 30  # of streamd's drop rate, at 30 fps
SHORT = ", **short**"
SMALLER_SHARE = "the same: the smaller share of the answers"
# why, where it is short
REASONS = {
    SMALLER_SHARE: "cameras of the same rate keep their phase, so it is always the same one whose"
    " frame comes while the other's is in work; after 17 ms it is too late for 20 ms of work"
    " within 37 ms, and dropped.",
}
NAMES = {"latest": "latest", "strict": "strict", "phase17": "phase17", "usual": "usual server"}


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def number(value, digits=0, unit=""):
    return "none" if value is None else f"{value:.{digits}f}{unit}"


def time_ms(value):
    if value is None:
        return "none"
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.{0 if value >= 100 else 1}f} ms"


def grid(head, rows):
    """A table whose source reads well too: first column to the left, others to the right."""
    cells = [head, *rows]
    width = [max(len(row[k]) for row in cells) for k in range(len(head))]

    def line(row):
        rest = (cell.rjust(w) for cell, w in zip(row[1:], width[1:]))
        return f"| {' | '.join([row[0].ljust(width[0]), *rest])} |\n"

    rule = "|".join(["-" * (width[0] + 2), *("-" * (w + 1) + ":" for w in width[1:])])
    return line(head) + f"|{rule}|\n" + "".join(map(line, rows))


# ---- situations


def percent(value):
    return number(None if value is None else 100 * value, 0, " %")


def seconds(value):
    return number(value, 2, " s")


def tenths(value):
    return number(value, 1)


def situation_rows(s):
    """(situation, usual, ours, limit); ours is marked where it does not keep the limit."""
    rows = []

    def tell(part, contender, key, show):
        told = show(part[contender].get(key))
        return told if part[contender]["valid"] else f"{told} (not valid)"

    def add(name, part, key, show, limit="", keeps=lambda v: True):
        ours = part["latest"].get(key)
        mark = "" if ours is not None and keeps(ours) else SHORT
        usual = "no state" if key == "normal_after_s" else tell(part, "usual", key, show)
        rows.append((name, usual, tell(part, "latest", key, show) + mark, limit))

    part = s["slow_first"]
    name = f"one 40 ms frame first, then 0 ms, {part['seconds']} s"
    name += f": not answered of {part['latest']['frames']:.0f}"
    add(name, part, "not_answered", number, "2", lambda v: v <= 2)
    name = "the same: state normal after"
    add(name, part, "normal_after_s", seconds, "1 s", lambda v: v <= 1)

    part = s["some_slow"]
    name = f"5 % of frames take 40 ms, {part['seconds']} s, {part['latest']['sessions']} sessions"
    add(f"{name}: locked for good", part, "locked_share", percent, "0 %", lambda v: v == 0)
    name = "the same: longest time without an answer"
    add(name, part, "longest_gap_s", seconds, f"{WINDOW_S:.2f} s", lambda v: v <= WINDOW_S)

    part = s["slow_work"]
    name = f"50 ms work, {part['seconds']} s: results/s"
    add(name, part, "results_per_s", tenths, "18 of 20", lambda v: v >= 18)
    add("the same: age of results, median", part, "age_p50_ms", time_ms)
    name = "the same: age of results, oldest (1 ms for timers)"
    add(name, part, "age_max_ms", time_ms, "83.3 + 1 ms", lambda v: v <= 50 + 1000 / 30 + 1)

    part = s["two_sessions"]
    name = f"two sessions, 20 ms work, one worker, {part['seconds']} s"
    add(f"{name}: age in the first second", part, "age_start_ms", time_ms)
    flat_ms = 1.25 * (part["latest"]["age_start_ms"] or 0)
    name = "the same: age in the last second"
    add(name, part, "age_end_ms", time_ms, "flat", lambda v: v <= flat_ms)
    name = SMALLER_SHARE
    add(name, part, "smaller_share", percent, "50 %", lambda v: v >= 0.48)
    return rows


# ---- the curve


def at_load(rounds):
    """The medians of one contender's rounds at one load; rounds not valid do not count."""
    rounds = [r for r in rounds if r["valid"]]
    reasons = {reason for r in rounds for reason in r["dropped_per_s"]}
    keys = ("offered_per_s", "answered_per_s", "in_budget_per_s", "age_p50_ms", "age_p99_ms")
    return {
        **{key: median(r[key] for r in rounds) for key in keys},
        "dropped_per_s": {
            reason: median(r["dropped_per_s"].get(reason, 0) for r in rounds)
            for reason in sorted(reasons)
        },
        "n": len(rounds),
    }


def drops(by_reason):
    told = [f"{reason} {n:.0f}" for reason, n in by_reason.items() if n >= 0.5]
    return ", ".join(told) or "0"


SHOWN_BESIDE = (0.5, 1, 2, 4)  # of the others than `latest`; the picture has all


def curve_rows(curve):
    rows = []
    for contender, loads in curve["points"].items():
        for load, rounds in loads.items():
            if contender != "latest" and float(load) not in SHOWN_BESIDE:
                continue
            p = at_load(rounds)
            rows.append(
                (
                    NAMES[contender],
                    f"{float(load):g}",
                    number(p["offered_per_s"]),
                    number(p["answered_per_s"]),
                    number(p["in_budget_per_s"]) + mark_goodput(curve, contender, p),
                    drops(p["dropped_per_s"]),
                    time_ms(p["age_p50_ms"]),
                    time_ms(p["age_p99_ms"]),
                )
            )
    return rows


def mark_goodput(curve, contender, point):
    """`latest` has to stay within 5 % of what the workers could possibly give."""
    good, offered = point["in_budget_per_s"], point["offered_per_s"]
    if contender != "latest":
        return ""
    if good is not None and good >= 0.95 * min(offered, curve["capacity_per_s"]):
        return ""
    return SHORT


# ---- fairness


def fairness_rows(fairness):
    rows = []
    for name, rounds in fairness["rounds"].items():
        rounds = [r for r in rounds if r["valid"]]
        contender, _, garbage = name.partition("+")
        index = median(r["jain"] for r in rounds)
        short = contender == "latest" and (index is None or index < 0.95)
        extra = f", and {fairness['garbage_fps']} fps of garbage" if garbage else ""
        rows.append(
            (
                NAMES[contender] + extra,
                number(index, 3) + (SHORT if short else ""),
                percent(median(r["modest_share"] for r in rounds)),
                number(median(sum(r["answered_per_s"]) for r in rounds)),
                number(median(r["in_budget_per_s"] for r in rounds)),
                time_ms(median(r["age_p50_ms"] for r in rounds)),
                time_ms(median(r["age_p99_ms"] for r in rounds)),
            )
        )
    return rows


# ---- all of it


def situations_text():
    return (
        "Cameras of 30 fps, five servers of one worker each side by side; the median of the"
        " five (of state, locked and longest: over all). Ages run from when the frame was due"
        " at the camera to its result at the camera.\n"
    )


def curve_text(report):
    c = report["curve"]
    return (
        f"Overload: {c['workers']} workers (of the usual server: processes), {c['work_ms']} ms"
        f" work, so at most {c['capacity_per_s']:.0f} answers/s; load 1 offers as much."
        f" {c['sessions']} sessions at random phases; all numbers per second, medians of"
        f" {c['rounds']} interleaved windows of {c['window_s']} s that begin {c['warm_s']} s after"
        f" the first frame. *Good* is answered within {report['budget_ms']} ms. The usual server"
        " tells no reasons; what it neither answered nor dropped is still in buffers. The picture"
        " has all loads of all.\n"
    )


def fairness_text(f):
    rates, works = zip(*f["sessions"])
    return (
        f"Fairness: {len(rates)} sessions of {min(rates)} to {max(rates)} fps and {min(works)} to"
        f" {max(works)} ms work at {f['workers']} workers, where equal turns are"
        f" {f['fair_rate']:.1f} answers/s each. Jain's index is over the answered rates of the"
        f" {f['saturated']} sessions that send more than that (at least 0.95 is wanted); *modest"
        " answered* is the share of frames answered to the others, which want less than their"
        " turns.\n"
    )


def reasons_text(rows):
    """Why a row is short, where that is known."""
    short = [row[0] for row in rows if any(cell.endswith(SHORT) for cell in row)]
    told = [f"Short, {name}: {REASONS[name]}\n" for name in short if name in REASONS]
    return "\n".join(told)


def machine_text(report):
    m = report["machine"]
    slip, foreign = m["slip_p99_us"], m["foreign_cpu_share"]
    return (
        f"Generator: {m['runs']} runs, slip (late by its own fault) p99 {slip['median'] / 1000:.1f}"
        f" ms in the median run, {slip['max'] / 1000:.1f} ms in the worst; {m['not_valid']} runs"
        " were not valid (slip p99 above 5 ms, or a broken connection) and were made again or left"
        f" out. It used at most {100 * m['load_cpu_share']['max']:.0f} % of its core. Others"
        f" used {100 * foreign['median']:.0f} % of the two cores in the median run,"
        f" {100 * foreign['max']:.0f} % in the worst. Took {report['took_s']:.0f} s"
        f"{', with --quick' if report['quick'] else ''}.\n"
    )


CURVE_HEAD = ("policy", "load", "offered", "answered", "good", "dropped", "age p50", "age p99")
FAIRNESS_HEAD = (
    "server", "Jain's index", "modest answered", "answered/s", "good/s", "age p50", "age p99",
)  # fmt: skip


def markdown(report):
    rows = situation_rows(report["situations"])
    reasons = reasons_text(rows)
    return "\n".join(
        [
            situations_text(),
            grid(("situation", "usual server", "streamd", "must be"), rows),
            *([reasons] if reasons else []),
            curve_text(report),
            grid(CURVE_HEAD, curve_rows(report["curve"])),
            fairness_text(report["fairness"]),
            grid(FAIRNESS_HEAD, fairness_rows(report["fairness"])),
            machine_text(report),
        ]
    )


def put_into(path, text, begin=BEGIN, end=END):
    """Replaces what stands between the markers."""
    before, found, rest = path.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise SystemExit(f"{path} has no {begin} ... {end}")
    path.write_text(f"{before}{begin}\n{text}{end}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("--into", type=pathlib.Path, metavar="FILE")
    args = parser.parse_args()
    text = markdown(json.loads(args.report.read_text()))
    if args.into:
        put_into(args.into, text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
