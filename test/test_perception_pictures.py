"""The plan's picture shows what it is given."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from maskdex_core.pictures import HAND, OBJECT, TOUCH, PlanView, plan_picture


def view(**changes: object) -> PlanView:
    rng = np.random.default_rng(0)
    values = {
        "scene_points": rng.uniform((0.2, -0.3, 0), (0.8, 0.3, 0.001), (3000, 3)),
        "object_points": rng.uniform((0.42, 0.0, 0.0), (0.5, 0.08, 0.1), (800, 3)),
        "table_height": 0.0,
        "hand_points": rng.uniform((0.3, 0.0, 0.05), (0.42, 0.08, 0.12), (800, 3)),
        "arm_points": np.array([[0, 0, 0], [0, 0, 0.27], [0.1, 0, 0.5], [0.3, 0.04, 0.1]]),
        "candidate_positions": rng.uniform((0.3, 0.0, 0.05), (0.42, 0.08, 0.12), (5, 3)),
    }
    return PlanView(**{**values, **changes})


def share_of_color(path: Path, color: str) -> float:
    from matplotlib.image import imread

    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return float((np.abs(imread(path)[..., :3] - wanted).max(axis=-1) < 0.1).mean())


def test_object_and_hand_are_drawn(tmp_path: Path):
    plan_picture(tmp_path / "plan.png", view(), "a title", "a note")
    assert share_of_color(tmp_path / "plan.png", OBJECT) > 0.003
    assert share_of_color(tmp_path / "plan.png", HAND) > 0.003


def test_a_rejected_plan_without_hand_is_drawn(tmp_path: Path):
    bare = view(hand_points=None, arm_points=None, candidate_positions=None, scene_points=np.empty((0, 3)))
    plan_picture(tmp_path / "plan.png", bare)
    assert share_of_color(tmp_path / "plan.png", OBJECT) > 0.003
    assert share_of_color(tmp_path / "plan.png", HAND) < 0.0005


@pytest.mark.parametrize("module", ["maskdex_core.pictures", "maskdex_core.perception.segment"])
def test_import_needs_neither_matplotlib_nor_open3d(module: str):
    import subprocess

    heavy = ("matplotlib", "open3d", "rosbags", "torch")
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def height_of_color(path: Path, color: str) -> float:
    """Return the mean height, 0 at the bottom and 1 at the top, of a colour's pixels left of the colour bar."""
    from matplotlib.image import imread

    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    image = imread(path)[..., :3]
    rows = np.nonzero(np.abs(image - wanted).max(axis=-1)[:, : int(0.93 * image.shape[1])] < 0.1)[0]
    assert len(rows) > 100
    return 1.0 - rows.mean() / len(image)


def test_the_object_is_darker_where_the_text_wants_the_hand(tmp_path: Path):
    bare = {"hand_points": None, "arm_points": None, "candidate_positions": None, "scene_points": np.empty((0, 3))}
    points = view().object_points
    upper = points[:, 2] > 0.05
    plan_picture(tmp_path / "plain.png", view(**bare))
    plan_picture(tmp_path / "upper.png", view(**bare, object_touch=0.3 * upper))
    plan_picture(tmp_path / "lower.png", view(**bare, object_touch=0.3 * ~upper))
    assert share_of_color(tmp_path / "plain.png", TOUCH[-1]) < 1e-4
    heights = [height_of_color(tmp_path / name, TOUCH[-1]) for name in ("lower.png", "upper.png")]
    assert heights[1] > heights[0] + 0.1
