"""`maskdex data view`: the right grasps, upright, from where the contacts show, with the right fingers named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cli_support import fails, run
from grasp_model_support import shadow

from maskdex_core.data.dataset import GraspDataset, ObjectSurface
from maskdex_core.data.files import write_dataset
from maskdex_core.data.grasp_picture import (
    HAND_COLORS,
    OBJECT_COLORS,
    Piece,
    best_view,
    contacts,
    draw_grasp,
    hand_pieces,
    object_pieces,
)
from maskdex_core.data.grasp_sheet import caption, choose_rows
from maskdex_core.errors import DatasetError
from maskdex_core.hands import HandModel
from maskdex_core.hands.spec import PART_NAMES
from maskdex_core.objects.procedural import make_object
from maskdex_core.primitives import Primitive
from maskdex_core.training.random_data import random_dataset

INDEX, THUMB = PART_NAMES.index("index"), PART_NAMES.index("thumb")
RED, BLUE = "#ff0000", "#0000ff"


def block(center: tuple[float, float, float], size: tuple[float, float, float], color: str, part: int) -> Piece:
    pose = np.eye(4)
    pose[:3, 3] = center
    return Piece(Primitive("box", tuple(side / 2 for side in size), pose).triangles(), color, part)


def rgb(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where an image is red, and where it is blue."""
    red, green, blue = np.moveaxis(image, -1, 0)
    return (red > 2 * blue) & (red > 2 * green), (blue > 2 * red) & (blue > 2 * green)


@pytest.fixture(scope="module")
def data() -> GraspDataset:
    """12 grasps on 3 ellipsoids; lift for the first half, twist for two on ellipsoid_0."""
    made = random_dataset(shadow(), 12, points=300, objects=3)
    tasks = [["lift", "twist"] if row in (0, 3) else ["lift"] if row < 6 else [] for row in range(12)]
    return GraspDataset.from_table(
        {**made.table, "tasks": tasks, "fc6": [1.0] * 12, "pen_mm": [0.25] * 12},
        made.objects,
        made.joint_names,
        made.info,
    )


@pytest.fixture(scope="module")
def folder(data: GraspDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "set"
    objects = {
        name: {"points": o.points.numpy(), "normals": o.normals.numpy(), "part_ids": o.part_ids.numpy()}
        for name, o in data.objects.items()
    }
    columns = {column: values for column, values in data.table.items() if values}
    write_dataset(path, columns, objects, {"joint_names": list(data.joint_names), "hand": "shadow"})
    return path


# ---------------------------------------------------------------------- which grasps
def test_rows_are_random_repeatable_and_filtered(data: GraspDataset):
    assert choose_rows(data, 5, 1, None, None) == choose_rows(data, 5, 1, None, None)
    assert choose_rows(data, 5, 1, None, None) != choose_rows(data, 5, 2, None, None)
    assert sorted(choose_rows(data, 99, 0, None, None)) == list(range(12))  # all there are, each once
    assert sorted(choose_rows(data, 99, 0, "lift", None)) == list(range(6))
    assert sorted(choose_rows(data, 99, 0, None, "ellipsoid_1")) == [1, 4, 7, 10]
    assert sorted(choose_rows(data, 99, 0, "twist", "ellipsoid_0")) == [0, 3]


def test_what_is_not_there_is_named(data: GraspDataset):
    with pytest.raises(DatasetError, match="task 'fly' is unknown; known: lift, twist"):
        choose_rows(data, 5, 0, "fly", None)
    with pytest.raises(DatasetError, match="object 'ellipsoid_9' is unknown; nearest of 3: ellipsoid_"):
        choose_rows(data, 5, 0, None, "ellipsoid_9")
    with pytest.raises(DatasetError, match="'ellipsoid_1' has no grasp of task 'twist'; its tasks: lift"):
        choose_rows(data, 5, 0, "twist", "ellipsoid_1")


def test_captions_say_outcomes_and_what_is_unknown(data: GraspDataset):
    table = {**data.table, "fc6_hard": [0.0] * 12}
    known = GraspDataset.from_table(table, data.objects, data.joint_names, data.info)
    assert caption(known, 0) == ["ellipsoid_0", "lift, twist", f"“{data.texts[0][0]}”",
                                 "FC6 pass   FC6-hard fail   pen 0.2 mm"]  # fmt: skip
    table = {**data.table, "fc6": [float("nan")] * 12, "pen_mm": [float("nan")] * 12}
    blank = GraspDataset.from_table(table, data.objects, data.joint_names, data.info)
    assert caption(blank, 11)[1::2] == ["no task", "FC6 untested   pen unknown"]


# ---------------------------------------------------------------------- what is drawn
def test_a_procedural_object_is_its_mesh_while_that_fits_the_points():
    mug = make_object("mug", 3)
    points, normals, parts = (torch.tensor(array) for array in mug.sample_surface(400))
    facts = {"family": "mug", "seed": 3}
    pieces = object_pieces(mug.name, ObjectSurface(points, normals, parts, facts))
    assert [len(piece.triangles) for piece in pieces] == [
        sum(len(piece.faces) for piece in mug.pieces if piece.part == part) for part in range(3)
    ]
    assert [piece.color for piece in pieces] == list(OBJECT_COLORS[:3])
    for other in ({"family": "mug", "seed": 4}, {"family": "mug"}, {}):  # of another make: the points are what is known
        pieces = object_pieces(mug.name, ObjectSurface(points, normals, parts, other))
        assert sum(len(piece.triangles) for piece in pieces) == 6 * 400
        assert [piece.color for piece in pieces] == list(OBJECT_COLORS[:3])
    middle = pieces[0].triangles.reshape(-1, 6, 3, 3)[:, :, 0].mean(1)
    assert np.allclose(middle, points[parts == 0])
    edges = pieces[0].triangles[:, 1] - pieces[0].triangles[:, 0]
    assert np.abs((edges * normals[parts == 0].repeat_interleave(6, 0).numpy()).sum(1)).max() < 1e-6


def test_the_fingers_that_touch_are_found():
    hand = HandModel.load("shadow")
    joints = torch.zeros(1, 22)
    pieces = hand_pieces(hand, hand.link_transforms(joints)[0].double().numpy())
    assert [piece.color for piece in pieces] == list(HAND_COLORS.values())
    tips = dict(zip(hand.finger_names, hand.tip_points(joints)[0].tolist(), strict=True))
    lowest = next(piece for piece in pieces if piece.part == INDEX).vertices[:, 2].max()
    for gap, expected in ((0.002, {INDEX}), (0.005, set())):
        x, y, _ = tips["index"]
        found = contacts([block((x, y, lowest + gap + 0.005), (0.01, 0.01, 0.01), RED, -1), *pieces])
        assert set(found) == expected
    thumb = tips["thumb"]
    assert THUMB in contacts([block((thumb[0], thumb[1], thumb[2]), (0.02, 0.02, 0.02), RED, -1), *pieces])


@pytest.mark.parametrize("side", [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)])
def test_the_contact_is_seen_from_its_side(side: tuple[int, int, int]):
    direction = np.array(side, float)
    wall = block((0, 0, 0), (0.1, 0.1, 0.1), RED, -1)
    finger = block(tuple(0.06 * direction), (0.02, 0.02, 0.02), BLUE, INDEX)
    view = best_view([wall, finger], {INDEX: 0.05 * direction}, 64)
    assert view.base_from_camera[:3, 3] @ direction > 0.06


def test_points_are_drawn_where_they_are_projected_and_up_is_up():
    left = block((0, 0, 0), (0.05, 0.05, 0.05), RED, -1)
    above = block((0, 0.02, 0.06), (0.02, 0.02, 0.02), BLUE, INDEX)
    size, twice = 80, 160
    image = draw_grasp([left, above], {}, size)
    view = best_view([left, above], {}, twice)
    red, blue = rgb(image)
    rows = np.arange(size)
    assert (blue.sum(1) @ rows) / blue.sum() < (red.sum(1) @ rows) / red.sum() - size / 8
    column, row = view.project(np.array([0, 0.02, 0.06])) / (twice / size)
    assert (blue.sum(0) @ rows) / blue.sum() == pytest.approx(column, abs=2)
    assert (blue.sum(1) @ rows) / blue.sum() == pytest.approx(row, abs=2)
    assert np.allclose(image[0, 0], 1.0)  # nothing there
    assert red.sum() + blue.sum() > 0.15 * size**2  # the picture is filled


def test_a_contact_is_a_full_dot_in_sight_and_a_ring_behind():
    target = block((0, 0, 0), (0.05, 0.05, 0.05), RED, -1)
    finger = block((0, 0, 0.06), (0.02, 0.02, 0.02), BLUE, INDEX)
    for point, ring in (((0, 0, 0.025), False), ((0, 0, -0.02), True)):
        view = best_view([target, finger], {THUMB: np.array(point)}, 400)
        image = draw_grasp([target, finger], {THUMB: np.array(point)}, 200)
        column, row = (view.project(np.array(point)) / 2).round().astype(int)
        assert np.allclose(image[row, column], 1.0) == ring


# ---------------------------------------------------------------------- the command
def test_the_sheet_is_written(folder: Path, tmp_path: Path):
    from matplotlib.image import imread

    ended = run("data", "view", folder, "--out", tmp_path / "new" / "sheet.png", "--n", 5, "--task", "twist")
    assert ended.code == 0, ended.err
    assert "2 grasps" in ended.err and "all there are of 5 asked for" in ended.err
    image = imread(tmp_path / "new" / "sheet.png")[..., :3]
    assert image.shape[1] > 2 * 300 and image.shape[0] > 300
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 1000  # drawn, not blank


def test_wrong_requests_are_refused(folder: Path, tmp_path: Path):
    out = ("--out", tmp_path / "a.png")
    fails(run("data", "view", folder, *out, "--n", 0), 2, "--n 0", "expected 1 to")
    fails(run("data", "view", folder, *out, "--n", 10**9), 2, "--n 1000000000", "expected 1 to")
    fails(run("data", "view", folder, "--out", tmp_path / "a.jpg"), 2, "must end in .png")
    fails(run("data", "view", folder, *out, "--split", "moon"), 3, "split 'moon' is unknown; known: train")
    fails(run("data", "view", folder, *out, "--task", "fly"), 3, "task 'fly' is unknown; known: lift, twist")
    fails(run("data", "view", tmp_path / "moon", *out), 3, "moon", "does not exist")
    fails(run("data", "view", tmp_path, *out), 3, "lacks objects.json")
    assert not (tmp_path / "a.png").exists()
