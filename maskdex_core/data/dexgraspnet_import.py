"""DexGraspNet's public Shadow grasps as a dataset folder of ours.

G grasps of one file. The files are numpy object arrays, that is pickles, which can run any program when
they are loaded as usual. Here nothing but numbers, texts, lists and dicts can come out of one: stand-ins
take the place of the few numpy names such a file needs, every other name is refused, and no numpy code
sees what the file says.
"""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from maskdex_core.data.files import GRASPS, write_dataset
from maskdex_core.errors import DatasetError, UsageError
from maskdex_core.hands.dexgraspnet import JOINT_NAMES, from_dexgraspnet
from maskdex_core.objects.meshes.mesh_object import SURFACE_POINTS, mesh_surface, read_mesh

if TYPE_CHECKING:
    from maskdex_core.hands.model import HandModel

log = logging.getLogger(__name__)

SOURCE = "dexgraspnet"
MAGIC = b"\x93NUMPY"
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
MAX_BYTES = 1 << 30
MESH_PLACES = ("{code}/coacd/decomposed.obj", "{code}.obj")
EXPECTED = "expected DexGraspNet's <object code>.npy: an array of dicts with 'qpos' and 'scale'"
MARGIN = 0.7  # rad beyond our limits that is believed, and set to the limit: theirs are soft (0.58 in public files)
MAX_REACH = 2.0  # m, palm to object
MAX_SCALE = 1e3  # metres per mesh unit
HUGE = 1e9  # no length, angle or scale is that large
NAMED_CODE = re.compile(r"(?:core|sem)-([A-Za-z]+)-[0-9a-f]{16,}")
REPORT_EVERY = 100  # objects


@dataclass(frozen=True, eq=False)
class ObjectGrasps:
    """The grasps of one object code, at any scales.

    Attributes:
        code: DexGraspNet's object code.
        scale: (G,) metres per mesh unit.
        joints: (G, 22) rad, `JOINT_NAMES` order.
        palm_rotation: (G, 3, 3) object_from_palm. palm_translation: (G, 3) m.
    """

    code: str
    scale: np.ndarray
    joints: np.ndarray
    palm_rotation: np.ndarray
    palm_translation: np.ndarray


def import_dexgraspnet(source: Path, folder: Path, meshes: Path | None) -> tuple[int, int]:
    """Turn DexGraspNet files into a dataset folder; one object is a code at a scale, "code_0.08".

    Args:
        source: one `<object code>.npy`, or a folder of them.
        folder: made if need be; must not hold a dataset yet.
        meshes: folder with `<object code>/coacd/decomposed.obj` or `<object code>.obj`, in DexGraspNet's units.

    Returns:
        how many grasps and how many objects were written.

    Raises:
        DatasetError: when a file is of another format, damaged or unsafe, or a mesh is missing.
        MeshError: when a mesh is no solid of a size that a hand can grasp.
        UsageError: when the folder already holds a dataset.
    """
    from maskdex_core.hands.model import HandModel

    if (folder / GRASPS).exists():
        raise UsageError(f"--out {str(folder)!r} already holds a dataset; give another folder")
    hand = HandModel.load("shadow")
    groups = [read_grasps(path, hand) for path in source_files(source)]
    paths = mesh_paths([group.code for group in groups], meshes)
    columns: dict[str, list[Any]] = {}
    objects: dict[str, dict[str, Any]] = {}
    for done, group in enumerate(groups, 1):
        objects |= _surfaces(group, paths[group.code])
        for column, values in _columns(group).items():
            columns.setdefault(column, []).extend(values)
        if done % REPORT_EVERY == 0:
            log.info("%d of %d object codes", done, len(groups))
    grasps = len(columns["object"])
    info = {"hand": hand.name, "joint_names": list(JOINT_NAMES), "grasps": grasps, "objects": len(objects)}
    info |= {"source": SOURCE, "version": f"{SOURCE}-{_digest(columns)}"}
    write_dataset(folder, columns, objects, info | {"card": _card(info, [group.code for group in groups])})
    return grasps, len(objects)


# ---------------------------------------------------------------------- reading
def source_files(source: Path) -> list[Path]:
    """Return the .npy files of a source.

    Raises:
        DatasetError: when it does not exist, or has none.
    """
    if source.is_file():
        if source.suffix != ".npy":
            kind = f"kind {source.suffix!r}" if source.suffix else "a file without extension"
            raise DatasetError(f"{source}: {kind} is not accepted; {EXPECTED}, or a folder of them")
        return [source]
    if not source.is_dir():
        raise DatasetError(f"{source}: does not exist; {EXPECTED}, or a folder of them")
    found = sorted(path for path in source.iterdir() if path.suffix == ".npy" and path.is_file())
    if not found:
        kinds = sorted({path.suffix or path.name for path in source.iterdir()})[:6]
        raise DatasetError(f"{source}: holds no .npy file but {', '.join(kinds) or 'nothing'}; {EXPECTED}")
    return found


def read_grasps(path: Path, hand: HandModel) -> ObjectGrasps:
    """Read one `<object code>.npy`; keys beside 'qpos' and 'scale' are not needed and left alone.

    Args:
        path: the file; its name without extension is the object code.
        hand: our Shadow hand, whose limits tell radians from degrees.

    Raises:
        DatasetError: naming the first thing that is wrong.
    """
    entries = read_object_array(path)
    if not entries:
        raise DatasetError(f"{path}: holds no grasps; {EXPECTED}")
    grasps = []
    for row, entry in enumerate(entries):
        try:
            grasps.append(_grasp(entry, hand))
        except DatasetError as error:
            raise DatasetError(f"{path}: grasp {row}: {error}") from error
    scale, joints, rotation, translation = (np.stack(column) for column in zip(*grasps, strict=True))
    return ObjectGrasps(path.stem, scale, joints, rotation, translation)


def _grasp(entry: Any, hand: HandModel) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return scale (), joints (22,), palm rotation (3, 3) and translation (3,) of one dict."""
    if not isinstance(entry, dict):
        raise DatasetError(f"is {_kind(entry)}; {EXPECTED}")
    for key in ("qpos", "scale"):
        if key not in entry:
            raise DatasetError(f"lacks {key!r}, has {_keys(entry)}; {EXPECTED}")
    qpos, scale = entry["qpos"], entry["scale"]
    if not isinstance(qpos, dict) or not all(isinstance(name, str) for name in qpos):
        raise DatasetError(f"'qpos' is {_kind(qpos)}; expected a dict of named joints (robot0:FFJ3, WRJTx, ...)")
    if not 0 < _number("scale", scale) < MAX_SCALE:
        raise DatasetError(f"'scale' is {scale}; expected above 0 and below {MAX_SCALE:g}")
    joints, rotation, translation = from_dexgraspnet({name: _number(name, value) for name, value in qpos.items()})
    lower, upper = hand.lower.numpy(), hand.upper.numpy()
    for column in np.flatnonzero((joints < lower - MARGIN) | (joints > upper + MARGIN)):
        limits = f"{lower[column]:.2f} to {upper[column]:.2f} rad"
        raise DatasetError(f"joint {JOINT_NAMES[column]} is {joints[column]:.4g}; expected {limits}")
    if (reach := np.linalg.norm(translation)) > MAX_REACH:
        raise DatasetError(f"the palm is {reach:.4g} m off the object; expected at most {MAX_REACH:g} m")
    return np.array(scale, float), np.clip(joints, lower, upper), rotation, translation


def _number(name: str, value: Any) -> float:
    if not isinstance(value, (int, float)):
        raise DatasetError(f"{name!r} is {_kind(value)}; expected a number")
    if not abs(value) < HUGE:
        shown = f"{value:.4g}" if isinstance(value, float) else "an integer beyond 1e9"
        raise DatasetError(f"{name!r} is {shown}; expected a finite number")
    return float(value)


def read_object_array(path: Path) -> list[Any]:
    """Return the elements of a numpy object array without running anything that the file says.

    Raises:
        DatasetError: when it is no such file, damaged, or asks for more than numbers, texts, lists and dicts.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise DatasetError(f"{path}: the file is empty (0 bytes)")
        if size > MAX_BYTES:
            raise DatasetError(f"{path}: has {size} bytes; at most {MAX_BYTES} are read")
        stream = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    if not stream.getvalue().startswith(MAGIC):
        raise DatasetError(f"{path}: not a numpy file; {EXPECTED}")
    try:
        shape, _, dtype = HEADERS[np.lib.format.read_magic(stream)](stream)
        if dtype.hasobject:
            found = _Unpickler(stream).load()
    except _RefusedError as error:
        raise DatasetError(f"{path}: unsafe, it asks for {str(error)!r}; {EXPECTED} of plain numbers") from error
    except Exception as error:  # a damaged pickle raises whatever its opcodes stumble over
        raise DatasetError(f"{path}: damaged or cut off ({str(error)[:80] or type(error).__name__})") from error
    if not dtype.hasobject:
        raise DatasetError(f"{path}: is an array of {dtype} of shape {shape}; {EXPECTED}")
    if not isinstance(found, _Array) or found.items is None:
        raise DatasetError(f"{path}: holds {_kind(found)}; {EXPECTED}")
    return found.items


class _RefusedError(Exception):
    """A name that a grasp file has no use for."""


class _Dtype:
    """Stands in for numpy.dtype: a code such as "f8", and the byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code if isinstance(code, str) else "", "="

    def __setstate__(self, state: Sequence[Any]) -> None:
        self.order = state[1] if isinstance(state[1], str) else ""

    def numeric(self) -> np.dtype:
        """Return the numpy type when it is one of plain numbers or texts."""
        if not re.fullmatch(r"[fiubU]\d{1,4}", self.code) or self.order not in ("=", "<", ">", "|"):
            raise _RefusedError(f"numpy.dtype({self.code[:20]!r})")
        return np.dtype(self.order + self.code)


class _Array:
    """Stands in for numpy.ndarray: the elements of an object array; None for an array of numbers."""

    def __init__(self, *_: Any) -> None:
        self.items: list[Any] | None = None

    def __setstate__(self, state: Sequence[Any]) -> None:
        content = state[4]
        self.items = content if isinstance(content, list) else None


class _Scalar:
    """Stands in for numpy's scalars, which become Python's own numbers."""

    def __new__(cls, dtype: _Dtype, data: bytes) -> Any:
        return np.frombuffer(data, dtype.numeric(), count=1)[0].item()

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError("a changed numpy.scalar")


_STAND_INS = {"numpy.dtype": _Dtype, "numpy.ndarray": _Array} | {
    f"numpy.{core}.multiarray.{name}": stand_in
    for core in ("core", "_core")  # numpy 1 and 2
    for name, stand_in in (("_reconstruct", _Array), ("scalar", _Scalar))
}


# The Python reader, not the C one: a hostile file of 20 bytes makes the latter fill gigabytes.
class _Unpickler(pickle._Unpickler):
    dispatch: ClassVar = {
        code: load for code, load in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]
    }

    def find_class(self, module_name: str, global_name: str) -> Any:
        name = f"{module_name}.{global_name}"
        if name not in _STAND_INS:
            raise _RefusedError(name[:120])
        return _STAND_INS[name]


def _kind(value: Any) -> str:
    if isinstance(value, _Array):
        return "an array of numbers" if value.items is None else "an array"
    if isinstance(value, dict):
        return f"a dict of {_keys(value)}"
    return f"a {type(value).__name__}"


def _keys(entry: Mapping[Any, Any]) -> str:
    """Return the names in a dict; other keys could be of any size."""
    return ", ".join(sorted(key for key in entry if isinstance(key, str)))[:200] or "nothing"


# ---------------------------------------------------------------------- objects
def mesh_paths(codes: Sequence[str], meshes: Path | None) -> dict[str, Path]:
    """Return the mesh file of each object code.

    Raises:
        DatasetError: when no folder is given, or it lacks some.
    """
    places = " or ".join(place.format(code="<object code>") for place in MESH_PLACES)
    if meshes is None:
        raise DatasetError(
            f"the files hold no object surfaces: give --meshes DIR with {places} for {len(codes)} object codes"
            f" (the first is {codes[0]!r})"
        )
    found: dict[str, Path] = {}
    for code in codes:
        paths = [meshes / place.format(code=code) for place in MESH_PLACES]
        if existing := [path for path in paths if path.is_file()]:
            found[code] = existing[0]
    missing = [code for code in codes if code not in found]
    if missing:
        raise DatasetError(
            f"--meshes {str(meshes)!r} lacks {len(missing)} of {len(codes)} objects, the first is {missing[0]!r};"
            f" expected {places}"
        )
    return found


def object_name(code: str, scale: float) -> str:
    """Return the name of an object code at a scale; scales are stored in single precision."""
    return f"{code}_{scale:.6g}"


def category(code: str) -> str:
    """Return what the code calls the object, in lower case words; empty when it says nothing."""
    match = NAMED_CODE.fullmatch(code)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", match[1]).lower() if match else ""


def _surfaces(group: ObjectGrasps, path: Path) -> dict[str, dict[str, Any]]:
    """Sample the surface once, at the largest scale; the others are that one made smaller."""
    largest = float(group.scale.max())
    mesh = read_mesh(path)
    mesh.apply_scale(largest)
    points, normals = mesh_surface(mesh, SURFACE_POINTS, f"{path} at scale {largest:.6g}")
    facts = {"family": category(group.code), "source": SOURCE, "code": group.code, "part_names": ["object"]}
    return {
        object_name(group.code, scale): {
            "points": points * (scale / largest), "normals": normals,
            "part_ids": np.zeros(len(points), np.int64), "scale": round(float(scale), 6), **facts,
        }
        for scale in sorted(set(group.scale.tolist()))
    }  # fmt: skip


def _columns(group: ObjectGrasps) -> Mapping[str, list[Any]]:
    count, words = len(group.scale), category(group.code)
    return {
        "object": [object_name(group.code, scale) for scale in group.scale],
        "family": [words] * count,
        "source": [SOURCE] * count,
        "texts": [[f"hold the {words or 'object'}"]] * count,
        "joints": list(group.joints.astype(np.float32)),
        "palm_translation": list(group.palm_translation.astype(np.float32)),
        "palm_rotation": list(group.palm_rotation.astype(np.float32)),
    }


def _digest(columns: Mapping[str, list[Any]]) -> str:
    digest = hashlib.sha256()
    for name, joints in zip(columns["object"], columns["joints"], strict=True):
        digest.update(name.encode() + joints.tobytes())
    return digest.hexdigest()[:8]


def _card(info: Mapping[str, Any], codes: Sequence[str]) -> str:
    unnamed = sum(not category(code) for code in codes)
    return f"""# Shadow hand grasps imported from DexGraspNet

Version `{info["version"]}`: {info["grasps"]} grasps on {info["objects"]} objects ({len(codes)} meshes, each at its
scales), made by `maskdex data import`. The grasps and the meshes are not this project's: their licence is the one
they were published under.

- Joint angles and palm poses are DexGraspNet's, in our names and signs, not refined. Its hand differs a little from
  ours: the thumb sits 0.42 mm lower and the little fingertip is up to 1.9 mm off.
- **Not tested here**: `fc6`, `fc1`, `pen_mm` and `q1` are NaN. DexGraspNet's own check is another protocol.
- **Not known**: `contact_parts`, `contact_links`, `tasks` and `posture` are empty; each object is one part.
- `pregrasp` and `squeeze` repeat the grasp: DexGraspNet has one hand pose a grasp.
- Texts say "hold the <category>" where the object code names one, "hold the object" for the other {unnamed} meshes.
- Every grasp is in the split `train`.
"""
