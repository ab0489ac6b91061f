"""Play a bag to the node, with RViz beside it.

ros2 launch maskdex_ros replay.launch.py bag:=path/to/bag
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = (
    ("bag", None, "rosbag2 folder (MCAP or SQLite)"),
    ("hand", "freedom_v2", "target hand: the name of a description in config/hands"),
    ("points", "/camera/camera/depth/color/points", "topic of the clouds in the bag"),
    ("rate", "1.0", "speed of the bag"),
    ("rviz", "true", "open RViz beside the node"),
)


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, the node, the bag player and RViz."""
    value = {name: LaunchConfiguration(name) for name, _, _ in ARGUMENTS}
    share = FindPackageShare("maskdex_ros")
    arguments = [
        DeclareLaunchArgument(name, description=description)
        if default is None
        else DeclareLaunchArgument(name, default_value=default, description=description)
        for name, default, description in ARGUMENTS
    ]
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([share, "launch", "grasp.launch.py"])),
        launch_arguments={
            "hand": value["hand"],
            "points": value["points"],
            # A bag of a camera alone: plan from home, and never execute.
            "params_file": PathJoinSubstitution([share, "config", "replay.yaml"]),
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
        arguments=["-d", PathJoinSubstitution([share, "config", "rviz", "maskdex.rviz"])],
        condition=IfCondition(value["rviz"]),
    )
    return LaunchDescription([*arguments, node, player, rviz])
