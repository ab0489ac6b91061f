"""Small bags with what must be found in them, and the promise that the same bag gives the same plan."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from regression_bags import FOLDER, found_in

BAGS = sorted(path.parent.name for path in FOLDER.glob("*/expected.json"))


def test_there_are_bags_with_one_with_several_and_without_objects() -> None:
    assert BAGS == ["empty_table", "mug", "mug_and_box"]
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < 3_000_000


@pytest.mark.parametrize("name", BAGS)
def test_perception_finds_what_it_found_before(name: str) -> None:
    expected, found = json.loads((FOLDER / name / "expected.json").read_text()), found_in(FOLDER / name)
    assert found["text"] == expected["text"]
    if "error" in expected:
        assert found.get("error") == expected["error"]
        return
    assert found["points"] == pytest.approx(expected["points"], rel=0.05)
    np.testing.assert_allclose(found["centroid"], expected["centroid"], atol=0.003)
    np.testing.assert_allclose(found["extent"], expected["extent"], atol=0.006)


def test_the_same_bag_and_seed_give_the_same_plan_bit_for_bit(tmp_path: Path) -> None:
    """The real node with the real planner, twice, at different paces."""
    pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")
    from maskdex_ros.replay import ReplayOptions, replay

    made = []
    for name, rate in (("one", 1.0), ("two", 10.0)):
        report = replay(FOLDER / "mug", ReplayOptions(seed=5, rate=rate, out=tmp_path / name, timeout=300.0))
        assert report["status"] in ("ok", "rejected"), report["reason"]
        assert len(report["candidates"]) == 16
        made.append(report)
    for file in ("trajectory.json", "scene.npz", "object.ply", "plan.png"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    for report in made:  # what differs is how long it took
        del report["timings_ms"], report["cloud"]
    assert made[0] == made[1]
