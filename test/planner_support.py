"""What every plan must satisfy, whatever came out."""

from __future__ import annotations

from maskdex_core.planner import Plan


def decided(plan: Plan) -> None:
    """Check that a plan is ok with a trajectory, or rejected with the reason of every candidate tried."""
    if plan.status == "ok":
        assert plan.trajectory is not None and plan.reason == ""
        assert plan.candidates[plan.chosen].verdict == "ok"
    else:
        assert plan.status == "rejected" and plan.trajectory is None
        assert f"of {len(plan.candidates)} candidates have no safe motion; most often " in plan.reason
        assert not [c for c in plan.candidates if c.verdict == "ok"]
    assert all(bool(c.reason) == (c.verdict == "rejected") for c in plan.candidates)
