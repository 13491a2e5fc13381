"""A slow link for everyone who is not root: a TCP proxy with a token bucket.

    slow_link.py --to HOST:PORT --rate BYTES_PER_S [--buffer BYTES] [--listen PORT]

Towards the server bytes go at the rate, answers come back at once. Like the queue of a
modem, and unlike that of a proxy, what waits here is bounded by --buffer: then TCP's
window is closed and the sender is left with its bytes. Small segments, as on a real
wire: on the loopback a segment has 64 KiB, and such a window would open in jumps.

It tells its port on standard output as a JSON line and runs until it is killed.
"""

import argparse
import contextlib
import json
import select
import socket
import threading
import time

SEGMENT_BYTES = 1400
TURN_S = 0.25  # how often a thread looks whether it is wanted any more


class TokenBucket:
    """So many bytes per second, and never more than a burst at once."""

    def __init__(self, bytes_per_s, burst_bytes):
        self.bytes_per_s = bytes_per_s
        self.burst_bytes = burst_bytes
        self.tokens = burst_bytes
        self.filled_s = time.monotonic()

    def fill(self, now_s):
        earned = (now_s - self.filled_s) * self.bytes_per_s
        self.tokens = min(self.burst_bytes, self.tokens + earned)
        self.filled_s = now_s

    def wait_s(self, n_bytes):
        """How long until n_bytes may go."""
        return max(0.0, (n_bytes - self.tokens) / self.bytes_per_s)

    def take(self, n_bytes):
        self.tokens -= n_bytes


def shrink(sock, buffer_bytes):
    """Room for about buffer_bytes: the kernel doubles SO_RCVBUF, and what it needs for its
    own books it takes from that."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)


def end_of(sock):
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)


class SlowLink:
    """Listens on a free port of 127.0.0.1; used with `with`. All connections through it
    share the rate, as they would share a wire."""

    def __init__(self, to, bytes_per_s, buffer_bytes=8192, listen_port=0):
        self.to = to
        self.buffer_bytes = buffer_bytes
        self.bucket = TokenBucket(bytes_per_s, max(2 * SEGMENT_BYTES, bytes_per_s / 50))
        self.n_bytes = 0  # that went towards the server
        self._wire = threading.Lock()  # who holds it sends; the others wait
        self._stopping = threading.Event()
        self._threads = []
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        shrink(self._listener, buffer_bytes)  # before listen: the window is told in the SYN
        self._listener.bind(("127.0.0.1", listen_port))
        self._listener.listen()
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        self._run(self._accept)
        return self

    def __exit__(self, *_):
        self._stopping.set()
        for thread in self._threads:  # the first is who may add others
            thread.join()
        self._listener.close()

    @property
    def url(self):
        return f"127.0.0.1:{self.port}"

    def _run(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _is_readable(self, sock):
        return bool(select.select([sock], [], [], TURN_S)[0])

    def _accept(self):
        while not self._stopping.is_set():
            if not self._is_readable(self._listener):
                continue
            near, _ = self._listener.accept()
            self._run(self._carry, near)

    def _carry(self, near):
        with near:
            try:
                far = socket.create_connection(self.to, timeout=10)
            except OSError:
                return
            with far:
                for sock in (near, far):
                    sock.settimeout(10)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.buffer_bytes)
                back = threading.Thread(target=self._pump, args=(far, near, False), daemon=True)
                back.start()
                self._pump(near, far, True)
                back.join()

    def _pump(self, source, sink, is_slow):
        """Until the source ends; its end is passed on, so that either side may go first."""
        try:
            while not self._stopping.is_set():
                if not self._is_readable(source):
                    continue
                data = self._read_slowly(source) if is_slow else source.recv(65536)
                if not data:
                    break
                sink.sendall(data)
        except OSError:
            pass
        end_of(sink)

    def _read_slowly(self, source):
        """What is not read yet keeps its place in the sender's window."""
        with self._wire:
            self.bucket.fill(time.monotonic())
            time.sleep(self.bucket.wait_s(SEGMENT_BYTES))
            self.bucket.fill(time.monotonic())
            data = source.recv(SEGMENT_BYTES)
            self.bucket.take(len(data))
            self.n_bytes += len(data)
            return data


def main():
    parser = argparse.ArgumentParser(description="A TCP proxy that is slow towards the server.")
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--rate", required=True, type=float, metavar="BYTES_PER_S")
    parser.add_argument("--buffer", type=int, default=8192, metavar="BYTES")
    parser.add_argument("--listen", type=int, default=0, metavar="PORT")
    args = parser.parse_args()
    host, _, port = args.to.rpartition(":")
    with SlowLink((host, int(port)), args.rate, args.buffer, args.listen) as link:
        print(json.dumps({"event": "listening", "port": link.port}), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
