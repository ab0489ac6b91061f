"""Message-like classes for packages that only ROS distributions have: as many fields as the outputs use.

As in rclpy, a field that the message does not have is an error, and every field starts with its own default.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Pose, PoseStamped, Vector3Stamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint


def message(name: str, constants: dict[str, Any] | None = None, /, **defaults: Any) -> Any:
    """Make a message-like class; a default that is a class is constructed anew for every message."""

    def construct(self: Any, **values: Any) -> None:
        for key, default in defaults.items():
            object.__setattr__(self, key, default() if isinstance(default, type) else default)
        for key, value in values.items():
            setattr(self, key, value)

    def assign(self: Any, key: str, value: Any) -> None:
        if key not in defaults:
            raise AttributeError(f"{name} has no field {key!r}")
        object.__setattr__(self, key, value)

    return type(name, (), {"__init__": construct, "__setattr__": assign, **(constants or {})})


def control_packages() -> dict[str, SimpleNamespace]:
    """Return the modules of control_msgs."""
    tolerance = message("JointTolerance", name="", position=0.0, velocity=0.0, acceleration=0.0)
    follow = SimpleNamespace(
        Goal=message("Goal", trajectory=JointTrajectory, path_tolerance=list, goal_tolerance=list,
                     goal_time_tolerance=Duration),
        Result=message("Result", error_code=0, error_string=""),
        Feedback=message("Feedback", joint_names=list, desired=JointTrajectoryPoint, actual=JointTrajectoryPoint,
                         error=JointTrajectoryPoint),
    )  # fmt: skip
    return {
        "control_msgs.action": SimpleNamespace(FollowJointTrajectory=follow),
        "control_msgs.msg": SimpleNamespace(JointTolerance=tolerance),
    }


def moveit_packages(newer: bool = True) -> dict[str, SimpleNamespace]:
    """Return the modules of moveit_msgs and shape_msgs; `newer` ones have more fields."""
    msg = SimpleNamespace()
    operations = {"ADD": b"\x00", "REMOVE": b"\x01"}
    more = {"message": "", "source": ""} if newer else {}
    msg.MoveItErrorCodes = message("MoveItErrorCodes", val=0, **more)
    msg.RobotTrajectory = message("RobotTrajectory", joint_trajectory=JointTrajectory)
    msg.CollisionObject = message(
        "CollisionObject", operations, header=Header, pose=Pose, id="", primitives=list, primitive_poses=list,
        meshes=list, mesh_poses=list, operation=b"\x00",
    )  # fmt: skip
    msg.AttachedCollisionObject = message(
        "AttachedCollisionObject", link_name="", object=msg.CollisionObject, touch_links=list
    )
    msg.RobotState = message("RobotState", joint_state=JointState, attached_collision_objects=list, is_diff=False)
    msg.PlanningSceneWorld = message("PlanningSceneWorld", collision_objects=list)
    msg.PlanningScene = message(
        "PlanningScene", robot_state=msg.RobotState, world=msg.PlanningSceneWorld, is_diff=False
    )
    msg.DisplayTrajectory = message("DisplayTrajectory", model_id="", trajectory=list, trajectory_start=msg.RobotState)
    msg.JointConstraint = message(
        "JointConstraint", joint_name="", position=0.0, tolerance_above=0.0, tolerance_below=0.0, weight=0.0
    )
    msg.Constraints = message("Constraints", joint_constraints=list)
    msg.MotionPlanRequest = message(
        "MotionPlanRequest", group_name="", start_state=msg.RobotState, goal_constraints=list, num_planning_attempts=0,
        allowed_planning_time=0.0, max_velocity_scaling_factor=0.0, max_acceleration_scaling_factor=0.0,
    )  # fmt: skip
    msg.PlanningOptions = message("PlanningOptions", planning_scene_diff=msg.PlanningScene, plan_only=False)
    msg.GripperTranslation = message(
        "GripperTranslation", direction=Vector3Stamped, desired_distance=0.0, min_distance=0.0
    )
    msg.Grasp = message(
        "Grasp", id="", pre_grasp_posture=JointTrajectory, grasp_posture=JointTrajectory, grasp_pose=PoseStamped,
        grasp_quality=0.0, pre_grasp_approach=msg.GripperTranslation, post_grasp_retreat=msg.GripperTranslation,
        post_place_retreat=msg.GripperTranslation, allowed_touch_objects=list,
    )  # fmt: skip
    return {"moveit_msgs.msg": msg, **_moveit_actions(msg, newer), **_shapes()}


def _moveit_actions(msg: Any, newer: bool) -> dict[str, SimpleNamespace]:
    result = message("Result", error_code=msg.MoveItErrorCodes)
    feedback = message("Feedback", state="")
    names = {"controller_names": list} if newer else {}
    move = message("Goal", request=msg.MotionPlanRequest, planning_options=msg.PlanningOptions)
    execute = message("Goal", trajectory=msg.RobotTrajectory, **names)
    planning = SimpleNamespace(
        Request=message("Request", group_name="", target=msg.CollisionObject),
        Response=message("Response", grasps=list, error_code=msg.MoveItErrorCodes),
    )
    return {
        "moveit_msgs.action": SimpleNamespace(
            MoveGroup=SimpleNamespace(Goal=move, Result=result, Feedback=feedback),
            ExecuteTrajectory=SimpleNamespace(Goal=execute, Result=result, Feedback=feedback),
        ),
        "moveit_msgs.srv": SimpleNamespace(GraspPlanning=planning),
    }


def _shapes() -> dict[str, SimpleNamespace]:
    return {
        "shape_msgs.msg": SimpleNamespace(
            SolidPrimitive=message("SolidPrimitive", {"BOX": 1}, type=0, dimensions=list),
            Mesh=message("Mesh", triangles=list, vertices=list),
            MeshTriangle=message("MeshTriangle", vertex_indices=None),
        )
    }


def install(patch: pytest.MonkeyPatch, modules: dict[str, SimpleNamespace]) -> None:
    """Make the modules importable for one test."""
    for name, content in modules.items():
        package = name.partition(".")[0]
        if package not in sys.modules or sys.modules[package].__spec__ is not None:
            patch.setitem(sys.modules, package, ModuleType(package))
        module = ModuleType(name)
        module.__dict__.update(vars(content))
        patch.setitem(sys.modules, name, module)


def hide(patch: pytest.MonkeyPatch, *packages: str) -> None:
    """Make packages and their modules impossible to import for one test, whether they are installed or not."""
    for package in packages:
        for name in (package, *(f"{package}.{part}" for part in ("msg", "srv", "action"))):
            patch.setitem(sys.modules, name, None)


def installed(package: str) -> bool:
    """Return whether the real package is there."""
    return importlib.util.find_spec(package) is not None
