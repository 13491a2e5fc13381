"""The servers that bench compares, each alone on its core, and the client that asks them."""

import contextlib
import json
import pathlib
import statistics
import subprocess
import sys

import loadgen
import servers

HERE = pathlib.Path(__file__).parent
CLIENT_CORE, SERVER_CORE, BOTH_CORES = "0", "1", "0,1"
FIRST = ["nice", "-n", "-20"]  # others on the machine wait, as far as we may say so


def told_port(log):
    """The port of the first line of JSON that tells one, as streamd does."""
    for line in log.splitlines():
        if line.startswith("{") and line.endswith("}"):
            if port := json.loads(line).get("port"):
                return port
    return None


def come_first(pid):
    """As FIRST, for its session: between sessions their own niceness counts (sched(7), autogroup)."""
    with contextlib.suppress(OSError):
        pathlib.Path(f"/proc/{pid}/autogroup").write_text("-20")


class Told(servers.Server):
    """A server that takes a free port and tells it."""

    def __init__(self, command, core):
        super().__init__([*FIRST, *command], core)
        self.ports = [self.wait_until(lambda: told_port(self.log()))]


class Yard:
    """How to start each contender, and how to measure it. What is missing is not in .start."""

    def __init__(self, build, scratch):
        self.build = build
        self.missing = {}
        self.start = {
            "streamd": self.streamd("--workers=0", "--io-threads=1"),
            "streamd, one worker": self.streamd("--workers=1", "--io-threads=1",
                                                "--inline-below=0"),
            "streamd, as it decides": self.streamd("--workers=1", "--io-threads=1"),
            "streamd, two I/O threads": self.streamd("--workers=0", "--io-threads=2"),
            "bare lws": lambda core: Told([build / "bench" / "yard_lws"], core),
            "bare epoll": lambda core: Told([build / "bench" / "yard_epoll"], core),
        }
        self._add_node(scratch)
        self._add_fastapi()

    def streamd(self, *options):
        command = [self.build / "streamd", "--listen=127.0.0.1:0", "--log-format=json",
                   "--recommended-sessions=100000", *options]
        return lambda core: Told(command, core)

    def _add_node(self, scratch):
        """As it comes, and with the addon that ws recommends: it unmasks in C."""
        for name, addons in (("Node ws", []), ("Node ws, bufferutil", ["bufferutil"])):
            folder = (scratch / "npm" / "-".join(["ws-server", *addons])).resolve()
            if loadgen.npm(folder, "ws", *addons):
                command = ["env", f"NODE_PATH={folder / 'node_modules'}", "node",
                           HERE / "usual_node.js"]
                self.start[name] = lambda core, command=command: Told(command, core)
            else:
                self.missing[name] = "npm or network"

    def _add_fastapi(self):
        done = subprocess.run([sys.executable, "-c", "import fastapi, uvicorn, websockets, uvloop"],
                              capture_output=True, check=False)
        if done.returncode:
            self.missing["FastAPI"] = "python3-fastapi, python3-uvicorn, python3-uvloop"
        else:
            self.start["FastAPI"] = lambda core: servers.Usual(core, 1, [])

    def ask(self, mode, ports, *options):
        """Runs the client once. Gives its report."""
        with servers.Server([*FIRST, self.build / "bench" / "yard_client", *options, mode, *ports],
                            CLIENT_CORE, stdout=subprocess.PIPE) as client:
            come_first(client.process.pid)
            told = client.process.stdout.read()
            if client.process.wait():
                raise RuntimeError(f"{mode} {options}: {client.log()}")
        return json.loads(told)

    def measure(self, name, mode, *options, core=SERVER_CORE):
        """Starts the contender anew, asks it, ends it: no run inherits another one's memory. Once more
        when that fails, as the kernel gives up connections when it is short of memory for them."""
        try:
            return self._measure(name, mode, *options, core=core)
        except RuntimeError as failed:
            print(f"again: {name}: {failed}", file=sys.stderr)
            return self._measure(name, mode, *options, core=core)

    def _measure(self, name, mode, *options, core):
        with self.start[name](core) as server:
            come_first(server.process.pid)
            return self.ask(mode, server.ports, "-P", server.process.pid, *options)

    def measure_together(self, names, mode, *options):
        """All of them at once on the server's core, of which each takes little; their targets."""
        with contextlib.ExitStack() as stack:
            started = [stack.enter_context(self.start[name](SERVER_CORE)) for name in names]
            for server in started:
                come_first(server.process.pid)
            return self.ask(mode, [s.ports[0] for s in started], *options)["targets"]

    def among(self, *names):
        """Those of names that there are."""
        return [n for n in names if n in self.start]


def rotated(items, k):
    """So that nobody always runs after the same neighbour."""
    k %= len(items)
    return items[k:] + items[:k]


median = statistics.median


def p99_median(values):
    """The middle one, where None, which is never, is the largest."""
    ordered = sorted(values, key=lambda v: (v is None, v))
    return ordered[(len(ordered) - 1) // 2]


def ratio(runs, name, other, key):
    """The median over the rounds of name's figure by other's in the same round."""
    return median([a[key] / b[key] for a, b in zip(runs[name], runs[other])])
