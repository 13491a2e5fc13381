"""What the machine takes from a test.

A few tests are about real time: how old an answer is, how many frames a second go through.
A guest whose host gives its processors to others for 300 ms looks like a server that lags
for 300 ms, and must fail no build. So while such a test runs, a thread on each processor
sleeps for 5 ms, again and again: by how much it oversleeps is what was taken, and what the
test allows for. On a quiet machine that is nothing, and the limits are what is written in
the test.

It does not see everything: other programs may take a processor between two of its looks.
The limits have a slack for that.
"""

import os
import threading
import time

NAP_S = 0.005
STALL_S = 0.010  # overslept by less is what every machine does


class Stalls:
    """Watches while it is entered."""

    def __init__(self):
        self.stalls = {cpu: [] for cpu in os.sched_getaffinity(0)}  # in seconds, by processor
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._watch, args=(c,)) for c in self.stalls]

    def __enter__(self):
        self._began_s = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _watch(self, cpu):
        os.sched_setaffinity(0, {cpu})  # of this thread alone
        before_s = time.monotonic()
        while not self._over.is_set():
            time.sleep(NAP_S)
            now_s = time.monotonic()
            if now_s - before_s - NAP_S > STALL_S:
                self.stalls[cpu].append(now_s - before_s - NAP_S)
            before_s = now_s

    @property
    def worst_us(self):
        """The longest; nothing that is bounded in time may be asked to be shorter."""
        return 1e6 * max((s for stalls in self.stalls.values() for s in stalls), default=0)

    @property
    def n(self):
        """How many there were on the processor that had the most."""
        return max(map(len, self.stalls.values()))

    @property
    def awake(self):
        """The share of the time, 0 to 1, that the processor with the least was there."""
        passed_s = time.monotonic() - self._began_s
        return 1 - min(1, max(sum(stalls) for stalls in self.stalls.values()) / passed_s)
