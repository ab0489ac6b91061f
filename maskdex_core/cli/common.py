"""What the commands share: the base class, messages, and checks of where output goes."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from maskdex_core.errors import UsageError

MAX_THREADS = 256


class Command(ABC):
    """One subcommand: its fields are its options."""

    @abstractmethod
    def run(self) -> int:
        """Do it; return the exit code.

        Raises:
            MaskdexError: on anything the user can set right.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class TorchCommand(Command):
    """A command that computes with torch."""

    threads: int = 1
    """Threads of torch; the tensors are small, so more are often slower."""

    def set_threads(self) -> None:
        """Give torch its threads.

        Raises:
            UsageError: when the number is out of range.
        """
        if not 1 <= self.threads <= MAX_THREADS:
            raise UsageError(f"--threads {self.threads} is out of range; expected 1 to {MAX_THREADS}")
        import torch

        torch.set_num_threads(self.threads)


def say(line: str) -> None:
    """Tell the person; standard output is kept for results."""
    print(line, file=sys.stderr, flush=True)


def hand_over(content: Any, out: Path | None, as_json: bool) -> bool:
    """Write a result to a file, if one is wanted, and print it for programs; return whether it was printed."""
    if out is not None:
        out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if as_json:
        print_json(content)
    return as_json


def print_json(content: Any) -> None:
    """Print a result for programs."""
    print(json.dumps(content, indent=1), flush=True)


def log_to_stderr() -> None:
    """Show the progress that the library logs."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("maskdex_core").setLevel(logging.INFO)


def output_folder(path: Path) -> Path:
    """Make a folder for results now, rather than fail after minutes of work.

    Raises:
        UsageError: when it cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".maskdex_probe"
        probe.touch()
        probe.unlink(missing_ok=True)  # another process of the same run may have been quicker
    except OSError as error:
        raise UsageError(f"--out {str(path)!r} cannot be written ({error.strerror})") from error
    return path


def output_file(path: Path, suffix: str) -> Path:
    """Check a file for results, and make its folder.

    Raises:
        UsageError: when its name ends otherwise than `suffix`, or its folder cannot be written.
    """
    if path.suffix != suffix:
        raise UsageError(f"--out {str(path)!r} must end in {suffix}")
    if path.is_dir():
        raise UsageError(f"--out {str(path)!r} is a folder")
    output_folder(path.parent)
    return path


def check_seed(seed: int | None) -> None:
    """Refuse seeds that generators do not take.

    Raises:
        UsageError: when the seed is negative or above 2^31 - 1.
    """
    if seed is not None and not 0 <= seed < 1 << 31:
        raise UsageError(f"--seed {seed} is out of range; expected 0 to {(1 << 31) - 1}")


def check_minutes(minutes: float | None) -> None:
    """Refuse a time limit that is none.

    Raises:
        UsageError: when it is not above 0 and finite.
    """
    if minutes is not None and not (minutes > 0 and math.isfinite(minutes)):
        raise UsageError(f"--minutes {minutes} is out of range; expected a number above 0")
