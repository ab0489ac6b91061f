"""What stands near the robot: refused with the link's name where it would be cut, and the robot itself is no object."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import trimesh
from perception_scenes import bowl, box, capture, cup, placed, table

from maskdex_core.errors import CloudError
from maskdex_core.hands.model import HandModel
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.types import RobotState
from maskdex_core.perception.camera import look_at
from maskdex_core.perception.cloud import Cloud
from maskdex_core.perception.files import load_cloud
from maskdex_core.perception.segment import Scene, segment
from maskdex_core.physics.robot_mjcf import arm_urdf
from maskdex_core.planning.near_robot import segment_beside
from maskdex_core.planning.robot import Robot
from maskdex_core.resources import resource_path

VIEWS = {
    "across the table": look_at(np.array([1.0, -0.3, 0.5]), np.array([0.3, 0.0, 0.05])),
    "past the hand": look_at(np.array([0.0, 0.35, 0.55]), np.array([0.42, 0.0, 0.05])),
    "from above": look_at(np.array([0.45, 0.3, 0.8]), np.array([0.35, 0.0, 0.0])),
}

THINGS = {"cup": cup, "box": box, "bowl": bowl}


@dataclass(frozen=True)
class Skin:
    vertices: np.ndarray
    faces: np.ndarray


@cache
def robot() -> Robot:
    return Robot(Arm.load("xarm7"), HandModel.load("freedom_v2"))


def robot_meshes(state: RobotState) -> list[Skin]:
    """Return the surfaces of arm and hand where they stand."""
    arm, hand = robot().arm, robot().hand
    frames = dict(zip(arm.link_names, arm.link_transforms(state.arm_positions[None])[0], strict=True))
    shapes = [(frames[link.name], shape) for link in arm_urdf(arm).links.values() for shape in link.shapes]
    skin = [shape.triangles() @ frame[:3, :3].T + frame[:3, 3] for frame, shape in shapes]
    skin.append(robot().hand_triangles(np.array(state.hand_positions), frames["link_eef"] @ hand.flange_from_palm()))
    corners = np.concatenate(skin).reshape(-1, 3)
    return [Skin(corners, np.arange(len(corners)).reshape(-1, 3))]


def seen(cloud: Cloud, state: RobotState, object_near: tuple[float, float, float] | None = None) -> Scene:
    return segment_beside(robot().seen_near(cloud, state), cloud, object_near)


def demo_at(x: float, y: float) -> Cloud:
    """Return the demo's capture with the camera's pose such that the mug's points are round x, y."""
    cloud = load_cloud(resource_path("data/demo_scene/bag"))
    pose = np.array(cloud.base_from_camera)
    pose[:2, 3] += np.array([x, y]) - segment(cloud).object_centroid[:2]
    return replace(cloud, base_from_camera=pose)


@pytest.mark.parametrize(
    ("x", "y", "where"),
    [(0.0, 0.0, "inside"), (0.03, 0.0, "inside"), (0.08, 0.05, "within 3 cm of"), (0.11, 0.0, "within 3 cm of")],
)
def test_an_object_in_or_at_the_base_is_refused_with_the_links_name(x: float, y: float, where: str) -> None:
    with pytest.raises(CloudError, match=f"the object stands {where} link_base, .*move the object or the robot"):
        seen(demo_at(x, y), robot().home())


def test_an_object_just_clear_of_the_base_is_whole() -> None:
    cloud = demo_at(0.14, 0.05)
    assert len(robot().seen_near(cloud, robot().home()).not_itself().rows) > 1000  # of the table
    assert np.array_equal(seen(cloud, robot().home()).object_indices, segment(cloud).object_indices)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("name", "place"), [("cup", (0.33, 0.0)), ("bowl", (0.45, 0.02)), ("box", (0.33, 0.0))])
def test_the_robot_at_home_is_no_object_and_no_reason_to_refuse(view: str, name: str, place: tuple[float, float]):
    """Under the hand, and beside it."""
    state = robot().home()
    cloud, truth = capture([placed(THINGS[name](), *place), table(), *robot_meshes(state)], VIEWS[view])
    assert (truth == 2).sum() > 1000  # the robot is in view
    chosen = truth[seen(cloud, state).object_indices]
    assert (chosen == 0).mean() > 0.97
    assert (chosen == 0).sum() > 0.65 * (truth == 0).sum()  # a bowl's bottom counts as the table


def test_a_bottle_that_reaches_up_to_the_hand_is_refused_with_the_hand_named() -> None:
    state = robot().home()
    bottle = placed(trimesh.creation.cylinder(0.03, 0.21), 0.335, -0.035)
    bottle.apply_translation((0, 0, 0.105))
    cloud, _ = capture([bottle, table(), *robot_meshes(state)], VIEWS["from above"])
    with pytest.raises(CloudError, match="the object stands within 3 cm of the hand"):
        seen(cloud, state)


def test_two_things_clear_of_the_robot_are_two() -> None:
    state = robot().home()
    apart = [placed(box((0.05, 0.05, 0.1)), 0.45, y) for y in (-0.15, 0.15)]
    cloud, _ = capture([*apart, table(), *robot_meshes(state)], VIEWS["from above"])
    with pytest.raises(CloudError, match="2 objects stand on the table"):
        seen(cloud, state)


def test_of_two_things_the_one_at_the_base_is_refused_only_where_it_is_meant() -> None:
    state = robot().home()
    at_base, clear = placed(box((0.02, 0.05, 0.12), 0.0), 0.08, 0.0), placed(cup(), 0.45, 0.1)
    cloud, truth = capture([at_base, clear, table(), *robot_meshes(state)], VIEWS["across the table"])
    assert (truth == 0).sum() > 500
    assert (truth[seen(cloud, state, (0.45, 0.1, 0.05)).object_indices] == 1).mean() > 0.97
    with pytest.raises(CloudError, match="within 3 cm of link_base"):
        seen(cloud, state, (0.08, 0.0, 0.05))
