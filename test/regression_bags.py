"""The bags in test/data/bags and what perception must find in them.

`python test/regression_bags.py` writes them again, with what is found now; look at the difference before
you commit it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.data.bag_writer import Capture, write_bag
from maskdex_core.data.demo_scene import CAMERA_POSITION, mug_mesh, table_mesh
from maskdex_core.errors import CloudError
from maskdex_core.perception.bag import load_bag
from maskdex_core.perception.camera import look_at
from maskdex_core.perception.render import DepthNoise, cast_rays, degrade
from maskdex_core.perception.segment import segment

FOLDER = Path(__file__).resolve().parent / "data" / "bags"
SIZE = (120, 212)  # rows, columns
K = np.array([[215.0, 0.0, 106.0], [0.0, 215.0, 60.0], [0.0, 0.0, 1.0]])
BOX = (0.05, 0.07, 0.10)  # m
NEAR = {"mug_and_box": (0.52, -0.10, 0.05)}  # bag → point near the object to grasp, m in base


def scenes() -> dict[str, tuple[list[Any], str]]:
    """Return name → meshes in base and task text."""
    import trimesh

    mug = mug_mesh()
    mug.apply_translation((0.45, 0.05, 0.0))
    box = trimesh.creation.box(BOX)
    box.apply_translation((0.52, -0.10, BOX[2] / 2))
    return {
        "mug": ([mug, table_mesh()], "drink from the mug"),
        "mug_and_box": ([mug, box, table_mesh()], "lift the box"),
        "empty_table": ([table_mesh()], "pick it up"),
    }


def found_in(bag: Path) -> dict[str, Any]:
    """Return what perception finds in a bag, or the sentence with which it refuses."""
    cloud = load_bag(bag)
    try:
        scene = segment(cloud, NEAR.get(bag.name))
    except CloudError as error:
        return {"text": cloud.text, "error": str(error)}
    return {
        "text": cloud.text,
        "points": len(scene.object_points),
        "centroid": np.round(scene.object_centroid.astype(float), 4).tolist(),
        "extent": np.round(scene.object_extent.astype(float), 4).tolist(),
    }


def write_all() -> None:
    """Write every bag and what is found in it."""
    pose = look_at(CAMERA_POSITION, (0.47, 0.0, 0.03))
    for name, (meshes, text) in scenes().items():
        folder = FOLDER / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        captures = []
        for seed in (0, 1):
            hits = cast_rays(meshes, K, SIZE, pose, DepthNoise().baseline)
            depth = degrade(hits, K, pose, np.random.default_rng(seed), DepthNoise(edge_width=1, blob_share=0.0015))
            rgb = np.full((*SIZE, 3), 128, np.uint8)
            captures.append(Capture(depth, rgb, K, pose, text))
        write_bag(folder, captures)
        expected = json.dumps(found_in(folder), indent=1)
        (folder / "expected.json").write_text(expected + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_all()
