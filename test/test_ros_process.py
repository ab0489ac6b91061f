"""The node's process: closed in order, ended at once, with the exit code that launch and systemd look at."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from ros_support import CHECKOUT

from maskdex_ros.environment import free_domain_id, ros_environment

PROGRAM = """
import atexit, os, signal, sys, time
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

class Loading(Short):
    def __init__(self):
        Node.__init__(self, "loading")
        self.finished = Future()
        self.create_timer(0.01, self.load)
    def load(self):
        print("loading", flush=True)
        for _ in range(600):
            time.sleep(0.1)

class Converting(Short):
    def __init__(self):
        Node.__init__(self, "converting")
        self.finished = Future()
        self.create_timer(0.01, self.convert)
    def convert(self):  # as rclpy makes a message of what came in: an interrupt inside becomes some RuntimeError
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.0)
        except KeyboardInterrupt:
            sys.stdout.write("interrupted ")

def broken():
    raise ConfigError("parameter 'x' is wrong")

atexit.register(lambda: print("taken apart"))
sys.exit(run_node({make}))
"""


def start(make: str, ended: bool = True) -> subprocess.Popen[str]:
    program = PROGRAM.replace("{make}", make).replace("{ended}", str(ended))
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=CHECKOUT, env=ros_environment(free_domain_id()), stdout=pipe, stderr=pipe,
        text=True,
    )  # fmt: skip


def run(make: str, ended: bool = True) -> subprocess.CompletedProcess[str]:
    child = start(make, ended)
    said, complained = child.communicate(timeout=60)
    return subprocess.CompletedProcess(child.args, child.returncode, said, complained)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_callback_that_loads_for_a_minute(number: signal.Signals) -> None:
    child = start("Loading")
    assert child.stdout is not None
    assert child.stdout.readline() == "loading\n"
    begun = time.monotonic()
    child.send_signal(number)
    said, complained = child.communicate(timeout=50)
    assert (child.returncode, said) == (0, "closed "), complained
    assert "Traceback" not in complained
    assert time.monotonic() - begun < 30.0


def test_a_signal_does_not_interrupt_the_making_of_a_message() -> None:
    done = run("Converting")
    assert (done.returncode, done.stdout) == (0, "closed "), done.stderr


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
