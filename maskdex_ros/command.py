"""What every command of this package does around its work: the environment, one line for an error, an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TextIO

from maskdex_core.errors import MaskdexError
from maskdex_ros.environment import ros_environment

INTERRUPTED = 130  # exit code, as a shell says it of SIGINT


def run_command(work: Callable[[], int]) -> int:
    """Run a command's work, with rclpy importable, and return its exit code.

    A `MaskdexError` becomes one line on standard error and its own exit code, Ctrl-C becomes 130.
    """
    os.environ.update(ros_environment())
    try:
        return work()
    except MaskdexError as error:
        write_line(f"error: {' '.join(str(error).split())}", sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def write_line(line: str, stream: TextIO | None = None) -> None:
    """Write a line at once, to standard output unless told otherwise."""
    stream = sys.stdout if stream is None else stream
    stream.write(line + "\n")
    stream.flush()
