"""A plan as a picture: which of its arrays are drawn, and what the title says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskdex_core.pictures import PlanView, plan_picture
from maskdex_core.planning.plan import Plan


def draw_plan(plan: Plan, path: Path) -> None:
    """Draw cloud, table, hand on object, and the arm at the grasp."""
    others = [c.palm_pose[:3, 3] for i, c in enumerate(plan.candidates) if i != plan.chosen]
    view = PlanView(
        scene_points=np.asarray(plan.scene.scene_points),
        object_points=plan.object_points,
        object_touch=plan.touch,
        table_height=plan.scene.table_height,
        hand_points=np.concatenate(list(plan.target_hand_points.values())),
        hand_triangles=plan.target_hand_triangles,
        arm_points=plan.arm_points,
        candidate_positions=np.array(others) if others else None,
    )
    chosen = plan.candidates[plan.chosen]
    title = f"“{plan.text}”: {plan.hand_name}, {plan.status}"
    note = plan.reason or (
        f"candidate {plan.chosen + 1} of {len(plan.candidates)}, confidence {chosen.confidence:.2f},"
        f" ranking cost {chosen.cost:.2f}"
    )
    plan_picture(path, view, title, note[:200])
