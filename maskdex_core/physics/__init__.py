"""MuJoCo tests of grasps. Never imported by the deployed path."""
