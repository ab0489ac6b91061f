"""Every topic, service and action of the node `maskdex`: the table that a running node is compared with.

Names are those of the code, before any remapping: `~/plan` is private to the node, `points` relative to
its namespace, `/diagnostics` the same in all namespaces.
"""

from __future__ import annotations

from dataclasses import dataclass

NODE = "maskdex"
SUBSCRIBED, PUBLISHED, SERVED = "subscribed", "published", "served"
REQUESTED, ACTED = "requested", "acted"  # services and actions of others that the node calls


@dataclass(frozen=True)
class Quality:
    """QoS of a topic, always keep-last; `reliable` None is decided at activation."""

    depth: int = 1
    reliable: bool | None = True
    latched: bool = False

    def __str__(self) -> str:
        """Return it as people say it."""
        words = {True: "reliable", False: "best effort", None: "as the publisher (parameter `points_reliability`)"}
        return f"{words[self.reliable]}, depth {self.depth}{', latched' if self.latched else ''}"


@dataclass(frozen=True)
class Endpoint:
    """One topic or service.

    Attributes:
        kind: subscribed, published, served, requested or acted.
        name: as in the code.
        type: package/msg/Type, package/srv/Type or package/action/Type.
        meaning: one sentence.
        when: the lifecycle states in which it exists or speaks.
        quality: of a topic.
        condition: what it takes to exist; empty means that every node has it.
    """

    kind: str
    name: str
    type: str
    meaning: str
    when: str = "active"
    quality: Quality | None = None
    condition: str = ""


@dataclass(frozen=True)
class Output:
    """What one choice of the parameter `output` adds; its packages come from the ROS distribution."""

    choice: str
    needs: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]


def _topic(
    kind: str, name: str, type_name: str, quality: Quality, meaning: str, when: str = "active", condition: str = ""
) -> Endpoint:
    return Endpoint(kind, name, type_name, meaning, when, quality, condition)


ENDPOINTS: tuple[Endpoint, ...] = (
    _topic(
        SUBSCRIBED, "points", "sensor_msgs/msg/PointCloud2", Quality(reliable=None),
        "The camera's cloud, optical frame, metres; any field order, padding, byte order and NaN holes; "
        "the newest is used when a plan is asked for.",
    ),
    _topic(
        SUBSCRIBED, "task_text", "std_msgs/msg/String", Quality(10),
        "What to do, 1 to 1000 characters; every message starts a plan, or waits `cloud_timeout` for a cloud.",
    ),
    _topic(
        SUBSCRIBED, "joint_states", "sensor_msgs/msg/JointState", Quality(10, reliable=False),
        "Present joints of arm and hand, merged by name from any number of publishers; a plan starts there.",
    ),
    _topic(
        SUBSCRIBED, "/tf", "tf2_msgs/msg/TFMessage", Quality(100),
        "Moving transforms; the camera's pose is looked up at the cloud's time.", "always", "with tf2_msgs",
    ),
    _topic(
        SUBSCRIBED, "/tf_static", "tf2_msgs/msg/TFMessage", Quality(100, latched=True),
        "Fixed transforms.", "always", "with tf2_msgs",
    ),
    _topic(
        PUBLISHED, "~/report", "std_msgs/msg/String", Quality(latched=True),
        "The answer to every request as JSON: status ok, rejected, error or busy, the reason, and the plan.",
        "always",
    ),
    _topic(
        PUBLISHED, "~/stage", "std_msgs/msg/String", Quality(10),
        "Name of the planning stage that begins; moving, stopping and at rest of the robot.", "always",
    ),
    _topic(
        PUBLISHED, "~/state_markers", "visualization_msgs/msg/MarkerArray", Quality(latched=True),
        "What the node does, as a text for RViz; frame `base_frame`.", "always",
    ),
    _topic(
        PUBLISHED, "/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", Quality(),
        "State of the node once a second: what it heard, what it does, its last error.", "always",
    ),
    _topic(
        PUBLISHED, "~/markers", "visualization_msgs/msg/MarkerArray", Quality(latched=True),
        "The chosen grasp, the other candidates, and why those were rejected; frame `base_frame`.",
    ),
    _topic(
        PUBLISHED, "~/object_points", "sensor_msgs/msg/PointCloud2", Quality(latched=True),
        "Points of the segmented object, frame `base_frame`; channel `touch`: where the text wants the hand, 0 to 1.",
    ),
    _topic(
        PUBLISHED, "~/grasp_poses", "geometry_msgs/msg/PoseArray", Quality(latched=True),
        "Palm poses of all candidates, best first; frame `base_frame`.",
    ),
    Endpoint(
        SERVED, "~/plan", "std_srvs/srv/Trigger",
        "Plans for the last task text on the newest cloud; answers when the plan is there.", "always",
    ),
    Endpoint(
        SERVED, "~/resample", "std_srvs/srv/Trigger",
        "Draws the parts in `edit.parts` of the last plan again, the rest stays.", "always",
    ),
    Endpoint(
        SERVED, "~/execute", "std_srvs/srv/Trigger",
        "Sends the last plan once, if the robot stands where it starts and it passes the verdict again.", "always",
    ),
    Endpoint(
        SERVED, "~/cancel", "std_srvs/srv/Trigger",
        "Ends every request without an answer yet, and stops the robot if it runs a plan.", "always",
    ),
    Endpoint(
        SERVED, "plan_grasps", "moveit_msgs/srv/GraspPlanning",
        "Grasps with posture trajectories, for MoveIt's pick pipelines.", "always", None, "with moveit_msgs",
    ),
)  # fmt: skip

TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
FOLLOW = "control_msgs/action/FollowJointTrajectory"
TO_CONTROLLER = "Joint positions, velocities and accelerations of the checked plan; zero stamp, zero end velocity."
OUTPUTS: tuple[Output, ...] = (
    Output(
        "joint_trajectory", (),
        (
            _topic(PUBLISHED, "arm_controller/joint_trajectory", TRAJECTORY, Quality(), f"Arm. {TO_CONTROLLER}"),
            _topic(PUBLISHED, "hand_controller/joint_trajectory", TRAJECTORY, Quality(), f"Hand. {TO_CONTROLLER}"),
        ),
    ),
    Output(
        "follow_joint_trajectory", ("control_msgs",),
        (
            Endpoint(
                ACTED, "arm_controller/follow_joint_trajectory", FOLLOW,
                "Runs the arm's trajectory; both goals together, and a failure of one cancels the other.",
            ),
            Endpoint(ACTED, "hand_controller/follow_joint_trajectory", FOLLOW, "Runs the hand's trajectory."),
        ),
    ),
    Output(
        "moveit", ("moveit_msgs",),
        (
            Endpoint(ACTED, "move_action", "moveit_msgs/action/MoveGroup", "Opens the hand and brings the arm near."),
            Endpoint(
                ACTED, "execute_trajectory", "moveit_msgs/action/ExecuteTrajectory",
                "Runs approach, close and lift as they were planned.",
            ),
            _topic(
                PUBLISHED, "planning_scene", "moveit_msgs/msg/PlanningScene", Quality(10),
                "Object and table; the object belongs to the hand once it has closed.",
            ),
            _topic(
                PUBLISHED, "display_planned_path", "moveit_msgs/msg/DisplayTrajectory", Quality(latched=True),
                "The plan, for RViz's MoveIt displays.",
            ),
        ),
    ),
)  # fmt: skip

PARAMETER_SERVICES = {
    "describe_parameters": "DescribeParameters",
    "get_parameter_types": "GetParameterTypes",
    "get_parameters": "GetParameters",
    "list_parameters": "ListParameters",
    "set_parameters": "SetParameters",
    "set_parameters_atomically": "SetParametersAtomically",
}
LIFECYCLE_SERVICES = {
    "change_state": "ChangeState",
    "get_state": "GetState",
    "get_available_states": "GetAvailableStates",
    "get_available_transitions": "GetAvailableTransitions",
    "get_transition_graph": "GetAvailableTransitions",
}


def standard_endpoints() -> tuple[Endpoint, ...]:
    """Return what rclpy gives every lifecycle node."""
    parameters = "Parameters, as of every node."
    lifecycle = "Lifecycle, as of every managed node."
    return (
        *(
            Endpoint(SERVED, f"~/{name}", f"rcl_interfaces/srv/{kind}", parameters, "always")
            for name, kind in PARAMETER_SERVICES.items()
        ),
        *(
            Endpoint(SERVED, f"~/{name}", f"lifecycle_msgs/srv/{kind}", lifecycle, "always")
            for name, kind in LIFECYCLE_SERVICES.items()
        ),
        Endpoint(
            SERVED, "~/get_type_description", "type_description_interfaces/srv/GetTypeDescription",
            "Message definitions, as of every node from Jazzy on.", "always",
        ),
        Endpoint(PUBLISHED, "~/transition_event", "lifecycle_msgs/msg/TransitionEvent", lifecycle, "always"),
        Endpoint(PUBLISHED, "/parameter_events", "rcl_interfaces/msg/ParameterEvent", parameters, "always"),
        Endpoint(PUBLISHED, "/rosout", "rcl_interfaces/msg/Log", "Log lines.", "always"),
        Endpoint(
            SUBSCRIBED, "/clock", "rosgraph_msgs/msg/Clock", "Simulated time.", "always", None, "with use_sim_time"
        ),
    )  # fmt: skip


def output_choices() -> tuple[str, ...]:
    """Return the choices of the parameter `output` that are described here."""
    return tuple(output.choice for output in OUTPUTS)


def endpoints(output: str) -> tuple[Endpoint, ...]:
    """Return all endpoints of a node with one choice of `output`, the standard ones included."""
    chosen = next(item for item in OUTPUTS if item.choice == output)
    return (*ENDPOINTS, *chosen.endpoints, *standard_endpoints())


def resolved(name: str, node: str = NODE, namespace: str = "/") -> str:
    """Return the fully qualified name, as rcl resolves it without remapping."""
    prefix = namespace.rstrip("/")
    if name.startswith("/"):
        return name
    if name.startswith("~/"):
        return f"{prefix}/{node}/{name[2:]}"
    return f"{prefix}/{name}"
