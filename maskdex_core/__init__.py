"""MaskDexGrasp: dexterous grasps as six tokens, from a point cloud and a sentence.

`GraspModel` samples and edits grasps; `Planner` goes from a cloud to a checked robot trajectory.
Both load lazily: importing this package needs neither ROS nor open3d nor mujoco.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["GraspModel", "Planner", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "GraspModel":
        from maskdex_core.grasp.model import GraspModel

        return GraspModel
    if name == "Planner":
        from maskdex_core.planner import Planner

        return Planner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
