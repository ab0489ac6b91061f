"""Makes physics-checked grasps on objects whose geometry is known."""
