"""`maskdex replay`: the real node on a bag, as processes of their own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from maskdex_core.cli.common import Command, check_seed, output_folder
from maskdex_core.cli.ros_process import run_ros

DEMO_BAG = Path("data") / "demo_scene" / "bag"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay(Command):
    """Run the ROS 2 node on a bag over real topics; the same bag and seed give the same plan."""

    bag: Annotated[Positional[Path], arg(metavar="BAG")]
    """rosbag2 folder."""
    text: Annotated[str | None, arg(metavar="TEXT")] = None
    """Task text instead of the bag's."""
    hand: Annotated[str | None, arg(metavar="NAME")] = None
    """Target hand; by default the recording's, or freedom_v2."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for report.json, trajectory.json, scene.npz, plan.png and object.ply."""
    seed: Annotated[int | None, arg(metavar="N")] = None
    """Makes the plan repeatable; by default the recording's."""
    checkpoint: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of the grasp model; the shipped one by default."""
    rate: Annotated[float | None, arg(metavar="X")] = None
    """Speed of the bag; 1 by default."""
    timeout: Annotated[float | None, arg(metavar="S")] = None
    """Seconds to wait for the report."""

    def run(self) -> int:
        """Replay; the exit code is the replay's own."""
        check_seed(self.seed)
        options = {
            "text": self.text,
            "hand": self.hand,
            "out": None if self.out is None else output_folder(self.out),
            "seed": self.seed,
            "checkpoint": self.checkpoint,
            "rate": self.rate,
            "timeout": self.timeout,
        }
        return run_ros("maskdex_ros.replay", [self.bag], options)
