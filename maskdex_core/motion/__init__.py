"""Wrist poses and finger angles in, timed and checked trajectories out."""
