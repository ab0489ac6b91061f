"""Play a bag to the node, with RViz beside it.

ros2 launch maskdex_ros replay.launch.py bag:=path/to/bag
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

# name, default, choices, description; None as default means that it has to be given
ARGUMENTS = (
    ("bag", None, None, "rosbag2 folder (MCAP or SQLite)"),
    ("hand", "freedom_v2", None, "target hand: a name in config/hands, or the path of a hand's YAML"),
    ("points", "/camera/camera/depth/color/points", None, "topic of the clouds in the bag"),
    ("task_text", "/task_text", None, "topic of the task text, in the bag or typed by a person"),
    ("rate", "1.0", None, "speed of the bag"),
    ("rviz", "true", ["true", "false"], "open RViz beside the node"),
)


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, the node, the bag player and RViz."""
    value = {name: LaunchConfiguration(name) for name, *_ in ARGUMENTS}
    share = Path(get_package_share_directory("maskdex_ros"))
    arguments = [
        DeclareLaunchArgument(name, default_value=default, choices=choices, description=description)
        for name, default, choices, description in ARGUMENTS
    ]
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "grasp.launch.py")),
        launch_arguments={
            "hand": value["hand"],
            "points": value["points"],
            "task_text": value["task_text"],
            # A bag of a camera alone: plan from home, and never execute.
            "params_file": str(share / "config" / "replay.yaml"),
        }.items(),
    )
    player = Node(
        package="maskdex_ros",
        executable="bag_player",
        name="bag_player",
        output="screen",
        arguments=[value["bag"], "--rate", value["rate"], "--wait", "120", "--wait-for", value["points"]],
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        arguments=["-d", str(share / "config" / "rviz" / "maskdex.rviz")],
        condition=IfCondition(value["rviz"]),
    )
    return LaunchDescription([*arguments, node, player, rviz])
