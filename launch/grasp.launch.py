"""Start the node `maskdex`, configured and active, with its parameters and topics set from the command line.

ros2 launch maskdex_ros grasp.launch.py points:=/camera/camera/depth/color/points
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = (
    ("params_file", None, "YAML file of parameters; the shipped config/grasp_node.yaml by default"),
    ("hand", "freedom_v2", "target hand: the name of a description in config/hands"),
    ("autostart", "true", "configure and activate at once; false waits for a lifecycle manager"),
    ("execute", "false", "send every safe plan to the controllers without being asked"),
    ("points", "/camera/camera/depth/color/points", "topic of the depth camera's PointCloud2"),
    ("task_text", "/task_text", "topic of the task text"),
    ("joint_states", "/joint_states", "topic of the robot's joint states"),
    ("arm_controller", "/xarm7_traj_controller", "namespace of the arm's joint_trajectory_controller"),
    ("hand_controller", "/freedom_hand_controller", "namespace of the hand's one; the hand's YAML names it"),
    ("log_level", "info", "debug, info, warn, error or fatal"),
)


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, the Fast DDS profile and the node."""
    value = {name: LaunchConfiguration(name) for name, _, _ in ARGUMENTS}
    share = FindPackageShare("maskdex_ros")
    shipped = PathJoinSubstitution([share, "config", "grasp_node.yaml"])
    profile = PathJoinSubstitution([share, "config", "fastdds_shm.xml"])
    arguments = [
        DeclareLaunchArgument(name, default_value=default or shipped, description=description)
        for name, default, description in ARGUMENTS
    ]
    node = LifecycleNode(
        package="maskdex_ros",
        executable="grasp_node",
        name="maskdex",
        namespace="",
        output="screen",
        parameters=[
            value["params_file"],
            {
                "hand": ParameterValue(value["hand"], value_type=str),
                "autostart": ParameterValue(value["autostart"], value_type=bool),
                "execute": ParameterValue(value["execute"], value_type=bool),
            },
        ],
        remappings=[
            ("points", value["points"]),
            ("task_text", value["task_text"]),
            ("joint_states", value["joint_states"]),
            ("arm_controller/joint_trajectory", [value["arm_controller"], "/joint_trajectory"]),
            ("hand_controller/joint_trajectory", [value["hand_controller"], "/joint_trajectory"]),
        ],
        arguments=["--ros-args", "--log-level", value["log_level"]],
    )
    # Both names: Fast DDS 2 (Jazzy) reads the first, Fast DDS 3 (Kilted) the second.
    environment = [
        SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", profile),
        SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile),
    ]
    return LaunchDescription([*arguments, *environment, node])
