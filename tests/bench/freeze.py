"""A stop of 500 ms, of the server or of the generator: does the report tell the truth?

Frames that are due while one of them stands still are late by the rest of the stop. How many
those are and how late is known, so the true p99 is too. Stopping the generator must show the
same lateness, and end with exit code 5: the run says nothing about the server.
"""

import json
import pathlib
import signal
import statistics
import subprocess
import time

SESSIONS, FPS, SECONDS, STOP_S = 10, 30, 12, 0.5


def true_p99_ms(stopped_s):
    """Of SECONDS of frames, those of stopped_s are late by what is left of it, evenly spread."""
    share = stopped_s / SECONDS
    return 1000 * stopped_s * (1 - 0.01 / share)


def one_run(streamload, port, path, stop):
    """stop(process of streamload): stands still, gives for how long."""
    process = subprocess.Popen(
        ["taskset", "-c", "1", streamload, "run", f"127.0.0.1:{port}", "-p", "null", "-q",
         "-s", str(SESSIONS), "-f", str(FPS), "-d", f"{SECONDS}s", "--json", path])
    time.sleep(SECONDS / 2)
    stopped_s = stop(process)
    code = process.wait()
    latency = json.loads(pathlib.Path(path).read_text())["summary"]["total"]["latency"]
    return {"exit_code": code, "stopped_ms": 1000 * stopped_s, "p99_ms": latency["p99_ms"],
            "true_p99_ms": true_p99_ms(stopped_s)}


def stand_still(pid):
    began = time.monotonic()
    subprocess.os.kill(pid, signal.SIGSTOP)
    time.sleep(STOP_S)
    subprocess.os.kill(pid, signal.SIGCONT)
    return time.monotonic() - began


def measure(streamload, server, path, rounds):
    result = {}
    for name, stop in (("server", lambda _: stand_still(server.pid)),
                       ("generator", lambda process: stand_still(process.pid))):
        runs = [one_run(streamload, server.port, path, stop) for _ in range(rounds)]
        result[name] = {
            "p99_ms": statistics.median(r["p99_ms"] for r in runs),
            "true_p99_ms": statistics.median(r["true_p99_ms"] for r in runs),
            "off": statistics.median(r["p99_ms"] / r["true_p99_ms"] - 1 for r in runs),
            "exit_codes": sorted({r["exit_code"] for r in runs}),
        }
    return result
