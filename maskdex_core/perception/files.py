"""Load a cloud from a file or a bag folder; whatever is wrong becomes one sentence."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import CloudError
from maskdex_core.perception.cloud import MAX_POINTS, Cloud

ACCEPTED = ".npz, .npy, .ply, .pcd or a ROS 2 bag folder"


def load_cloud(path: str | Path) -> Cloud:
    """Read one cloud.

    Args:
        path: .npz with `points` (N, 3) float metres, or with `depth_mm` (H, W) uint16 or `depth`
            (H, W) float metres and `K` (3, 3), and optionally `rgb`, `base_from_camera`, `text`;
            .npy (N, 3) float metres; .ply; .pcd; or a ROS 2 bag (its folder, or the .mcap or .db3 in it).

    Raises:
        CloudError: when it is missing, empty, damaged, of another kind, or holds no valid cloud.
    """
    path = Path(path)
    if not path.exists():
        raise CloudError(f"{path}: no such file or folder; accepted: {ACCEPTED}")
    if path.is_dir():
        return _named(path, _load_bag)
    loader = {".npz": _load_npz, ".npy": _load_npy, ".ply": _load_mesh_cloud, ".pcd": _load_mesh_cloud}
    loader |= {".mcap": _load_bag, ".db3": _load_bag}
    kind = path.suffix.lower()
    if kind not in loader:
        raise CloudError(f"{path}: kind {kind or 'without extension'!r} is unknown; accepted: {ACCEPTED}")
    if path.stat().st_size == 0:
        raise CloudError(f"{path}: the file is empty (0 bytes); accepted: {ACCEPTED}")
    return _named(path, loader[kind])


def _named(path: Path, loader: Any) -> Cloud:
    """Run a loader; its errors name the file."""
    try:
        return loader(path)
    except CloudError as error:
        message = str(error)
        raise CloudError(message if message.startswith(str(path)) else f"{path}: {message}") from error
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror or error})") from error


def _load_bag(path: Path) -> Cloud:
    from maskdex_core.perception.bag import load_bag

    return load_bag(path if path.is_dir() else path.parent)


def _load_npy(path: Path) -> Cloud:
    try:
        # Mapped, so that a header's promise costs no memory before it is checked.
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, EOFError, TypeError) as error:
        raise CloudError(f"not a readable .npy array ({_first_line(error)})") from error
    if not isinstance(array, np.ndarray):
        raise CloudError("holds an archive, not one array; name it .npz")
    return Cloud(array.reshape(-1, 3) if array.ndim == 3 and array.shape[2] == 3 else array)


def _load_npz(path: Path) -> Cloud:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise CloudError("holds one array, not an archive; name it .npy")
        with archive, zipfile.ZipFile(path) as members:
            size = sum(member.file_size for member in members.infolist())
            if size > MAX_NPZ_BYTES:
                raise CloudError(f"unpacks to {size} bytes; at most {MAX_NPZ_BYTES} are accepted")
            values = {key: archive[key] for key in archive.files if key in NPZ_KEYS}
            found = ", ".join(archive.files) or "nothing"
    except (CloudError, OSError):
        raise
    except Exception as error:  # a damaged archive raises whatever its parser stumbles over
        raise CloudError(f"not a readable .npz archive ({_first_line(error)})") from error
    cloud = _cloud_from_arrays(values, found)
    if "base_from_camera" in values:
        cloud = replace(cloud, base_from_camera=values["base_from_camera"])
    return replace(cloud, text=str(values["text"])) if "text" in values else cloud


MAX_NPZ_BYTES = 500_000_000
NPZ_KEYS = ("points", "colors", "depth_mm", "depth", "K", "rgb", "base_from_camera", "text")


def _cloud_from_arrays(values: Mapping[str, NDArray[Any]], found: str) -> Cloud:
    if "points" in values:
        points = values["points"]
        colors = values.get("colors")
        return Cloud(points.reshape(-1, 3) if points.ndim == 3 else points, colors)
    depth_key = next((key for key in ("depth_mm", "depth") if key in values), None)
    if depth_key is None or "K" not in values:
        raise CloudError(f"expected `points`, or `depth_mm` (or `depth`) and `K`; found: {found}")
    depth = values[depth_key]
    if depth.ndim != 2 or depth.dtype.kind not in "uif":
        raise CloudError(f"{depth_key} has shape {depth.shape} and type {depth.dtype}; expected (H, W) numbers")
    if depth.size > MAX_POINTS:
        raise CloudError(f"{depth_key} has {depth.size} pixels; at most {MAX_POINTS} are accepted")
    if depth_key == "depth_mm" or depth.dtype.kind in "ui":
        depth = depth.astype(np.float32) / 1000
    return Cloud(points_from_depth(depth, values["K"]), _colors(values.get("rgb"), depth.shape))


def points_from_depth(depth: NDArray[Any], K: NDArray[Any]) -> NDArray[np.float32]:
    """Back-project a depth image.

    Args:
        depth: (H, W) metres along the optical axis; 0, negative or NaN where unknown.
        K: (3, 3) pinhole matrix in pixels.

    Returns:
        (H*W, 3) float32, metres, optical frame (z forward, x right, y down), NaN where unknown.

    Raises:
        CloudError: when K is not a pinhole matrix.
    """
    K = np.asarray(K)
    if K.shape != (3, 3) or K.dtype.kind not in "fiu" or not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0:
        raise CloudError(f"K has shape {K.shape}; expected a (3, 3) pinhole matrix with positive focal lengths")
    height, width = depth.shape
    z = np.where(depth > 0, depth, np.nan).astype(np.float32)
    points = np.empty((height, width, 3), np.float32)
    points[..., 0] = z * ((np.arange(width) - K[0, 2]) / K[0, 0]).astype(np.float32)
    points[..., 1] = z * ((np.arange(height) - K[1, 2]) / K[1, 1]).astype(np.float32)[:, None]
    points[..., 2] = z
    return points.reshape(-1, 3)


def _colors(rgb: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    if rgb is None:
        return None
    if rgb.shape != (*shape, 3):
        raise CloudError(f"rgb has shape {rgb.shape}; expected {(*shape, 3)} as the depth image")
    scale = 1 / 255 if rgb.dtype.kind == "u" else 1.0
    return (rgb.reshape(-1, 3) * np.float32(scale)).astype(np.float32)


def _load_mesh_cloud(path: Path) -> Cloud:
    promised = _promised_points(path)
    if promised > MAX_POINTS:
        raise CloudError(f"promises {promised} points; at most {MAX_POINTS} are accepted")
    import open3d

    with open3d.utility.VerbosityContextManager(open3d.utility.VerbosityLevel.Error):
        # Without remove_nan_points=False open3d would drop NaN rows, and with them the promise.
        loaded = open3d.io.read_point_cloud(path, remove_nan_points=False, remove_infinite_points=False)
    points = np.asarray(loaded.points)
    if len(points) != promised:
        kind = path.suffix[1:].upper()
        raise CloudError(f"damaged {kind} file: it promises {promised} points and {len(points)} could be read")
    return Cloud(points, np.asarray(loaded.colors) if loaded.has_colors() else None)


def _promised_points(path: Path) -> int:
    """Return the number of points the header of a .ply or .pcd promises, once its data are that long."""
    is_ply = path.suffix.lower() == ".ply"
    kind, key, end = ("PLY", "element vertex", "end_header") if is_ply else ("PCD", "POINTS", "DATA")
    with path.open("rb") as file:
        head = file.read(16384)
    if is_ply and not head.startswith(b"ply"):
        raise CloudError("not a PLY file (it does not begin with 'ply')")
    lines = head.split(b"\n")
    last = next((row for row, line in enumerate(lines[:-1]) if line.startswith(end.encode())), None)
    text = [line.decode("ascii", "replace").strip() for line in lines[: (last or 0) + 1]]
    counts = [line[len(key) :].strip() for line in text if line.startswith(key)]
    if last is None or not counts or not counts[0].isdigit():
        raise CloudError(f"damaged {kind} header (no {key!r} count before {end!r})")
    count = int(counts[0])
    # open3d fills the rest of a cut file with whatever lies in memory, so its length is checked here.
    with path.open("rb") as file:
        file.seek(sum(len(line) + 1 for line in lines[: last + 1]))
        data = file.read()
    if any(line.split()[:2] in (["format", "ascii"], ["DATA", "ascii"]) for line in text):
        held, needed, unit = len(data.split(b"\n")) - data.endswith(b"\n"), count, "lines"
    else:
        held, needed, unit = len(data), count * (_ply_vertex_bytes(text) if is_ply else 1), "bytes"
    if held < needed:
        raise CloudError(f"damaged {kind} file: {count} points need {needed} {unit} and it holds {held}")
    return count


def _ply_vertex_bytes(header: list[str]) -> int:
    """Return the number of bytes of one binary vertex, its list properties left out."""
    size, inside = 0, False
    for line in header:
        words = line.split()
        if words[:1] == ["element"]:
            inside = words[1:2] == ["vertex"]
        elif inside and words[:1] == ["property"] and len(words) == 3:
            size += PLY_TYPE_BYTES.get(words[1], 1)
    return size


PLY_TYPE_BYTES = {
    "char": 1,
    "uchar": 1,
    "short": 2,
    "ushort": 2,
    "int": 4,
    "uint": 4,
    "float": 4,
    "double": 8,
}
PLY_TYPE_BYTES |= {"int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "float32": 4}
PLY_TYPE_BYTES |= {"float64": 8}


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
