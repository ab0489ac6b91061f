"""Child processes of a command: run, watched, and gone at the end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskdex_core.errors import MaskdexError

SILENT = "it wrote nothing"
TERMINATED = 143  # exit code, as a shell says it of SIGTERM
EXPLAINED = (2, 3, 4)  # exit codes of errors that name the bad value themselves


class ChildError(MaskdexError):
    """A child process did not do its part."""

    exit_code = 1


class Guard:
    """Says why waiting is useless when a child has ended."""

    def __init__(self, child: subprocess.Popen[bytes], log: Path, name: str) -> None:
        """Watch a child that writes to `log`; `name` is what people call it."""
        self._child, self._log, self._name = child, log, name

    def __call__(self) -> None:
        """Raise ChildError when the child has ended, with its own words and exit code where it explained itself."""
        code = self._child.poll()
        if code is None:
            return
        said = self.last_line().removeprefix("error: ")
        explained = code in EXPLAINED and said != SILENT
        error = ChildError(said if explained else f"the {self._name} ended with exit code {code}: {said}")
        error.exit_code = code if explained else ChildError.exit_code
        raise error

    def wait(self, timeout: float) -> int | None:
        """Return the exit code, or None when the child has not ended in `timeout` (s)."""
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def last_line(self) -> str:
        """Return the last line the child wrote."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else SILENT


def end_with_children() -> None:
    """Make SIGTERM an exception of this process, so that the blocks of `child` end their processes too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))


@contextmanager
def child(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child process that writes to a log, and end it with the block."""
    with log.open("wb") as sink:
        process = subprocess.Popen(command, env=environment, stdout=sink, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for stop in (process.terminate, process.kill):
        if process.poll() is not None:
            return
        stop()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            continue
