"""The rooms behind `Planner`: geometry of the object, grasp proposals, the robot, the plan."""
