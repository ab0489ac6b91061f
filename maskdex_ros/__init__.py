"""The thin ROS 2 face of maskdex: messages to arrays and back, lifecycle, outputs."""
