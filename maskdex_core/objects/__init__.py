"""What can be grasped: procedural objects, and real meshes with annotated parts. One shape for both."""
