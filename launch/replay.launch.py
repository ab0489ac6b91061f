"""Play a bag to the node, with RViz beside it.

ros2 launch maskdex_ros replay.launch.py bag:=path/to/bag
"""

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

TRUTH = ["true", "false"]
# name, default, choices, description; None as default means that it has to be given
ARGUMENTS = (
    ("bag", None, None, "rosbag2 folder (MCAP or SQLite)"),
    ("namespace", "", None, "namespace of the node and of its relative topics"),
    ("params_file", "", None, "YAML file of the node's parameters; empty takes the shipped config/replay.yaml"),
    ("hand", "freedom_v2", None, "target hand: a name in config/hands, or the path of a hand's YAML"),
    ("points", "/camera/camera/depth/color/points", None, "topic of the clouds in the bag"),
    ("task_text", "/task_text", None, "topic of the task text, in the bag or typed by a person"),
    ("rate", "1.0", None, "speed of the bag"),
    ("use_sim_time", "true", TRUTH, "let all live in the bag's time, on /clock; false takes the clock on the wall"),
    ("rviz", "true", TRUTH, "open RViz beside the node"),
)


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, the node, the bag player and RViz."""
    share = Path(get_package_share_directory("maskdex_ros"))
    arguments = [
        DeclareLaunchArgument(name, default_value=default, choices=choices, description=description)
        for name, default, choices, description in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=everything, args=[share])])


def everything(context: LaunchContext, share: Path) -> list[Any]:
    """Return the three of them, for the arguments that were given."""
    value = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    passed = ("namespace", "hand", "points", "task_text", "use_sim_time")
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "grasp.launch.py")),
        launch_arguments={
            **{name: value[name] for name in passed},
            # A bag of a camera alone: plan from home, and never execute.
            "params_file": value["params_file"] or str(share / "config" / "replay.yaml"),
        }.items(),
    )
    bag_time = value["use_sim_time"] == "true"
    player = Node(
        package="maskdex_ros",
        executable="bag_player",
        name="bag_player",
        output="screen",
        arguments=[value["bag"], "--rate", value["rate"], "--wait", "120", "--wait-for", value["points"]]
        + (["--clock"] if bag_time else []),
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        arguments=["-d", str(share / "config" / "rviz" / "maskdex.rviz")],
        parameters=[{"use_sim_time": bag_time}],
        condition=IfCondition(value["rviz"]),
    )
    return [node, player, rviz]
