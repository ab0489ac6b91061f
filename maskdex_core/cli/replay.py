"""`maskdex replay` and `maskdex demo`: the real node on a bag, as processes of their own."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from maskdex_core.cli.common import Command, check_seed, output_folder
from maskdex_core.errors import ConfigError
from maskdex_core.resources import resource_path

DEMO_BAG = Path("data") / "demo_scene" / "bag"
DEMO_FILES = ("report.json", "trajectory.json", "plan.png", "object.ply")
NO_ROS = (
    "rclpy is not installed: source a ROS 2 distribution, or install the wheels with "
    "`pip install 'maskdex_ros[ros]'` on Python 3.11 or 3.12"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay(Command):
    """Run the ROS 2 node on a bag, in real time, over real topics."""

    bag: Annotated[Positional[Path], arg(metavar="BAG")]
    """rosbag2 folder."""
    text: Annotated[str | None, arg(metavar="TEXT")] = None
    """Task text instead of the bag's."""
    hand: Annotated[str | None, arg(metavar="NAME")] = None
    """Target hand; freedom_v2 by default."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for report.json, trajectory.json, plan.png and object.ply."""
    seed: Annotated[int | None, arg(metavar="N")] = None
    """Makes the plan repeatable."""
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
        return replay(self.bag, options)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Demo(Command):
    """Plan on the table scene that travels with maskdex, through the real node."""

    out: Annotated[Path, arg(metavar="DIR")] = Path("out/demo")
    """Folder for the results."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Of the plan."""
    hand: str = "freedom_v2"
    """Target hand."""

    def run(self) -> int:
        """Replay the demo's bag and say what was left where."""
        check_seed(self.seed)
        out = output_folder(self.out)
        for name in DEMO_FILES:
            (out / name).unlink(missing_ok=True)  # an older run's file must not pass for this one's
        code = replay(resource_path(DEMO_BAG), {"out": out, "seed": self.seed, "hand": self.hand})
        left = [name for name in DEMO_FILES if (out / name).is_file()]
        if left:
            print(f"  files       {out}/{{{','.join(left)}}}", flush=True)
        return code


def replay(bag: Path, options: dict[str, object | None]) -> int:
    """Run `python -m maskdex_ros.replay` and return its exit code.

    A process of its own, because the ROS wheels start Python a second time; and core knows no ROS.

    Raises:
        ConfigError: when there is no rclpy on this machine.
    """
    if importlib.util.find_spec("rclpy") is None or importlib.util.find_spec("maskdex_ros") is None:
        raise ConfigError(NO_ROS)
    command = [sys.executable, "-m", "maskdex_ros.replay", str(bag)]
    for name, value in options.items():
        if value is not None:
            command.append(f"--{name}={value}")
    child = subprocess.Popen(command)
    try:
        return child.wait()
    except KeyboardInterrupt:  # the terminal sent it to the child too, which ends its own children
        try:
            child.wait(15.0)
        except subprocess.TimeoutExpired:
            child.kill()
        raise
