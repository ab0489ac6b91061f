"""Start a simulated robot cell and the node `maskdex` before it; a task text then moves the simulated robot.

ros2 launch maskdex_ros sim.launch.py object:=mug
ros2 topic pub --once /task_text std_msgs/msg/String "{data: drink from the mug}"
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

# name, default, choices, description
ARGUMENTS = (
    ("namespace", "", None, "namespace of cell and node, and of all their topics"),
    ("params_file", "", None, "YAML file of the node's parameters; empty takes the shipped config/grasp_node.yaml"),
    ("object", "mug", None, "a procedural family, another one of it (mug_007), or the path of a mesh"),
    ("hand", "freedom_v2", None, "target hand: a name in config/hands, or the path of a hand's YAML"),
    ("execute", "true", ["true", "false"], "run every safe plan; false waits for the service ~/execute"),
    ("viewer", "false", ["true", "false"], "open a MuJoCo window"),
    ("output_dir", "", None, "folder for pictures and the outcome; empty leaves none"),
)


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, the cell and the node."""
    value = {name: LaunchConfiguration(name) for name, *_ in ARGUMENTS}
    share = Path(get_package_share_directory("maskdex_ros"))
    arguments = [
        DeclareLaunchArgument(name, default_value=default, choices=choices, description=description)
        for name, default, choices, description in ARGUMENTS
    ]
    cell = Node(
        package="maskdex_ros",
        executable="sim_robot",
        name="sim_robot",
        namespace=value["namespace"],
        output="screen",
        parameters=[
            {
                **{name: ParameterValue(value[name], value_type=str) for name in ("object", "hand", "output_dir")},
                "viewer": ParameterValue(value["viewer"], value_type=bool),
            }
        ],
    )
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "grasp.launch.py")),
        launch_arguments={
            **{name: value[name] for name in ("namespace", "params_file", "hand", "execute")},
            # The cell's names, relative to the namespace of both.
            "points": "points",
            "joint_states": "joint_states",
            "arm_controller": "arm_controller",
            "hand_controller": "hand_controller",
        }.items(),
    )
    return LaunchDescription([*arguments, cell, node])
