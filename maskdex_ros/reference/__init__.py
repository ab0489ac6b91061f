"""Files that are written from the code, so that they cannot say anything else.

The parameter page and YAML, the interface page, the SROS2 policy, and the MoveIt and ros2_control
configuration of every shipped arm and hand. `python -m maskdex_ros.reference` writes them into the
checkout; a test fails while one of them is stale.
"""
