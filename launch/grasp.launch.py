"""Start the node `maskdex`, configured and active, with its parameters and topics set from the command line.

ros2 launch maskdex_ros grasp.launch.py hand:=leap camera:=/camera/camera
"""

import os
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

TRUTH = ["true", "false"]
# name, default, choices, description
ARGUMENTS = (
    ("namespace", "", None, "namespace of the node and of its relative topics"),
    ("params_file", "", None, "YAML file of parameters; empty takes the shipped config/grasp_node.yaml"),
    ("hand", "freedom_v2", None, "target hand: a name in config/hands, or the path of a hand's YAML"),
    ("autostart", "true", TRUTH, "configure and activate at once; false waits for a lifecycle manager"),
    ("execute", "false", TRUTH, "send every safe plan to the controllers without being asked"),
    (
        "output",
        "joint_trajectory",
        ["joint_trajectory", "follow_joint_trajectory", "moveit"],
        "how trajectories leave: the controllers' topics, their actions, or MoveIt",
    ),
    ("camera", "/camera/camera", None, "namespace of the camera, as realsense-ros names it"),
    ("points", "", None, "topic of the PointCloud2; empty takes CAMERA/depth/color/points"),
    ("task_text", "task_text", None, "topic of the task text"),
    ("joint_states", "/joint_states", None, "topic of the robot's joint states"),
    ("arm_controller", "/xarm7_traj_controller", None, "name of the arm's joint_trajectory_controller"),
    ("hand_controller", "", None, "name of the hand's one; empty takes the controller in the hand's YAML"),
    ("use_sim_time", "false", TRUTH, "take the time from /clock"),
    ("enclave", "", None, "SROS2 enclave, such as /maskdex; empty starts without one"),
    ("log_level", "info", ["debug", "info", "warn", "error", "fatal"], "least severity that is logged"),
)
# Fast DDS 2, of these distributions, reads another variable; Fast DDS 3 complains where both are set.
FAST_DDS_2 = ("humble", "iron", "jazzy")


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, the Fast DDS profile and the node."""
    share = Path(get_package_share_directory("maskdex_ros"))
    arguments = [
        DeclareLaunchArgument(name, default_value=default, choices=choices, description=description)
        for name, default, choices, description in ARGUMENTS
    ]
    node = OpaqueFunction(function=grasp_node, args=[share])
    return LaunchDescription([*arguments, *fast_dds_profile(share), node])


def fast_dds_profile(share: Path) -> list[SetEnvironmentVariable]:
    """Return what sets the shared-memory profile, unless the user has one."""
    prefix = "FASTRTPS" if os.environ.get("ROS_DISTRO") in FAST_DDS_2 else "FASTDDS"
    variable = f"{prefix}_DEFAULT_PROFILES_FILE"
    if variable in os.environ:
        return []
    return [SetEnvironmentVariable(variable, str(share / "config" / "fastdds_shm.xml"))]


def grasp_node(context: LaunchContext, share: Path) -> list[LifecycleNode]:
    """Return the node, with the defaults that depend on other arguments filled in."""
    value = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    if value["params_file"] and not Path(value["params_file"]).is_file():
        raise RuntimeError(f"params_file {value['params_file']!r} is no file")  # launch itself would only warn
    enclave = ["--enclave", value["enclave"]] if value["enclave"] else []
    flags = {name: value[name] == "true" for name in ("autostart", "execute", "use_sim_time")}
    node = LifecycleNode(
        package="maskdex_ros",
        executable="grasp_node",
        name="maskdex",
        namespace=value["namespace"],
        output="screen",
        parameters=[
            value["params_file"] or str(share / "config" / "grasp_node.yaml"),
            {
                **flags,
                "hand": value["hand"],
                "output": value["output"],
                "arm_controller": value["arm_controller"],
                "hand_controller": value["hand_controller"] or hand_controller(share, value["hand"]),
            },
        ],
        remappings=[
            ("points", value["points"] or f"{value['camera']}/depth/color/points"),
            ("task_text", value["task_text"]),
            ("joint_states", value["joint_states"]),
        ],
        ros_arguments=["--log-level", value["log_level"], *enclave],
    )
    return [node]


def hand_controller(share: Path, hand: str) -> str:
    """Return the controller that the hand's YAML names."""
    folder = share / "config" / "hands"
    path = Path(hand) if hand.endswith((".yaml", ".yml")) else folder / f"{hand}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise RuntimeError(f"hand {hand!r} is unknown; known: {known}; or give the path of a hand's YAML")
    return f"/{yaml.safe_load(path.read_text(encoding='utf-8'))['controller']}"
