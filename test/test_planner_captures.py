"""The planner on the five real captures: a grasp beside the object, and a decision.

Their pictures are left in `out/test/captures/` to be looked at.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from perception_scenes import CAPTURES, real_capture
from planner_support import decided

from maskdex_core import Planner
from maskdex_core.perception.files import load_cloud
from maskdex_core.planner import PlannerConfig

PICTURES = Path(__file__).resolve().parent.parent / "out" / "test" / "captures"
PALM_MIDDLE = np.array([0.0, 0.0, 0.055, 1.0])  # m, freedom_v2's root frame lies at its wrist


@pytest.fixture(scope="module")
def planner():
    torch.set_num_threads(1)
    real_capture(CAPTURES[0])
    return Planner(PlannerConfig(samples=4, seed=3))


@pytest.mark.parametrize("name", CAPTURES)
def test_a_real_capture_is_decided(planner, name):
    plan = planner.plan(load_cloud(real_capture(name) / "scene.npz"), "lift the object")
    decided(plan)
    plan.save(PICTURES / name)
    assert (PICTURES / name / "plan.png").stat().st_size > 50_000
    palm = (plan.candidates[plan.chosen].palm_pose @ PALM_MIDDLE)[:3]
    assert np.linalg.norm(palm - np.asarray(plan.scene.object_centroid)) <= 0.2  # m
    if plan.ok:
        assert planner.verdict(plan, plan.start).ok
