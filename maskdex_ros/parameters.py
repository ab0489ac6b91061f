"""Every parameter of the node: one table that declares, bounds, documents and reads them.

`NodeParameters` is the table. A field's metadata holds the ROS name, the range or choices and the
description; `declare` turns it into descriptors and a validation callback, `read` into values.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskdex_core.errors import ConfigError, unknown_choice
from maskdex_ros.outputs import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rclpy.node import Node

PARTS = ("palm", "thumb", "index", "middle", "ring", "little")
RELIABILITIES = ("auto", "best_effort", "reliable")
TYPE_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number with a decimal point, such as 1.0",
    "str": "text",
    "tuple[float, ...]": "numbers with a decimal point, such as [1.0, 0.0, 0.5]",
    "tuple[str, ...]": "a list of texts",
}


@dataclass(frozen=True)
class Bounds:
    """What a parameter may be: a numeric range, a set of choices, or a number of elements."""

    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()


def _parameter(
    default: Any, doc: str, name: str | None = None, fixed: bool = False, taken: str = "any time", **bounds: Any
) -> Any:
    """Describe a parameter.

    Args:
        default: its value where nobody sets it; () leaves it unset.
        doc: one sentence with the unit.
        name: its ROS name, where that is not the field's.
        fixed: whether it is read only at configure, so that it may not change after it.
        taken: when the node reads it, for the documentation.
        **bounds: see `Bounds`.
    """
    taken = "at configure" if fixed else taken
    metadata = {"doc": doc, "name": name, "fixed": fixed, "taken": taken, "bounds": Bounds(**bounds)}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class NodeParameters:
    """The node's parameters, read at the moment they are used."""

    autostart: bool = _parameter(
        False, "Configure and activate without waiting for a lifecycle manager.", taken="at start"
    )
    hand: str = _parameter("freedom_v2", "Target hand: the name of a description in config/hands.", fixed=True)
    arm: str = _parameter("xarm7", "Arm that carries the hand.", fixed=True)
    checkpoint: str = _parameter("", "Folder of the grasp model's checkpoint; empty means the shipped one.", fixed=True)
    samples: int = _parameter(16, "Grasps sampled for one plan.", fixed=True, low=1, high=256)
    seed: int = _parameter(-1, "Makes plans repeatable; -1 draws a new one.", low=-1, high=2**31 - 1)
    threads: int = _parameter(0, "Threads of torch; 0 leaves torch's own choice.", fixed=True, low=0, high=256)
    speed_scale: float = _parameter(0.3, "Share of the joint velocity limits used.", low=0.01, high=1.0)
    object_near: tuple[float, ...] = _parameter(
        (), "Point (m, base frame) near the object to grasp; needed where several stand in reach.", lengths=(0, 3)
    )
    points_reliability: str = _parameter(
        "auto",
        "QoS of `points`; auto follows the publisher, else best_effort.",
        taken="at activation",
        choices=RELIABILITIES,
    )
    max_cloud_age: float = _parameter(
        5.0, "Oldest cloud (s since arrival) that is planned on; 0 takes any.", low=0.0, high=3600.0
    )
    cloud_timeout: float = _parameter(
        2.0, "How long (s) a task text waits for a cloud before it is refused.", low=0.0, high=600.0
    )
    base_frame: str = _parameter("link_base", "Frame of all outputs: the arm's base, and no other.", fixed=True)
    base_from_camera_translation: tuple[float, ...] = _parameter(
        (),
        "Camera position (m) in the base frame; together with the rotation it replaces tf2.",
        name="base_from_camera.translation",
        lengths=(0, 3),
    )
    base_from_camera_quaternion: tuple[float, ...] = _parameter(
        (),
        "Rotation (x, y, z, w) that turns camera coordinates into base coordinates.",
        name="base_from_camera.quaternion_xyzw",
        lengths=(0, 4),
    )
    assume_extrinsics: bool = _parameter(
        False,
        "Without a camera pose, derive one from the table plane instead of refusing; such a plan is never executed.",
    )
    assume_home: bool = _parameter(
        False,
        "Without joint_states, plan from the home position; execution stays refused.",
    )
    joint_state_max_age: float = _parameter(
        1.0, "Oldest joint state (s) that counts as the present one.", low=0.01, high=60.0
    )
    plan_max_age: float = _parameter(
        60.0, "Oldest cloud (s since arrival) whose plan may be executed; things move.", low=1.0, high=3600.0
    )
    output: str = _parameter(
        "joint_trajectory",
        "How trajectories leave: on the controllers' topics, by their actions, or through MoveIt.",
        fixed=True,
        choices=OUTPUTS,
    )
    arm_controller: str = _parameter(
        "arm_controller",
        "Name of the arm's controller, before /joint_trajectory or /follow_joint_trajectory.",
        fixed=True,
    )
    hand_controller: str = _parameter(
        "hand_controller", "Name of the hand's controller, in the same place.", fixed=True
    )
    moveit_hand_group: str = _parameter(
        "hand",
        "Planning group of the hand in the SRDF, for output moveit; the arm's is in its YAML.",
        name="moveit.hand_group",
        fixed=True,
    )
    execute: bool = _parameter(False, "Send every safe plan to the controllers as soon as it is made.")
    edit_parts: tuple[str, ...] = _parameter(
        ("ring",), "Parts that `~/resample` draws again.", name="edit.parts", choices=PARTS
    )
    edit_text: str = _parameter("", "Task text for `~/resample`; empty keeps the plan's.", name="edit.text")
    output_dir: str = _parameter("", "Folder that every plan is saved to; empty saves nothing.")


def ros_name(field: dataclasses.Field[Any]) -> str:
    """Return the ROS name of a field of `NodeParameters`, such as `edit.parts`."""
    return field.metadata["name"] or field.name


def table() -> Iterator[tuple[str, str, Any, str]]:
    """Yield name, type, default and description of every parameter, for the documentation."""
    defaults = NodeParameters()
    for field in dataclasses.fields(NodeParameters):
        yield ros_name(field), str(field.type), getattr(defaults, field.name), field.metadata["doc"]


def declare(node: Node) -> None:
    """Declare every parameter on a node and refuse values outside the table from then on.

    Raises:
        ConfigError: when a value given at start is of the wrong type or out of range.
    """
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

    node.add_on_set_parameters_callback(_validate)
    defaults = NodeParameters()
    for field in dataclasses.fields(NodeParameters):
        name, default = ros_name(field), getattr(defaults, field.name)
        try:
            # rclpy cannot tell the element type of an empty list, so such a default is "not set".
            value = _ros_type(field) if default == () else default
            node.declare_parameter(name, value, _descriptor(field))
        except InvalidParameterTypeException as error:
            wanted = TYPE_WORDS[str(field.type)]
            raise ConfigError(f"parameter {name!r} has the wrong type; expected {wanted}") from error
        except InvalidParameterValueException as error:
            reason = str(error).partition("Reason: ")[2] or str(error)
            raise ConfigError(reason.removesuffix(f": {name}")) from error


def read(node: Node) -> NodeParameters:
    """Read the present value of every parameter."""
    from rclpy.exceptions import ParameterUninitializedException

    values = {}
    for field in dataclasses.fields(NodeParameters):
        try:
            value = node.get_parameter(ros_name(field)).value
        except ParameterUninitializedException:
            value = None
        if value is not None:
            values[field.name] = value if isinstance(value, (bool, int, float, str)) else tuple(value)
    return NodeParameters(**values)


def problem(field: dataclasses.Field[Any], value: Any) -> str | None:
    """Return the sentence that says why a value does not fit a parameter, or None if it does."""
    bounds: Bounds = field.metadata["bounds"]
    name = ros_name(field)
    if bounds.low is not None and bounds.high is not None and not bounds.low <= value <= bounds.high:
        return f"parameter {name!r} is {value}; valid: {bounds.low} to {bounds.high}"
    if bounds.lengths and len(value) not in bounds.lengths:
        valid = " or ".join(map(str, bounds.lengths))
        return f"parameter {name!r} has {len(value)} elements; valid: {valid}"
    if bounds.lengths and not all(map(math.isfinite, value)):
        return f"parameter {name!r} is {list(value)}; valid: finite numbers"
    for choice in value if isinstance(value, (list, tuple)) else [value]:
        if bounds.choices and choice not in bounds.choices:
            return f"parameter {unknown_choice(name, choice, bounds.choices)}"
    if bounds.choices and not value:
        return f"parameter {name!r} is empty; valid: one or more of {', '.join(bounds.choices)}"
    return None


def refuse_fixed(node: Node, parameters: list[Any]) -> Any:
    """Return the SetParametersResult of a change while the node is configured: only equal values fit fixed ones.

    Args:
        node: holds the present values. parameters: rclpy Parameters to be set.
    """
    from rcl_interfaces.msg import SetParametersResult

    fixed = {ros_name(field) for field in dataclasses.fields(NodeParameters) if field.metadata["fixed"]}
    for parameter in parameters:
        if parameter.name in fixed and parameter.value != (present := node.get_parameter(parameter.name).value):
            reason = (
                f"parameter {parameter.name!r} is read at configure and stays {present!r} until then; "
                "deactivate and clean up, set it, and configure again"
            )
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)


def _validate(parameters: list[Any]) -> Any:
    from rcl_interfaces.msg import SetParametersResult

    fields = {ros_name(field): field for field in dataclasses.fields(NodeParameters)}
    for parameter in parameters:
        field = fields.get(parameter.name)
        if field is None or parameter.value is None:
            continue
        reason = problem(field, parameter.value)
        if reason is not None:
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)


def _ros_type(field: dataclasses.Field[Any]) -> Any:
    from rclpy.parameter import Parameter

    return Parameter.Type.DOUBLE_ARRAY if "float" in str(field.type) else Parameter.Type.STRING_ARRAY


def _descriptor(field: dataclasses.Field[Any]) -> Any:
    from rcl_interfaces.msg import ParameterDescriptor

    bounds: Bounds = field.metadata["bounds"]
    constraints = ""
    if bounds.low is not None:
        constraints = f"{bounds.low} to {bounds.high}"
    elif bounds.choices:
        constraints = ", ".join(bounds.choices)
    return ParameterDescriptor(description=field.metadata["doc"], additional_constraints=constraints)
