"""Ways out of the node: one module a way, each with `publish(trajectory)` after its own check.

`joint_trajectory` publishes to the controllers' topics. The FollowJointTrajectory action client
belongs in `follow_joint_trajectory.py` and MoveIt (`display_planned_path`, `execute_trajectory`,
planning-scene object) in `moveit.py`; both need packages that exist only in a ROS distribution.
"""
