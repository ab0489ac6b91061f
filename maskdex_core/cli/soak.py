"""`maskdex soak`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from maskdex_core.cli.common import Command, output_file
from maskdex_core.cli.ros_process import run_ros


@dataclasses.dataclass(frozen=True, kw_only=True)
class Soak(Command):
    """Put the ROS 2 node under load and faults for minutes; watch memory, age of clouds and lost commands."""

    minutes: Annotated[float, arg(metavar="M")] = 10.0
    """Of load."""
    rate: Annotated[float, arg(metavar="HZ")] = 30.0
    """Clouds of 640x480 points in a second."""
    out: Annotated[Path | None, arg(metavar="FILE.json")] = None
    """File for the figures, which are printed as well."""

    def run(self) -> int:
        """Soak; the exit code is 0 when every promise was kept, else 1."""
        out = None if self.out is None else output_file(self.out, ".json")
        return run_ros("maskdex_ros.soak", [], {"minutes": self.minutes, "rate": self.rate, "out": out})
