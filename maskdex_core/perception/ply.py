"""Write points as PLY."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_ply(path: str | Path, points: np.ndarray) -> None:
    """Write points (N, 3) in m as binary little-endian float32 PLY."""
    points = np.ascontiguousarray(points, dtype="<f4")
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(points)}\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    )
    Path(path).write_bytes(header.encode() + points.tobytes())
