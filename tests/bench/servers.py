"""Starts and ends the servers that bench-overload compares, all on one core."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

USUAL = pathlib.Path(__file__).with_name("usual_server.py")
START_S = 30


def free_ports(n):
    """n ports that were free a moment ago."""
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in socks]
    for s in socks:
        s.close()
    return ports


def clean_env():
    return {k: v for k, v in os.environ.items() if not k.startswith(("STREAMD_", "STREAM_"))}


class Server:
    """A session of processes on `core`; its ports in .ports, its log in .log()."""

    def __init__(self, command, core, stdout=subprocess.DEVNULL):
        self._log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=self._log,
            env=clean_env(),
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def log(self):
        self._log.seek(0)
        return self._log.read()

    def wait_until(self, is_ready):
        """Gives what is_ready gives, once that is something."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if got := is_ready():
                return got
            time.sleep(0.02)
        text = self.log()
        self.kill()
        raise RuntimeError(f"a server did not start: {text[-800:]}")

    def cpu_s(self):
        """CPU time that all its processes have used so far."""
        ticks = 0
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            if int(fields[3]) == self.process.pid:  # the session: workers have groups of their own
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def kill(self):
        """At once and for good: a server that is far behind would work on for seconds."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._log.close()


class Streamd(Server):
    def __init__(self, binary, core, workers, pipelines, policy, *more):
        options = [*more, *(f"--pipeline={p}" for p in pipelines)]
        options += [f"--policy={policy}", f"--workers={workers}", "--recommended-sessions=1000"]
        super().__init__(
            [binary, "--listen=127.0.0.1:0", "--log-format=json", *options], core
        )
        self.ports = [self.wait_until(self._port)]

    def events(self):
        return [json.loads(line) for line in self.log().splitlines() if line.endswith("}")]

    def _port(self):
        return next((e["port"] for e in self.events() if e["event_type"] == "listening"), None)


class Usual(Server):
    """One process per worker; the caller deals sessions to .ports in turn."""

    def __init__(self, core, workers, pipelines):
        self.ports = free_ports(workers)
        options = [f"--port={p}" for p in self.ports] + [f"--pipeline={p}" for p in pipelines]
        super().__init__([sys.executable, "-B", USUAL, *options], core)
        for port in self.ports:
            self.wait_until(lambda port=port: is_listening(port))


def is_listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def machine_busy_s():
    """CPU time that anyone has used on any core so far."""
    ticks = list(map(int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]))
    user, nice, system, _idle, _iowait, irq, softirq, steal = ticks[:8]
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
