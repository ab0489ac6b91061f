"""`maskdex record`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from maskdex_core.cli.common import Command
from maskdex_core.cli.ros_process import run_ros


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record(Command):
    """Record what a running node hears, says and is set to, for `maskdex replay` and for bug reports."""

    out: Annotated[Path, arg(metavar="DIR")]
    """Folder of the bag, to be made."""
    seconds: Annotated[float | None, arg(metavar="S")] = None
    """How long; until Ctrl-C by default."""
    target: Annotated[str | None, arg(metavar="NAME")] = None
    """Name of the node; maskdex by default."""

    def run(self) -> int:
        """Record; the exit code is the recorder's own."""
        return run_ros("maskdex_ros.record", [], {"out": self.out, "seconds": self.seconds, "target": self.target})
