"""Runs streamload and reads what it leaves behind."""

import json
import os
import re
import signal
import subprocess
import threading
import time

import harness

ROOT = harness.ROOT


def binary():
    return os.environ.get("STREAMLOAD") or str(ROOT / "build" / "plain" / "streamload")


def clean_env(extra=None):
    """Without settings of ours, and not as if in somebody's CI."""
    hidden = r"STREAMLOAD_|STREAM_|GITHUB_|NO_COLOR$|CI$|TERM$|CLICOLOR"
    env = {k: v for k, v in os.environ.items() if not re.match(hidden, k)}
    return {**env, **(extra or {})}


started = []  # for conftest, which ends what a failed test has left


class Streamload:
    """One process. .code, .out, .err once it has ended: wait()."""

    def __init__(self, *args, env=None, cwd=None):
        self.process = subprocess.Popen(
            [binary(), *[str(a) for a in args]], env=clean_env(env), cwd=cwd, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.out = self.err = self.code = None
        started.append(self.process)

    def wait(self, timeout_s=None):
        limit = timeout_s or 60 * harness.SLOW
        try:
            self.out, self.err = self.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.code = self.process.returncode
        assert not harness.SANITIZER.search(self.err), self.err
        return self

    def send_signal(self, sig):
        self.process.send_signal(sig)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)


def load(*args, **kw):
    return Streamload(*args, **kw).wait()


def freeze(process, seconds):
    """Stops it for so long; gives how long it was."""
    began = time.monotonic()
    process.send_signal(signal.SIGSTOP)
    threading.Event().wait(seconds)
    process.send_signal(signal.SIGCONT)
    return time.monotonic() - began


class Report:
    """The JSON file of a run."""

    def __init__(self, path):
        self.json = json.loads(path.read_text())
        self.total = self.json["summary"]["total"]

    def check_ledger(self):
        n = self.total
        assert n["due"] == n["sent"] + n["held_back"] + n["lost"] + n["unsent"]
        assert n["sent"] == n["answered"] + n["dropped"] + n["unanswered"]
        return n
