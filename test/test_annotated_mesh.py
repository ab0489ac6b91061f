"""Real meshes as labelled objects: parts by region, at rest, outside of mesh and convex parts alike."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from beside import OBJECTS

from maskdex_core.data.tasks import load_tasks
from maskdex_core.errors import ConfigError, DatasetError, MeshError
from maskdex_core.objects.meshes.annotated_mesh import AnnotatedMesh, load_objects
from maskdex_core.objects.meshes.convex_parts import parts_fingerprint
from maskdex_core.objects.meshes.decompose import cut_convex
from maskdex_core.objects.meshes.part_regions import Annotation, read_annotations
from maskdex_core.objects.meshes.resting import rest_rotation, rotation_to_z

needs_meshes = pytest.mark.skipif(not OBJECTS.is_dir(), reason="no folder of real meshes beside the checkout")

TEE = Annotation("hammer", "handle", ({"part": "head", "x": [0.05, float("inf")]},))


def tee() -> trimesh.Trimesh:
    """A hammer of two boxes, in one closed mesh: handle 0 to 55 mm along x, head beyond it along y."""
    handle = trimesh.creation.box((0.06, 0.02, 0.02))
    handle.apply_translation((0.03, 0, 0))
    head = trimesh.creation.box((0.02, 0.08, 0.03))
    head.apply_translation((0.065, 0, 0))
    return trimesh.boolean.union([handle, head], engine="manifold")


def box_corners(size: tuple, x: float) -> np.ndarray:
    return np.asarray(trimesh.creation.box(size).vertices) + np.array([x, 0, 0])


def boxes() -> list[np.ndarray]:
    """The same as convex parts; the handle's is 2 mm higher than the mesh."""
    return [box_corners((0.06, 0.02, 0.024), 0.03), box_corners((0.02, 0.08, 0.03), 0.065)]


@pytest.fixture(scope="module")
def hammer() -> AnnotatedMesh:
    return AnnotatedMesh.build("ours/tee", TEE, tee(), boxes())


def value(grid, points) -> np.ndarray:
    return grid.query(torch.tensor(np.atleast_2d(points), dtype=torch.float32))[0].numpy()


class TestRegions:
    def label(self, parts: list[dict], points: list) -> list[str]:
        found = Annotation("f", "body", tuple(parts))
        return [found.part_names[index] for index in found.label(np.atleast_2d(np.asarray(points, float)))]

    def test_the_first_region_that_contains_a_point_names_it(self):
        parts = [{"part": "rim", "z": [0.5, np.inf]}, {"part": "handle", "x": [0, np.inf]}]
        assert self.label(parts, [(1, 0, 1), (1, 0, 0), (-1, 0, 0)]) == ["rim", "handle", "body"]

    def test_all_conditions_of_a_region_hold(self):
        parts = [{"part": "cap", "x": [0, 1], "y": [0, 1], "sphere": {"center": [0, 0, 0], "radius": 1}}]
        assert self.label(parts, [(0.5, 0.5, 0), (0.9, 0.9, 0), (-0.1, 0.5, 0)]) == ["cap", "body", "body"]

    def test_a_cylinder_has_ends_and_a_radius(self):
        parts = [{"part": "stem", "cylinder": {"start": [0, 0, 0], "end": [0, 0, 2], "radius": 0.5}}]
        points = [(0.4, 0, 1), (0.4, 0, 2.1), (0.4, 0, -0.1), (0.6, 0, 1)]
        assert self.label(parts, points) == ["stem", "body", "body", "body"]

    def test_a_slab_is_measured_along_its_direction_in_metres(self):
        parts = [{"part": "cap", "slabs": [{"along": [3, 0, 4], "between": [0.1, 0.2]}]}]
        assert self.label(parts, [(0.09, 0, 0.12), (0.03, 0, 0.04), (0.15, 0, 0.2)]) == ["cap", "body", "body"]

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ({"family": "mug", "rest": "body", "parts": [{"part": "rim", "w": [0, 1]}]}, "shape 'w' is unknown"),
            ({"family": "mug", "rest": "body", "parts": [{"z": [0, 1]}]}, "needs a `part`"),
            ({"family": "mug", "rest": "body", "parts": [{"part": "rim", "z": 3}]}, "expected 2 numbers, got 3"),
            ({"family": "mug"}, "rest"),
            ({"family": "mug", "rest": "body", "colour": "red"}, "key 'colour' is unknown"),
        ],
    )
    def test_a_wrong_entry_is_named(self, tmp_path: Path, entry: dict, message: str):
        path = tmp_path / "parts.yaml"
        path.write_text(json.dumps({"ours/mug": entry}))
        with pytest.raises(ConfigError, match=message) as error:
            read_annotations(path)
        assert "ours/mug" in str(error.value)


class TestShippedAnnotations:
    def test_families_and_parts_are_those_of_the_tasks(self):
        book = load_tasks()
        for name, annotation in read_annotations().items():
            assert annotation.family in book.families, name
            rules = [book.rule(annotation.family, task) for task in book.families[annotation.family].tasks]
            named = {part for rule in rules for part in (*rule.touch, *rule.free)}
            assert named & set(annotation.part_names), name

    def test_what_is_left_out_says_why(self):
        assert all(found.use or found.reason for found in read_annotations().values())


class TestRest:
    def test_a_box_falls_onto_the_nearest_face(self):
        box = trimesh.creation.box((0.02, 0.05, 0.1))
        rotation = rest_rotation(box.vertices, box.center_mass, np.array([1.0, 0.1, 0.2]))
        heights = box.vertices @ rotation[2]
        assert np.ptp(heights) == pytest.approx(0.02, abs=1e-9)
        assert np.linalg.det(rotation) == pytest.approx(1)

    def test_a_leaning_box_rolls_on_until_its_weight_is_over_its_foot(self):
        slanted = trimesh.creation.box((0.02, 0.02, 0.2))
        slanted.vertices[:, 0] += 0.5 * slanted.vertices[:, 2]  # leans so far that it cannot stand
        rotation = rest_rotation(slanted.vertices, slanted.center_mass, np.array([0.0, 0, 1]))
        assert np.ptp(slanted.vertices @ rotation[2]) < 0.05

    @pytest.mark.parametrize("up", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0.6, 0, -0.8)])
    def test_up_becomes_z(self, up: tuple):
        rotation = rotation_to_z(np.array(up, float))
        assert rotation @ up == pytest.approx((0, 0, 1), abs=1e-12)
        assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)


class TestAnnotatedMesh:
    def test_rests_on_the_table(self, hammer: AnnotatedMesh):
        assert hammer.mesh.vertices[:, 2].min() == pytest.approx(0, abs=1e-9)
        assert (hammer.mesh.vertices[:, 2] < 1e-6).sum() >= 3  # on a face: the head's edge and the handle's end
        assert np.ptp(hammer.mesh.vertices[:, 2]) < 0.032
        back = np.linalg.inv(hammer.rest_from_mesh)
        corners = hammer.mesh.vertices @ back[:3, :3].T + back[:3, 3]
        assert np.sort(corners, 0) == pytest.approx(np.sort(tee().vertices, 0), abs=1e-9)

    def test_surface_points_are_labelled_where_they_lie(self, hammer: AnnotatedMesh):
        points, normals, parts = hammer.sample_surface(600, seed=3)
        back = np.linalg.inv(hammer.rest_from_mesh)
        x = (points @ back[:3, :3].T + back[:3, 3])[:, 0]
        assert hammer.part_names == ("head", "handle")
        assert (parts[x > 0.0501] == 0).all()
        assert (parts[x < 0.0499] == 1).all()
        assert np.abs(value(hammer.mesh_sdf, points)).max() < 1.5e-3
        assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(600), abs=1e-5)
        again = hammer.sample_surface(600, seed=3)[0]
        assert np.array_equal(points, again)
        assert not np.array_equal(points, hammer.sample_surface(600, seed=4)[0])

    def test_pieces_have_the_part_of_the_surface_about_them(self, hammer: AnnotatedMesh):
        assert [hammer.part_names[piece.part] for piece in hammer.pieces] == ["handle", "head"]

    def test_distance_is_to_mesh_and_parts_together(self, hammer: AnnotatedMesh):
        inside = hammer.rest_from_mesh @ [0.02, 0, 0.0113, 1]  # in the handle's convex part, above the mesh
        assert value(hammer.mesh_sdf, inside[:3])[0] == pytest.approx(0.0013, abs=4e-4)
        assert value(hammer.parts_sdf, inside[:3])[0] == pytest.approx(-0.0007, abs=4e-4)
        points = np.random.default_rng(0).uniform(hammer.bounds[0] - 0.02, hammer.bounds[1] + 0.02, (2000, 3))
        both = np.minimum(value(hammer.mesh_sdf, points), value(hammer.parts_sdf, points))
        assert np.abs(value(hammer.sdf, points) - both).max() < 1e-3

    def test_faces_between_touching_parts_are_no_surface(self):
        halves = [box_corners((0.03, 0.06, 0.06), x) for x in (-0.015, 0.015)]
        cube = AnnotatedMesh.build("ours/cube", Annotation("block", "body"), trimesh.creation.box((0.06,) * 3), halves)
        assert value(cube.parts_sdf, cube.bounds.mean(0))[0] == pytest.approx(-0.03, abs=2e-3)
        assert cube.convex_iou > 0.999

    def test_overlap_is_by_volume(self, hammer: AnnotatedMesh):
        mesh, grown = 0.06 * 0.02 * 0.02 - 0.005 * 0.02 * 0.02, 0.055 * 0.02 * 0.004
        head = 0.02 * 0.08 * 0.03
        assert hammer.convex_iou == pytest.approx((mesh + head) / (mesh + head + grown), abs=0.01)

    def test_other_parts_have_another_fingerprint(self, hammer: AnnotatedMesh):
        moved = [boxes()[0] + 1e-5, boxes()[1]]
        assert hammer.fingerprint == parts_fingerprint(boxes()) != parts_fingerprint(moved)
        assert parts_fingerprint(boxes()[::-1]) != hammer.fingerprint


class TestCutting:
    @pytest.fixture(autouse=True)
    def own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def test_two_boxes_are_two_parts_that_fill_the_mesh(self):
        parts = cut_convex(tee())
        assert 2 <= len(parts) <= 4
        assert AnnotatedMesh.build("ours/tee", TEE, tee(), parts).convex_iou > 0.9

    def test_never_more_parts_than_asked_for(self):
        ring = trimesh.creation.torus(0.05, 0.004, major_sections=24, minor_sections=8)
        assert len(cut_convex(ring, 12)) <= 12

    def test_a_second_call_reads_what_the_first_found(self, tmp_path: Path):
        first = cut_convex(tee())
        (cached,) = tmp_path.rglob("*.npz")
        stamp = cached.stat().st_mtime_ns
        assert parts_fingerprint(cut_convex(tee())) == parts_fingerprint(first)
        assert cached.stat().st_mtime_ns == stamp


def folder_with(tmp_path: Path, mesh: trimesh.Trimesh | bytes, parts: int = 2) -> Path:
    """A folder of one object, `ours/tee`."""
    if isinstance(mesh, bytes):
        (tmp_path / "tee.obj").write_bytes(mesh)
    else:
        mesh.export(tmp_path / "tee.obj")
    (tmp_path / "convex").mkdir()
    for index, vertices in enumerate(boxes()[:parts]):
        trimesh.convex.convex_hull(vertices).export(tmp_path / "convex" / f"{index}.obj")
    row = {"source": "ours", "name": "tee", "mesh": "tee.obj", "convex_parts": "convex"}
    (tmp_path / "index.json").write_text(json.dumps([row]))
    return tmp_path


class TestFolder:
    def test_an_object_is_read_when_asked_for(self, tmp_path: Path):
        found = load_objects(folder_with(tmp_path, tee()), {"ours/tee": TEE})
        assert list(found) == ["ours/tee"]
        loaded = found["ours/tee"].load()
        assert (loaded.name, loaded.family, len(loaded.pieces)) == ("ours/tee", "hammer", 2)

    def test_an_unknown_object_names_the_known_ones(self, tmp_path: Path):
        with pytest.raises(DatasetError, match=r"object 'ours/saw' is unknown; known: ours/tee"):
            load_objects(folder_with(tmp_path, tee()), {"ours/tee": TEE})["ours/saw"]

    def test_what_is_not_annotated_for_use_is_left_out(self, tmp_path: Path):
        unused = dataclasses.replace(TEE, use=False, reason="a test")
        with pytest.raises(DatasetError, match="none of its 1 objects is annotated"):
            load_objects(folder_with(tmp_path, tee()), {"ours/tee": unused})

    @pytest.mark.parametrize(
        ("content", "message"),
        [(None, r"index\.json: object index cannot be read"), ("{", "not a valid object index"),
         ('{"a": 1}', "expected a list"), ('[{"name": "tee", "source": "ours"}]', "'tee' has no 'mesh'")],
    )  # fmt: skip
    def test_a_bad_index(self, tmp_path: Path, content: str | None, message: str):
        if content is not None:
            (tmp_path / "index.json").write_text(content)
        with pytest.raises(DatasetError, match=message):
            load_objects(tmp_path)

    def test_no_convex_parts(self, tmp_path: Path):
        found = load_objects(folder_with(tmp_path, tee(), parts=0), {"ours/tee": TEE})
        with pytest.raises(MeshError, match="holds no convex parts"):
            found["ours/tee"].load()

    def test_an_inverted_mesh_is_turned_around(self, tmp_path: Path):
        mesh = tee()
        mesh.invert()
        loaded = load_objects(folder_with(tmp_path, mesh), {"ours/tee": TEE})["ours/tee"].load()
        assert loaded.mesh.volume > 0
        assert value(loaded.mesh_sdf, loaded.mesh.center_mass)[0] < 0

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda mesh: mesh.update_faces(np.arange(len(mesh.faces)) > 5), "not watertight"),
            (lambda mesh: mesh.apply_scale(1000), "millimetres"),
            (lambda mesh: mesh.apply_scale((1, 1, 0)), "flat"),
            (lambda mesh: mesh.apply_scale(0.001), "must be metres"),
        ],
        ids=["open", "huge", "flat", "tiny"],
    )
    def test_a_bad_mesh(self, tmp_path: Path, spoil, message: str):
        mesh = tee()
        spoil(mesh)
        found = load_objects(folder_with(tmp_path, mesh), {"ours/tee": TEE})
        with pytest.raises(MeshError, match=message):
            found["ours/tee"].load()

    @pytest.mark.parametrize(("content", "message"), [(b"", "empty"), (b"v 0 0 0\n", "OBJ mesh|triangles")])
    def test_a_file_without_a_mesh(self, tmp_path: Path, content: bytes, message: str):
        found = load_objects(folder_with(tmp_path, content), {"ours/tee": TEE})
        with pytest.raises(MeshError, match=message):
            found["ours/tee"].load()


@needs_meshes
class TestRealMeshes:
    def test_at_least_sixty_are_annotated_for_use(self):
        assert len(load_objects(OBJECTS)) >= 60

    @pytest.mark.parametrize(
        ("name", "axis", "above", "part"),
        [("object_sim/mug", 0, 0.03, "handle"), ("object_sim/hammer", 0, -0.07, "handle"),
         ("urdf_models/flat_screwdriver", 0, 0.02, "shaft"), ("ycb_sim/006_mustard_bottle", 2, 0.07, "cap")],
    )  # fmt: skip
    def test_parts_are_where_they_are(self, name: str, axis: int, above: float, part: str):
        found = load_objects(OBJECTS)[name].load()
        points, _, labels = found.sample_surface(500)
        back = np.linalg.inv(found.rest_from_mesh)
        at = (points @ back[:3, :3].T + back[:3, 3])[:, axis]
        assert (labels[at > above] == found.part_names.index(part)).all()
        assert set(labels) == set(range(len(found.part_names)))
        assert (points[:, 2] > -1e-6).all()
