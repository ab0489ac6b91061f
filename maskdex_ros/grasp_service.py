"""`plan_grasps`, the service that MoveIt's pick pipelines ask: moveit_msgs/srv/GraspPlanning."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import CloudError, MaskdexError, PlanCancelled, RobotError
from maskdex_core.motion.types import CLOSE
from maskdex_ros.conversions import duration_message, pose_message, transform_from_parts
from maskdex_ros.planning import Outcome, failure

if TYPE_CHECKING:
    from rclpy.node import Node

    from maskdex_core.planning.robot import RobotNames

SERVICE = "plan_grasps"
# moveit_msgs/MoveItErrorCodes
SUCCESS, FAILED, PLANNING_FAILED, PREEMPTED = 1, 99999, -1, -7
NO_SENSOR_DATA, BAD_GROUP, BAD_STATE, NO_TRANSFORM = -5, -15, -17, -21
CODES: tuple[tuple[type[MaskdexError], int], ...] = (
    (PlanCancelled, PREEMPTED),
    (CloudError, NO_SENSOR_DATA),
    (RobotError, BAD_STATE),
)

Plan = Callable[[str, Sequence[float]], Awaitable[Outcome]]


class GraspService:
    """Answers with the grasps of one plan: those that were not rejected, best first."""

    def __init__(self, node: Node, planner: Any, plan: Plan, last_text: Callable[[], str | None], group: Any) -> None:
        """Serve `plan_grasps`; needs moveit_msgs.

        Args:
            node: gets the service. planner: knows the robot's names and distances.
            plan: plans for a text near a point. last_text: the task text heard last, or None.
            group: callback group; a request waits for its plan in it.
        """
        from moveit_msgs.srv import GraspPlanning

        self._node, self._planner, self._plan, self._last_text = node, planner, plan, last_text
        self._service = node.create_service(GraspPlanning, SERVICE, self._serve, callback_group=group)

    def destroy(self) -> None:
        """Remove the service."""
        self._node.destroy_service(self._service)

    async def _serve(self, request: Any, response: Any) -> Any:
        names = self._planner.robot_names
        code, reason = _problem(request, names)
        if code == SUCCESS:
            # The text says what the grasp is for; a request names an object at most.
            text = self._last_text() or f"pick up the {request.target.id or 'object'}"
            try:
                outcome = await self._plan(text, _place(request.target))
            except Exception as error:  # the answer says what went wrong, and the node goes on
                outcome = failure(error, text)
            code, reason = _code(outcome), outcome.reason
            if outcome.ok:
                config = self._planner.config
                response.grasps = grasps(outcome.plan, names, config.approach, config.lift, request.target.id)
        response.error_code.val = code
        if hasattr(response.error_code, "message"):  # newer versions
            response.error_code.message, response.error_code.source = reason, self._node.get_name()
        return response


def grasps(plan: Any, names: RobotNames, approach: float, lift: float, target: str) -> list[Any]:
    """Return moveit_msgs/Grasp for every candidate that was not rejected, the chosen one first.

    `grasp_pose` is that of the arm's tip, the hand's parent link, as MoveIt wants it; distances are m.

    Args:
        plan: with a trajectory. names: of the robot. approach, lift: lengths of the straight ways.
        target: id of the object that the hand may touch.
    """
    begin, end = plan.trajectory.phases.get(CLOSE, (0.0, plan.trajectory.duration))
    order = [plan.chosen] + [row for row in range(len(plan.candidates)) if row != plan.chosen]
    usable = [(row, plan.candidates[row]) for row in order if plan.candidates[row].verdict != "rejected"]
    palm_from_tip = np.linalg.inv(names.tip_from_palm)
    return [
        _grasp(f"grasp_{row}", candidate, plan.hand_joint_names, candidate.palm_pose @ palm_from_tip, names.base_frame,
               end - begin, approach, lift, target)
        for row, candidate in usable
    ]  # fmt: skip


def _grasp(
    name: str, candidate: Any, joint_names: Sequence[str], tip: NDArray[np.float64], frame: str,
    closing: float, approach: float, lift: float, target: str,
) -> Any:  # fmt: skip
    from geometry_msgs.msg import PoseStamped
    from moveit_msgs.msg import Grasp
    from std_msgs.msg import Header

    grasp = Grasp(id=name, grasp_quality=float(candidate.confidence))
    grasp.grasp_pose = PoseStamped(header=Header(frame_id=frame), pose=pose_message(tip))
    grasp.pre_grasp_posture = _posture(joint_names, [(closing, candidate.pregrasp)])
    grasp.grasp_posture = _posture(joint_names, [(0.5 * closing, candidate.joints), (closing, candidate.squeeze)])
    grasp.pre_grasp_approach = _way(candidate.approach, approach, frame)
    grasp.post_grasp_retreat = _way((0.0, 0.0, 1.0), lift, frame)
    grasp.post_place_retreat = _way([-value for value in candidate.approach], approach, frame)
    grasp.allowed_touch_objects = [target] if target else []
    return grasp


def _posture(joint_names: Sequence[str], points: Sequence[tuple[float, Any]]) -> Any:
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

    return JointTrajectory(
        joint_names=list(joint_names),
        points=[
            JointTrajectoryPoint(
                positions=np.asarray(positions, dtype=np.float64).tolist(), time_from_start=duration_message(time)
            )
            for time, positions in points
        ],
    )


def _way(direction: Sequence[float], distance: float, frame: str) -> Any:
    from geometry_msgs.msg import Vector3, Vector3Stamped
    from moveit_msgs.msg import GripperTranslation
    from std_msgs.msg import Header

    x, y, z = (float(value) for value in direction)
    stamped = Vector3Stamped(header=Header(frame_id=frame), vector=Vector3(x=x, y=y, z=z))
    # The whole way was checked, and no other: the least distance is the wanted one.
    return GripperTranslation(direction=stamped, desired_distance=float(distance), min_distance=float(distance))


def _problem(request: Any, names: RobotNames) -> tuple[int, str]:
    """Return SUCCESS, or the code and the reason why a request cannot be planned for."""
    if request.group_name not in ("", names.arm_group):
        return BAD_GROUP, f"group {request.group_name!r} is unknown; known: {names.arm_group}"
    frame = request.target.header.frame_id
    if _shapes(request.target) and frame not in ("", names.base_frame):
        return NO_TRANSFORM, f"the target's frame is {frame!r}; valid: {names.base_frame!r}"
    return SUCCESS, ""


def _shapes(target: Any) -> list[Any]:
    return [*target.primitive_poses, *target.mesh_poses]


def _place(target: Any) -> tuple[float, ...]:
    """Return where (m) the target's first shape lies, or () where it has none."""
    shapes = _shapes(target)
    if not shapes:
        return ()
    position = (_matrix(target.pose) @ _matrix(shapes[0]))[:3, 3]
    return tuple(float(value) for value in position)


def _matrix(pose: Any) -> NDArray[np.float64]:
    position, turn = pose.position, pose.orientation
    return transform_from_parts((position.x, position.y, position.z), (turn.x, turn.y, turn.z, turn.w), "target pose")


def _code(outcome: Outcome) -> int:
    if outcome.ok:
        return SUCCESS
    if outcome.status == "rejected":
        return PLANNING_FAILED
    return next((code for kind, code in CODES if isinstance(outcome.cause, kind)), FAILED)
