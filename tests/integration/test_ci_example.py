"""The example for CI systems is run, so it cannot rot."""

import json
import os
import re
import subprocess
import xml.etree.ElementTree

import pytest

import harness
import load_helpers

SCRIPT = harness.ROOT / "loadgen" / "ci" / "gate.sh"


@pytest.fixture(name="gate")
def gate_fixture(tmp_path):
    """gate(*gates): runs the script with the programs under test, for a second."""
    build = tmp_path / "build"
    build.mkdir()
    (build / "streamd").symlink_to(os.path.abspath(harness.binary()))
    (build / "streamload").symlink_to(os.path.abspath(load_helpers.binary()))

    def run(*gates):
        env = load_helpers.clean_env(
            {"SESSIONS": "2", "DURATION": "1s", "WARMUP": "0",
             "GITHUB_STEP_SUMMARY": str(tmp_path / "step.md"), "GITHUB_ACTIONS": "true"})
        return subprocess.run([SCRIPT, build, tmp_path / "out", *gates], env=env, text=True,
                              capture_output=True, timeout=60 * harness.SLOW, check=False)

    return run


def test_gates_that_hold(gate, tmp_path):
    done = gate("due==60", "failed_sessions==0")
    assert done.returncode in (0, 5), done.stderr  # 5: the machine is busy
    assert json.loads((tmp_path / "out" / "report.json").read_text())["configuration"]["gates"] == [
        "due==60", "failed_sessions==0"]
    xml.etree.ElementTree.parse(tmp_path / "out" / "junit.xml")
    assert (tmp_path / "out" / "report.html").stat().st_size > 10000
    assert (tmp_path / "step.md").read_text() == (tmp_path / "out" / "summary.md").read_text()


def test_a_gate_that_fails(gate):
    done = gate("due==61")
    assert done.returncode in (4, 5), done.stderr
    assert "::error title=streamload" in done.stdout


def test_the_workflow_runs_the_script(gate):
    text = SCRIPT.with_name("streamload.yml").read_text()
    (line,) = re.findall(r"run: loadgen/ci/gate\.sh build/plain load (.*)", text)
    gates = re.findall(r"'([^']+)'", line)
    assert gates
    done = gate(*gates)
    assert done.returncode in (0, 4, 5), done.stderr
