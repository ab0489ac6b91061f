"""`maskdex demo` as a person runs it: node and simulated robot as processes, over real topics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_support import run_process

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")
pytest.importorskip("mujoco", reason="no simulator: pip install 'maskdex_ros[sim]'")


def test_demo_plans_moves_and_lifts_and_leaves_pictures(tmp_path: Path):
    (tmp_path / "plan.png").write_text("of an older run")
    ended = run_process("demo", "--out", tmp_path, timeout=600.0)
    assert ended.code == 0, ended.out + ended.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["status"], report["text"]) == ("ok", "drink from the mug")
    assert len(report["grasp"]["tokens"]) == len(report["grasp"]["token_confidence"]) == 6
    assert any(candidate["verdict"] == "ok" for candidate in report["candidates"])
    assert all(candidate["reason"] for candidate in report["candidates"] if candidate["verdict"] == "rejected")
    assert set(report["timings_ms"]) >= {"text", "segment", "sample", "refine", "retarget", "motion"}
    trajectory = json.loads((tmp_path / "trajectory.json").read_text())
    assert trajectory["arm"]["joint_names"] == [f"joint{i}" for i in range(1, 8)]
    assert trajectory["arm"]["times"][0] > 0.0
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert "stage: motion" in ended.out
    assert "drink from the mug" in ended.out
    assert "plan.png" in ended.out
    assert report["sim"]["outcome"] == "lifted"
    assert report["sim"]["height"] > 0.1
    assert (tmp_path / "lift.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "lift.gif").read_bytes().startswith(b"GIF")
    assert "lifted: mug" in ended.out
