"""The node's process: closed in order, ended at once, with the exit code that launch and systemd look at."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from ros_support import CHECKOUT

from maskdex_ros.environment import free_domain_id, ros_environment

PROGRAM = """
import atexit, sys
from rclpy.node import Node
from rclpy.task import Future
from maskdex_core.errors import ConfigError
from maskdex_ros.process import run_node

class Short(Node):
    def __init__(self):
        super().__init__("short")
        self.finished = Future()
        self.create_timer(0.01, lambda: self.finished.done() or self.finished.set_result(None))
    def close(self, timeout):
        sys.stdout.write("closed ")  # not flushed: whoever leaves in a hurry has to
        return {ended}

def broken():
    raise ConfigError("parameter 'x' is wrong")

atexit.register(lambda: print("taken apart"))
sys.exit(run_node({make}))
"""


def run(make: str, ended: bool = True) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.replace("{make}", make).replace("{ended}", str(ended))
    command = [sys.executable, "-c", program]
    environment = ros_environment(free_domain_id())
    return subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("ended", [True, False], ids=["its job had ended", "its job runs on"])
def test_a_node_that_is_done_leaves_without_taking_python_apart(ended: bool) -> None:
    done = run("Short", ended)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "closed "


def test_a_node_that_cannot_be_made_says_why_and_has_the_errors_exit_code() -> None:
    done = run("broken")
    assert done.returncode == 3
    assert "parameter 'x' is wrong" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
