"""Real meshes: checked, laid to rest, cut into convex parts, labelled by regions."""
