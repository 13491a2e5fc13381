"""Fixtures for tests of the real programs over real sockets."""

import pytest

import harness
import load_helpers


@pytest.fixture(name="streamd")
def streamd_fixture():
    """streamd(*args, env=..., ...) starts a server; all are stopped and audited at the end."""
    started = []

    def start(*args, **kw):
        srv = harness.Streamd(*args, **kw)
        started.append(srv)
        return srv

    yield start
    problems = []
    for srv in started:
        if srv.audited:
            continue
        try:
            srv.stop()
        except AssertionError as failed:
            srv.kill()
            problems.append(failed)
    if problems:
        raise problems[0]


@pytest.fixture(autouse=True)
def no_load_is_left():
    yield
    while load_helpers.started:
        process = load_helpers.started.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


def pytest_make_parametrize_id(val):
    """Bytes and long texts would make names that nobody can read or type."""
    if isinstance(val, bytes):
        return f"{len(val)}_bytes"
    if isinstance(val, str) and (len(val) > 40 or not val.isprintable()):
        return f"{len(val)}_chars"
    return None
