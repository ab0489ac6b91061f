"""The whole path with the real planner: bag → topics → node → plan → edit → trajectories."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from ros_support import Client, a_bag, node_command, process

from maskdex_ros.bag import summarise
from maskdex_ros.conversions import quaternion_from_rotation
from maskdex_ros.environment import free_domain_id, ros_environment


def test_bag_to_plan_to_edited_ring_finger_to_shutdown(tmp_path: Path) -> None:
    summary = summarise(a_bag())
    assert summary.base_from_camera is not None
    pose = summary.base_from_camera
    command = node_command(
        f"base_from_camera.translation:={pose[:3, 3].tolist()}",
        f"base_from_camera.quaternion_xyzw:={quaternion_from_rotation(pose[:3, :3]).tolist()}",
        "assume_home:=true",
        "max_cloud_age:=0.0",
        "joint_state_max_age:=60.0",
        "plan_max_age:=3600.0",
        "cloud_timeout:=20.0",
        "seed:=1",
        f"output_dir:={tmp_path}",
        program="maskdex_ros.grasp_node",
    )
    domain_id = free_domain_id()
    environment = ros_environment(domain_id)
    play = [sys.executable, "-m", "maskdex_ros.bag_player", str(a_bag()), "--topics", summary.points_topic]
    play += ["/task_text", "--remap", summary.points_topic, "points", "--wait-for", "points", "task_text"]
    with process(command, environment) as node, process([*play, "--wait", "60"], environment):
        client = Client(domain_id)
        try:
            client.listen_to_node()
            assert client.change_state("configure", timeout=90.0)
            assert client.change_state("activate")
            report = client.next_report(lambda: None, timeout=60.0)
            assert report["status"] in ("ok", "rejected"), report["reason"]
            edited = client.next_report(lambda: client.trigger("resample", timeout=60.0), timeout=60.0)
            assert edited["status"] in ("ok", "rejected"), edited["reason"]
            assert locality(report, edited) <= np.deg2rad(0.5)
            assert client.heard["/arm_controller/joint_trajectory"] == []  # nothing moves unasked
            if report["status"] == "ok":
                plan_from_measured_joints_and_execute(client, report)
            for transition in ("deactivate", "cleanup", "shutdown"):
                assert client.change_state(transition)
            assert node.wait(15) == 0
        finally:
            client.close()
    assert json.loads((tmp_path / "report.json").read_text())["status"] in ("ok", "rejected")


def plan_from_measured_joints_and_execute(client: Client, report: dict) -> None:
    parts = [report["trajectory"][part] for part in ("arm", "hand")]
    client.stand_at({n: q for part in parts for n, q in zip(part["joint_names"], part["positions"][0], strict=True)})
    planned = client.trigger("plan", timeout=60.0)
    if not planned.success:
        return
    answer = client.trigger("execute")
    assert answer.success, answer.message
    for part, topic in zip(parts, ("arm", "hand"), strict=True):
        heard = client.heard[f"/{topic}_controller/joint_trajectory"]
        client.spin_until(lambda heard=heard: heard, what=f"the {topic}'s trajectory")
        assert list(heard[0].joint_names) == part["joint_names"]
        assert not np.any(heard[0].points[-1].velocities)


def locality(before: dict, after: dict) -> float:
    """Return the largest change (rad) of a Shadow joint outside the ring finger.

    The edit starts at the chosen candidate, so that one is compared.
    """
    old = dict(zip(before["grasp"]["joint_names"], before["grasp"]["joints"], strict=True))
    new = dict(zip(after["grasp"]["joint_names"], after["grasp"]["joints"], strict=True))
    return max(abs(old[name] - new[name]) for name in old if "RFJ" not in name)
