"""Objects' surfaces in one safetensors file: points in half precision, normals and part ids in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.errors import DatasetError

SURFACE_FIELDS = ("points", "normals", "part_ids")
BYTE = 127.0  # a normal's component of 1 as it is stored: within 0.5°


def write_surfaces(path: Path, objects: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Write points (P, 3) m, normals (P, 3) and part_ids (P,) of objects; return their other facts.

    Raises:
        DatasetError: when a shape is wrong.
    """
    from safetensors.numpy import save_file

    flat: dict[str, np.ndarray] = {}
    facts: dict[str, dict[str, Any]] = {}
    for name, entry in objects.items():
        points, normals, parts = _checked(name, entry)
        # Half precision is 0.1 mm at 20 cm; a set of a thousand objects stays a few MB.
        flat |= {
            f"{name}/points": points.astype(np.float16),
            f"{name}/normals": np.round(normals * BYTE).astype(np.int8),
            f"{name}/part_ids": parts.astype(np.uint8),
        }
        facts[name] = {key: value for key, value in entry.items() if key not in SURFACE_FIELDS}
    save_file(flat, path)
    return facts


def read_surfaces(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Return points (P, 3) float32 m, unit normals (P, 3) float32 and part_ids (P,) int64 by object.

    Raises:
        DatasetError: when it is no readable safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        flat = load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise DatasetError(f"{path}: not a readable safetensors file") from error
    surfaces: dict[str, dict[str, np.ndarray]] = {}
    for key, value in flat.items():
        name, _, field = key.rpartition("/")
        surfaces.setdefault(name, {})[field] = value
    for surface in surfaces.values():
        if set(surface) != set(SURFACE_FIELDS):
            raise DatasetError(f"{path}: an object has {sorted(surface)}, expected {sorted(SURFACE_FIELDS)}")
        normals = surface["normals"].astype(np.float32)
        surface["normals"] = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
        surface["points"] = surface["points"].astype(np.float32)
        surface["part_ids"] = surface["part_ids"].astype(np.int64)
    return surfaces


def _checked(name: str, entry: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points = np.ascontiguousarray(entry["points"], dtype=np.float32)
    normals = np.ascontiguousarray(entry.get("normals", np.zeros_like(points)), dtype=np.float32)
    parts = np.ascontiguousarray(entry.get("part_ids", np.zeros(len(points))), dtype=np.int64)
    if points.ndim != 2 or points.shape[1:] != (3,) or normals.shape != points.shape or not len(points):
        raise DatasetError(f"object {name!r}: points {points.shape} and normals {normals.shape} need (P, 3)")
    if parts.shape != (len(points),):
        raise DatasetError(f"object {name!r}: part_ids {parts.shape} need ({len(points)},)")
    normals = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    return points, normals, parts
