"""Runs streamctl, reads its lines as they come, and checks its ledger at the end."""

import os
import pathlib
import re
import subprocess
import sys
import threading

from harness import Log, ROOT, SANITIZER, TIMEOUT_S

SERVER = pathlib.Path(__file__).with_name("misbehaving_server.py")


def binary():
    return os.environ.get("STREAMCTL") or str(ROOT / "build" / "plain" / "streamctl")


def clean_env(extra=None):
    """No setting of ours, no terminal manners of the machine the tests run on."""
    unwanted = re.compile(r"STREAMCTL_|NO_COLOR$|CI$|https?_proxy$", re.IGNORECASE)
    env = {k: v for k, v in os.environ.items() if not unwanted.match(k)}
    return {**env, **(extra or {})}


class Lines(Log):
    """What streamctl prints, and misbehaving_server.py."""

    KEY = "event"


class Misbehaving:
    """misbehaving_server.py as a process."""

    def __init__(self, mode, connections=None):
        args = [sys.executable, str(SERVER), mode]
        self.process = subprocess.Popen(
            args + ([str(connections)] if connections is not None else []),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.log = Lines(self.process.stdout)
        self.port = self.log.wait("listening")["port"]
        self.url = f"127.0.0.1:{self.port}"

    def stop(self):
        self.process.kill()
        self.process.wait()


class Streamctl:
    """One run of streamctl."""

    def __init__(self, *args, env=None, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE):
        self.process = subprocess.Popen(
            [binary(), *map(str, args)],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=clean_env(env),
        )
        self.out = Lines(self.process.stdout) if stdout == subprocess.PIPE else None
        self._err = []
        self._err_thread = threading.Thread(target=self._read_err, daemon=True)
        self._err_thread.start()
        self.code = None

    def _read_err(self):
        for raw in self.process.stderr:
            self._err.append(raw.decode("utf-8", "replace"))

    @property
    def err(self):
        return "".join(self._err)

    def signal(self, signo):
        self.process.send_signal(signo)

    def join(self):
        """Waits for the end; gives the exit code."""
        try:
            self.code = self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"streamctl does not end:\n{self.err}") from None
        if self.out:
            self.out.join()
        self._err_thread.join(TIMEOUT_S)
        assert not SANITIZER.search(self.err), self.err
        return self.code

    @property
    def end(self):
        return self.out.wait("end")

    def find(self, event, **fields):
        return self.out.find(event, **fields)


def check_ledger(ctl, reason=None):
    """What must hold after every kind of ending. Gives the end event."""
    assert ctl.out.strays == []
    assert ctl.out.events[0]["event"] == "start"
    assert ctl.out.events[-1]["event"] == "end"
    end = ctl.end
    assert end["read"] == end["skipped"] + end["paced_out"] + end["replaced"] + end["sent"]
    assert end["sent"] == end["answered"] + end["dropped"] + end["unanswered"]
    assert len(ctl.find("result")) == end["answered"]
    assert len(ctl.find("drop")) == end["dropped"]
    assert end["exit_code"] == ctl.code
    assert reason is None or end["reason"] == reason, (end, ctl.err)
    return end


def stream(*args, **kw):
    """Runs `streamctl stream` to its end."""
    ctl = Streamctl("stream", *args, **kw)
    ctl.join()
    return ctl

