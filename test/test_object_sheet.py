"""The sheet of all objects: right way up, every part in its colour, nothing left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from maskdex_core.cli import main
from maskdex_core.objects.meshes.annotated_mesh import AnnotatedMesh
from maskdex_core.objects.meshes.part_regions import Annotation
from maskdex_core.objects.object_sheet import BACKGROUND, TABLE, object_sheet, part_colors, render_object
from maskdex_core.objects.procedural import FAMILIES, make_object


def like(picture: np.ndarray, color: str) -> np.ndarray:
    """Which pixels (H, W) are a shade of a colour."""
    flat = picture / np.maximum(np.linalg.norm(picture, axis=-1, keepdims=True), 1e-6)
    wanted = np.array(to_rgb(color))
    return (flat @ (wanted / np.linalg.norm(wanted)) > 0.9995) & (picture.max(-1) < 0.999)


def test_up_is_up_and_every_part_is_seen():
    bottle = make_object("bottle", 0)
    picture = render_object(bottle)
    rows = {
        name: np.nonzero(like(picture, color))[0]
        for name, color in zip(bottle.part_names, part_colors(bottle), strict=True)
    }
    assert min(len(found) for found in rows.values()) > 50
    assert rows["cap"].mean() < rows["neck"].mean() < rows["body"].mean()  # row 0 is the top


def test_left_is_left():
    mug = make_object("mug", 0)  # its handle points to +x
    handle = part_colors(mug)[mug.part_names.index("handle")]
    from_front, from_behind = (render_object(mug, azimuth) for azimuth in (-np.pi / 2, np.pi / 2))
    columns = [np.nonzero(like(picture, handle))[1].mean() for picture in (from_front, from_behind)]
    assert columns[0] > 150 > 90 > columns[1]


def test_a_mesh_is_coloured_by_region_not_by_piece():
    box = trimesh.creation.box((0.04, 0.04, 0.1))
    target = AnnotatedMesh.build(
        "ours/box", Annotation("carton", "body", ({"part": "cap", "z": [0.02, float("inf")]},)), box, [box.vertices]
    )
    picture = render_object(target)
    assert len(target.pieces) == 1
    for color in part_colors(target):
        assert like(picture, color).sum() > 500


def test_the_object_stands_on_the_table():
    picture = render_object(make_object("can", 0))
    assert (np.abs(picture - TABLE).max(-1) < 1e-6).sum() > 500
    assert np.allclose(picture[0, 0], BACKGROUND)


def test_colours_of_one_object_differ():
    for family in FAMILIES:
        made = make_object(family, 0)
        assert len(set(part_colors(made))) == len(made.part_names)


def test_a_sheet_has_a_tile_for_each_object(tmp_path: Path):
    targets = [make_object(family, 0) for family in ("mug", "can", "knife")]
    object_sheet(targets, tmp_path / "sheet.png")
    picture = imread(tmp_path / "sheet.png")[..., :3]
    tiles = np.array_split(picture, 3, axis=1)
    assert all((tile.std(-1) > 0.05).mean() > 0.02 for tile in tiles)  # coloured pixels in each


def test_the_command_lists_families_and_parts(capsys: pytest.CaptureFixture[str]):
    assert main(["data", "objects", "--seeds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(FAMILIES)
    mug = next(line for line in lines if line.startswith("mug"))
    assert "body, rim, handle" in mug


def test_the_command_draws(tmp_path: Path):
    out = tmp_path / "new" / "sheet.png"
    assert main(["data", "objects", "--seeds", "1", "--contact-sheet", str(out)]) == 0
    assert imread(out).shape[1] > 1000


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--seeds", "-1"], 2, "--seeds -1 is out of range"),
        (["--seeds", "0"], 2, "leaves no objects"),
        (["--meshes", "/nowhere"], 3, "mesh folder '/nowhere' does not exist"),
        (["--contact-sheet", "sheet.bmp"], 2, "must end in .png"),
    ],
)
def test_mistakes_are_told(arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "objects", *arguments]) == code
    assert message in capsys.readouterr().err


def test_a_folder_without_an_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "objects", "--seeds", "0", "--meshes", str(tmp_path)]) == 3
    assert "object index cannot be read" in capsys.readouterr().err
