"""`maskdex plan`: a cloud and a sentence in, a report and a checked trajectory out."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from tyro.conf import arg

from maskdex_core.cli.common import TorchCommand, check_seed, output_folder, print_json, say
from maskdex_core.errors import ConfigError, PlanRejected, UsageError

if TYPE_CHECKING:
    from maskdex_core.perception.cloud import Cloud

Position = tuple[float, float, float]
Pose = tuple[float, float, float, float, float, float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan(TorchCommand):
    """Plan a grasp on a cloud; prints the report as JSON. Exit code 4: no safe plan, with reasons."""

    cloud: Annotated[Path, arg(metavar="FILE|BAG")]
    """.npz, .npy, .ply, .pcd or a ROS 2 bag folder."""
    text: Annotated[str | None, arg(metavar="TEXT")] = None
    """What to do with the object; by default the text that the cloud carries."""
    hand: str = "freedom_v2"
    """Target hand, by name or by the path of its YAML."""
    arm: str = "xarm7"
    """Arm, by name."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for report.json, trajectory.json, scene.npz, plan.png and object.ply."""
    seed: Annotated[int | None, arg(metavar="N")] = None
    """Makes the plan repeatable."""
    checkpoint: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of the grasp model; the shipped one by default."""
    samples: int = 16
    """Grasps drawn."""
    object_near: Annotated[Position | None, arg(metavar="X Y Z")] = None
    """Of several objects the one nearest to this point is grasped; m in link_base."""
    speed_scale: float = 0.3
    """Share of the joint limits that the motion uses."""
    base_from_camera: Annotated[Pose | None, arg(metavar="X Y Z QX QY QZ QW")] = None
    """Pose of the camera in link_base, m and quaternion; by default the cloud's own."""

    def run(self) -> int:
        """Plan, print and save."""
        check_seed(self.seed)
        self.set_threads()
        from maskdex_core.planner import Planner, PlannerConfig
        from maskdex_core.text.encoder import check_text

        try:
            config = PlannerConfig(
                hand=self.hand,
                arm=self.arm,
                checkpoint=None if self.checkpoint is None else str(self.checkpoint),
                samples=self.samples,
                seed=self.seed,
                object_near=self.object_near,
                speed_scale=self.speed_scale,
            )
        except ConfigError as error:  # here a value out of range came from the command line
            raise UsageError(str(error)) from error
        cloud = self._cloud()
        text = cloud.text if self.text is None else self.text
        if text is None:
            raise UsageError(f"{self.cloud} carries no task text; give one with --text")
        check_text(text)  # before the model loads
        if self.out is not None:
            output_folder(self.out)
        if cloud.base_from_camera is None:
            say("camera pose unknown: the base is put at the camera's foot on the table (--base-from-camera)")
        say("load")
        plan = Planner(config).plan(cloud, text, on_stage=say)
        print_json(plan.report())
        if self.out is not None:
            plan.save(self.out)
            say(f"saved in {self.out}")
        if not plan.ok:
            say(f"maskdex: no safe plan: {plan.reason}")
            return PlanRejected.exit_code
        say(f"ok after {plan.timings_ms['total'] / 1000:.1f} s")
        return 0

    def _cloud(self) -> Cloud:
        from maskdex_core.perception.files import load_cloud

        cloud = load_cloud(self.cloud)
        if self.base_from_camera is None:
            return cloud
        return dataclasses.replace(cloud, base_from_camera=pose_matrix(self.base_from_camera))


def pose_matrix(pose: Pose) -> np.ndarray:
    """Return base_from_camera (4, 4) of x, y, z (m) and a quaternion x, y, z, w.

    Raises:
        UsageError: when a number is not finite or the quaternion is not of unit length.
    """
    from scipy.spatial.transform import Rotation

    if not all(map(math.isfinite, pose)):
        raise UsageError(f"--base-from-camera {pose} must be finite numbers")
    length = math.hypot(*pose[3:])
    if abs(length - 1.0) > 0.01:
        raise UsageError(f"--base-from-camera: the quaternion {pose[3:]} has length {length:.3f}, expected 1")
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(pose[3:]).as_matrix()
    matrix[:3, 3] = pose[:3]
    return matrix
