"""Perception: a point cloud in; the table, the object and its closed geometry out."""
