"""Numbers about grasps, each by a stated protocol."""
