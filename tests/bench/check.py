"""bench-check: instructions of fixed scenarios beside the recorded ones, under callgrind.

  check.py --program build/plain/bench/check_scenarios [--flags "-O2 -g"] [--record] [SCENARIO...]

Fails where our own code executes more than 5 % more instructions than tests/bench/check.txt says,
or where all code together does, libraries included. A busy machine changes neither. The processor
could, because the C library picks its memcpy by it; here it is told to pick the plain ones. Another
compiler or C library, or other flags, make other code: then there is nothing to compare with, and
it says so.
"""

import argparse
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

import table

FIGURES = pathlib.Path(__file__).with_name("check.txt")
LIMIT = 0.05
NOT_HERE = 77
LABELS = {"own": "instructions of our own code", "all": "instructions, libraries included"}
HEAD = """\
# Instructions of the scenarios in check_scenarios.c: of our own code; and with libraries.
# `make bench-check` compares with these, `make bench-check RECORD=1` writes them.
"""
# What glibc's ifuncs look at (glibc.cpu.hwcaps in the GNU C Library manual): without them every
# x86-64 runs the same functions. Measured with and without AVX: no figure moves by 50 instructions.
BEYOND_SSE2 = ("AVX512F AVX512VL AVX512BW AVX2 AVX FMA FMA4 BMI1 BMI2 ERMS FSRM SSE4_2 SSE4_1 SSSE3"
               " AVX_Fast_Unaligned_Load Fast_Unaligned_Load Fast_Unaligned_Copy Fast_Copy_Backward"
               " Fast_Rep_String Slow_BSF Prefer_PMINUB_for_stringop")  # fmt: skip


class Figures(NamedTuple):
    own: int
    all: int


def parse(lines, program):
    """Of callgrind's file, without compression."""
    own = everything = 0
    is_own = is_inclusive = False
    for line in lines:
        key, _, value = line.rstrip("\n").partition("=")
        if key == "ob":
            is_own = value == program
        elif key == "calls":
            is_inclusive = True  # the next line is what the callee took
        elif line[:1].isdigit():
            cost = 0 if is_inclusive else int(line.split()[1])
            own += cost if is_own else 0
            everything += cost
            is_inclusive = False
    return Figures(own, everything)


def environment():
    hwcaps = ",".join(f"-{name}" for name in BEYOND_SSE2.split())
    return {
        "PATH": os.defpath,
        "LC_ALL": "C",
        "LD_BIND_NOW": "1",  # so that the first call of a function is like the others
        "GLIBC_TUNABLES": f"glibc.cpu.hwcaps={hwcaps}",
    }


def measure(program, name):
    """None: not here."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind.out"
        command = [shutil.which("valgrind"), "--quiet", "--tool=callgrind",
                   f"--toggle-collect=run_{name}", f"--callgrind-out-file={out}",
                   "--compress-strings=no", "--compress-pos=no", program, name]  # fmt: skip
        code = subprocess.run(command, env=environment()).returncode
        if code == NOT_HERE:
            return None
        if code:
            sys.exit(f"bench-check: scenario {name} failed, see above")
        with out.open() as lines:
            figures = parse(lines, str(program))
    if not figures.own:
        sys.exit(f"bench-check: nothing was counted in scenario {name}: has it a run_{name}()?")
    return figures


def read(text):
    """(what made it, figures by name)"""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    made_by = lines[0].partition(": ")[2]
    rows = (line.split() for line in lines[1:])
    return made_by, {name: Figures(*map(int, numbers)) for name, *numbers in rows}


def write(made_by, figures):
    rows = [f"{name:14} {f.own:>12} {f.all:>12}" for name, f in figures.items()]
    return "\n".join([f"{HEAD}made by: {made_by}", *rows]) + "\n"


def change(was, now):
    return f"{100 * (now - was) / was:+.1f} %"


def judge(name, was, now):
    """(what is too much, what may be recorded because it is so much less)"""
    if was is None:
        return [f"{name} has no recorded figures. Record them: make bench-check RECORD=1"], []
    worse, better = [], []
    for what, label in LABELS.items():
        a, b = getattr(was, what), getattr(now, what)
        if b > a * (1 + LIMIT):
            worse.append(
                f"{name} takes {b} {label}, {change(a, b)}: {a} are recorded, {100 * LIMIT:g} %"
                " more is the limit. Make it cheaper again, or, if it is worth that, record it"
                " (make bench-check RECORD=1) and say why in the commit."
            )
        elif b < a * (1 - LIMIT):
            better.append(
                f"{name} takes {b} {label}, {change(a, b)}: record that (make bench-check"
                " RECORD=1), so that it stays."
            )
    return worse, better


def row(name, was, now):
    if now is None:
        return (name, "not here", "", "", "")
    cells = [name]
    for what in Figures._fields:
        a, b = getattr(was, what, None), getattr(now, what)
        cells += [str(b), "new" if a is None else change(a, b)]
    return tuple(cells)


def show(recorded, now):
    head = ("scenario", "our own", "", "with libraries", "")
    print(table.grid(head, [row(name, recorded.get(name), f) for name, f in now.items()]), end="")


def conclude(recorded, now):
    verdicts = [judge(name, recorded.get(name), f) for name, f in now.items() if f]
    for _, better in verdicts:
        for line in better:
            print(f"bench-check: {line}")
    worse = [f"bench-check: {line}" for lines, _ in verdicts for line in lines]
    if worse:
        sys.exit("\n".join(worse))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--flags", default="", help="that it was compiled with")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("scenarios", nargs="*")
    args = parser.parse_args()
    program = args.program.resolve()

    def ask(*what):
        return subprocess.run([program, *what], check=True, capture_output=True, text=True).stdout

    made_by = f"{ask('made-by').strip()}, {platform.machine()}, {args.flags}"
    recorded_by, recorded = read(FIGURES.read_text()) if FIGURES.exists() else (made_by, {})
    if made_by != recorded_by and not args.record:
        print(f"bench-check: SKIPPED: made by {made_by}; the figures are of {recorded_by}")
        return
    if not shutil.which("valgrind"):
        sys.exit("bench-check: no valgrind here: install valgrind")
    names = ask().split()
    now = {name: measure(program, name) for name in args.scenarios or names}
    show(recorded, now)
    if args.record:
        kept = {name: now.get(name) or recorded.get(name) for name in names}
        FIGURES.write_text(write(made_by, {name: f for name, f in kept.items() if f}))
    else:
        conclude(recorded, now)


if __name__ == "__main__":
    main()
