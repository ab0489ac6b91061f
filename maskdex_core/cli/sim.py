"""`maskdex sim` and `maskdex demo`: a sentence, the real node, and a simulated robot that lifts or drops."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from maskdex_core.cli.common import Command, check_seed, output_folder
from maskdex_core.cli.ros_process import run_ros

FILES = ("report.json", "trajectory.json", "scene.npz", "plan.png", "object.ply", "lift.png", "lift.gif", "lift.json")
DEMO_OBJECT, DEMO_TEXT = "mug_003", "drink from the mug"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sim(Command):
    """Plan on a simulated camera, move a simulated robot, and see whether it lifts the object; over ROS 2.

    Exit code 4 also says that the object was dropped."""

    object: Annotated[str, arg(metavar="NAME|FILE")]
    """A procedural family (mug, can, hammer ...), another one of it (mug_007), or the path of a mesh in metres."""
    text: Annotated[str, arg(metavar="TEXT")]
    """What to do with the object."""
    hand: str = "freedom_v2"
    """Target hand."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for report.json, lift.png, lift.gif and the plan's files."""
    seed: Annotated[int | None, arg(metavar="N")] = None
    """Makes the plan repeatable."""
    checkpoint: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of the grasp model; the shipped one by default."""
    rate: Annotated[float, arg(metavar="X")] = 1.0
    """Speed of the simulated time."""
    viewer: bool = False
    """Open a MuJoCo window; needs a display."""

    def run(self) -> int:
        """Simulate; the exit code is the simulation's own."""
        check_seed(self.seed)
        options = {"object": self.object, "text": self.text, "hand": self.hand, "seed": self.seed}
        options |= {"checkpoint": self.checkpoint, "rate": self.rate}
        return simulate(options, self.out, self.viewer)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Demo(Command):
    """Look at a mug, plan, move and lift it: the real node and a simulated robot."""

    out: Annotated[Path, arg(metavar="DIR")] = Path("out/demo")
    """Folder for the results."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Of the plan."""
    hand: str = "freedom_v2"
    """Target hand."""

    def run(self) -> int:
        """Simulate, and say what was left where."""
        check_seed(self.seed)
        return simulate({"object": DEMO_OBJECT, "text": DEMO_TEXT, "hand": self.hand, "seed": self.seed}, self.out)


def simulate(options: dict[str, object | None], out: Path | None, viewer: bool = False) -> int:
    """Run `maskdex_ros.sim` and say which files it left; return its exit code."""
    if out is not None:
        out = output_folder(out)
        for name in FILES:
            (out / name).unlink(missing_ok=True)  # an older run's file must not pass for this one's
    code = run_ros("maskdex_ros.sim", ["--viewer"] if viewer else [], {**options, "out": out})
    left = [] if out is None else [name for name in FILES if (out / name).is_file()]
    if left:
        print(f"  files       {out}/{{{','.join(left)}}}", flush=True)
    return code
