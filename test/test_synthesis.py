"""Synthesis end to end: starts, valid grasps, shards that survive a kill, a dataset that loads."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from held_grasps import held_grasps, held_object
from scipy.spatial import cKDTree

from maskdex_core.data import GraspDataset
from maskdex_core.errors import DatasetError
from maskdex_core.hands import HandModel
from maskdex_core.physics.hold_test import HoldTest
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.synthesis.assemble import UNSEEN_FAMILIES, assemble, split_of
from maskdex_core.synthesis.build import build_shards, read_shard, shard_path
from maskdex_core.synthesis.grasp_types import GRASP_TYPES, active_links, preshapes
from maskdex_core.synthesis.starts import antipodal_pairs, start_poses
from maskdex_core.synthesis.synthesize import MadeGrasp, SynthesisConfig

HAND = HandModel.load("shadow")
FEW = SynthesisConfig(candidates=2, oversample=3, quota=1)


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """The shard of one small carton, made here."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("shards")
    (path,) = build_shards(folder, [0], ["carton"], config=FEW)
    return path


# ------------------------------------------------------------------ starts
def test_pairs_face_each_other_across_the_object():
    target, rng = held_object("can", 0), np.random.default_rng(0)
    part = target.part_names.index("body")
    pairs = antipodal_pairs(target, 0.09, part, rng)
    assert 8 <= len(pairs) <= 400
    way = pairs[:, 1] - pairs[:, 0]
    width = np.linalg.norm(way, axis=-1)
    assert width.min() > 0.004 and width.max() < 0.09
    points, normals, _ = target.sample_surface(20000)
    nearest = cKDTree(points).query(pairs)[1]
    facing = (normals[nearest] * (way / width[:, None])[:, None]).sum(-1)  # (P, 2)
    # The surface looks back at the first point and on at the second; at an edge the nearest normal is another's.
    assert (facing[:, 0] < -0.8).mean() > 0.95 and (facing[:, 1] > 0.8).mean() > 0.95


def test_pairs_lie_on_the_part_asked_for():
    target = held_object("knife", 0)
    for part, name in enumerate(target.part_names):
        pairs = antipodal_pairs(target, 0.09, part, np.random.default_rng(1))
        other = [piece for piece in target.pieces if piece.part == part]
        depth = np.min([piece.depth(pairs.reshape(-1, 3)) for piece in other], axis=0)
        assert len(pairs) >= 8 and depth.max() < 1e-6, name


def test_nothing_is_found_that_is_too_wide():
    assert antipodal_pairs(held_object("can", 0), 0.01, 0, np.random.default_rng(0)).shape == (0, 2, 3)


@pytest.mark.parametrize("grasp_type", GRASP_TYPES, ids=lambda grasp_type: grasp_type.name)
def test_preshapes_and_active_links(grasp_type):
    joints = preshapes(HAND, grasp_type, 64, torch.Generator().manual_seed(0))
    assert joints.shape == (64, 22) and ((joints >= HAND.lower) & (joints <= HAND.upper)).all()
    active = dict(zip(HAND.spec.contact_links, active_links(HAND, grasp_type).tolist(), strict=True))
    assert active["rh_thdistal"] == 1
    digits = {"index": "ff", "middle": "mf", "ring": "rf", "little": "lf"}
    for finger, code in digits.items():
        assert (active[f"rh_{code}distal"] == 1) == (finger in grasp_type.fingers)
    assert (active["rh_palm"] > 0) == grasp_type.wraps


def test_starts_put_the_object_between_thumb_and_fingers():
    target = held_object("can", 0)
    scene, grasp_type = HandOnObject(HAND, target.sdf, 0.0), GRASP_TYPES[1]
    pairs = antipodal_pairs(target, grasp_type.widest, 0, np.random.default_rng(0))
    pose = start_poses(HAND, scene, grasp_type, pairs, 24, torch.Generator().manual_seed(0))
    eye = pose.rotation @ pose.rotation.transpose(1, 2)
    assert (eye - torch.eye(3)).abs().max() < 1e-5 and torch.linalg.det(pose.rotation).min() > 0.999
    tips = pose.to_object(HAND.tip_points(pose.joints))
    middle = (tips[:, 0] + tips[:, 1:3].mean(1)) / 2
    nearest = (middle[:, None] - torch.tensor(pairs.mean(1), dtype=torch.float32)).norm(dim=-1).amin(-1)
    assert nearest.max() < 0.03  # m: between the pads, which lie a little inside of the tips


# ------------------------------------------------------------------ one object
def test_a_small_object_gets_valid_grasps(shard):
    build, grasps = read_shard(shard)
    assert build["family"] == "carton" and build["object"] == "carton_000"
    assert 1 <= len(grasps) == build["valid"] <= build["tried"]
    assert sum(made for made, _ in build["by_type"].values()) == len(grasps)
    physics = HoldTest(HAND, held_object("carton", 0))
    for grasp in grasps:
        poses = (grasp.palm_rotation, grasp.palm_translation, grasp.pregrasp, grasp.joints, grasp.squeeze)
        assert physics.run(*poses).fc6, grasp.grasp_type  # again, from what was stored
        assert len(grasp.contact_links) == len(grasp.contact_parts) >= 2
        assert set(grasp.contact_parts) <= {"body", "cap"} and grasp.pen_mm < 2.0
        assert np.allclose(grasp.palm_rotation @ grasp.palm_rotation.T, np.eye(3), atol=1e-4)


def test_a_shard_that_exists_is_not_made_again(shard):
    before = shard.read_text(), shard.stat().st_mtime_ns
    assert build_shards(shard.parent, [0], ["carton"], config=FEW) == [shard]
    assert (shard.read_text(), shard.stat().st_mtime_ns) == before


def test_the_same_seed_makes_the_same_grasps_and_a_killed_build_is_done_again(shard, tmp_path):
    half = shard_path(tmp_path, "carton", 0).with_suffix(".part")
    half.write_text('{"build": {')
    (path,) = build_shards(tmp_path, [0], ["carton"], config=FEW)
    assert path.name == shard.name and not half.exists()
    assert json.loads(path.read_text())["grasps"] == json.loads(shard.read_text())["grasps"]


def test_unknown_families_are_named(tmp_path):
    with pytest.raises(DatasetError, match="object family 'teapot' is unknown"):
        build_shards(tmp_path, [0], ["teapot"], config=FEW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{}", '{"build": {}, "grasps": [{"joints": [0]}]}', "[1]"])
def test_files_that_are_no_shards_are_named(tmp_path, content):
    path = tmp_path / "can_000.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match=r"can_000\.json: not a grasp shard"):
        read_shard(path)


# ------------------------------------------------------------------ many objects → one dataset
def _stored_shard(folder, family, seed):
    """Write a shard from the stored grasps, as if they had been made for `seed`."""
    held = held_grasps()[family]
    grasp = MadeGrasp("tripod", held.joints, held.pregrasp, held.squeeze, held.rotation, held.translation,
                      held.contact_links, held.contact_parts, 0.2)  # fmt: skip
    row = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(grasp).items()}
    build = {"family": family, "seed": seed, "object": f"{family}_{seed:03d}", "tried": 3, "core_seconds": 36.0}
    path = shard_path(folder, family, seed)
    path.write_text(json.dumps({"build": build, "grasps": [row, row]}))
    return path


def test_splits_by_category_and_by_instance():
    assert UNSEEN_FAMILIES == ("jug", "torch")
    assert {split_of("jug", seed) for seed in range(20)} == {"unseen_category"}
    assert [seed for seed in range(20) if split_of("mug", seed) != "train"] == [5, 11, 17]
    assert split_of("mug", 5) == "unseen_instance"


def test_shards_become_a_dataset(tmp_path):
    wanted = [("can", 0), ("can", 5), ("jug", 0), ("knife", 0)]
    shards = [_stored_shard(tmp_path, *pair) for pair in wanted]
    empty = _stored_shard(tmp_path, "mug", 1)
    empty.write_text(json.dumps({**json.loads(empty.read_text()), "grasps": []}))
    assert assemble([*shards, empty], tmp_path / "data") == 8
    data = GraspDataset.load(tmp_path / "data")
    assert len(data) == 8 and data.joint_names == HAND.joint_names
    assert data.object_names == ("can_000", "can_005", "jug_000", "knife_000")
    expected = {"can_000": "train", "can_005": "unseen_instance", "jug_000": "unseen_category", "knife_000": "train"}
    for row, name in enumerate(data.table["object"]):
        held = held_grasps()[data.table["family"][row]]
        assert data.table["split"][row] == expected[name]
        assert np.allclose(data.joints[row], held.joints, atol=1e-6)
        assert np.allclose(data.palm_rotation[row], held.rotation, atol=1e-6)
        assert np.allclose(data.palm_translation[row], held.translation, atol=1e-6)
        assert np.allclose(data.table["squeeze"][row], held.squeeze, atol=1e-6)
        assert tuple(data.table["contact_parts"][row]) == held.contact_parts
        assert data.table["fc6"][row] == 1 and "hold" in data.table["tasks"][row]
        assert 4 <= len(set(data.texts[row])) <= 5
    for name, surface in data.objects.items():
        family, seed = name.rsplit("_", 1)
        depth = held_object(family, int(seed)).inside_depth(surface.points.double().numpy())
        assert surface.points.shape == (2048, 3) and np.abs(depth).max() < 0.02
        assert surface.facts["part_names"] == list(held_object(family, int(seed)).part_names)
    assert data.info["simulated"] == 15 and data.info["core_hours"] == 0.05 and data.info["hand"] == "shadow"


def test_assembling_repeats_whatever_the_order(tmp_path):
    shards = [_stored_shard(tmp_path, *pair) for pair in (("knife", 0), ("can", 0))]
    assemble(shards, tmp_path / "a")
    assemble(shards[::-1], tmp_path / "b")
    first, second = GraspDataset.load(tmp_path / "a"), GraspDataset.load(tmp_path / "b")
    assert first.texts == second.texts and torch.equal(first.joints, second.joints)
