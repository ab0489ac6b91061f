"""Grasp batches: shapes, rows, files."""

import dataclasses

import numpy as np
import pytest
import torch

from maskdex_core.errors import DatasetError
from maskdex_core.grasp import GraspBatch


def _grasps(count=4, **more) -> GraspBatch:
    generator = torch.Generator().manual_seed(0)
    return GraspBatch(
        joint_names=("a", "b", "c"),
        joints=torch.randn(count, 3, generator=generator),
        palm_rotation=torch.eye(3).expand(count, 3, 3).clone(),
        palm_translation=torch.randn(count, 3, generator=generator),
        **more,
    )


def test_file_round_trip_keeps_every_field(tmp_path):
    grasps = _grasps(
        tokens=torch.arange(24).view(4, 6),
        token_confidence=torch.rand(4, 6),
        confidence=torch.rand(4),
        chance=torch.rand(4),
        agreement=torch.rand(4),
        score=torch.rand(4),
        pregrasp=torch.rand(4, 3),
        checkpoint="0123456789ab",
    )
    grasps.to_npz(tmp_path / "grasps.npz")
    back = GraspBatch.from_npz(tmp_path / "grasps.npz")
    assert back.joint_names == grasps.joint_names and back.squeeze is None
    assert back.checkpoint == "0123456789ab"
    for field in dataclasses.fields(grasps):
        value = getattr(grasps, field.name)
        if isinstance(value, torch.Tensor):
            assert torch.equal(getattr(back, field.name), value), field.name
    with np.load(tmp_path / "grasps.npz", allow_pickle=False) as archive:
        assert {"joint_names", "joints", "rotation", "translation", "tokens", "confidence"} <= set(archive.files)


def test_index_reorders_every_field():
    grasps = _grasps(confidence=torch.tensor([0.1, 0.4, 0.2, 0.3]))
    best = grasps.index(grasps.confidence.argsort(descending=True)[:2])
    assert len(best) == 2
    assert best.confidence.tolist() == pytest.approx([0.4, 0.3])
    assert torch.equal(best.joints, grasps.joints[[1, 3]])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("palm_translation", torch.zeros(3, 3), r"palm_translation has shape \(3, 3\)"),
        ("joints", torch.zeros(4, 2), r"joints has shape \(4, 2\)"),
        ("confidence", torch.zeros(4, 1), r"confidence has shape \(4, 1\)"),
        ("chance", torch.zeros(4, 1), r"chance has shape \(4, 1\)"),
        ("agreement", torch.zeros(3), r"agreement has shape \(3,\), expected \(4,\)"),
    ],
)
def test_wrong_shapes_are_named(field, value, message):
    with pytest.raises(DatasetError, match=message):
        _grasps().replace(**{field: value})


def test_unusable_files_give_one_sentence(tmp_path):
    with pytest.raises(DatasetError, match="does not exist"):
        GraspBatch.from_npz(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DatasetError, match="not a readable"):
        GraspBatch.from_npz(tmp_path / "text.npz")
    np.savez(tmp_path / "half.npz", joints=np.zeros((1, 3)))
    with pytest.raises(DatasetError, match="lacks joint_names, rotation, translation"):
        GraspBatch.from_npz(tmp_path / "half.npz")
    whole = tmp_path / "whole.npz"
    _grasps().to_npz(whole)
    (tmp_path / "cut.npz").write_bytes(whole.read_bytes()[:-60])
    with pytest.raises(DatasetError, match="not a readable"):
        GraspBatch.from_npz(tmp_path / "cut.npz")
    np.savez(tmp_path / "pickle.npz", joint_names=np.array([{}], dtype=object))
    with pytest.raises(DatasetError, match="not a readable"):
        GraspBatch.from_npz(tmp_path / "pickle.npz")


MIRROR = np.diag([1.0, 1.0, -1.0])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tokens", np.zeros((4, 6)), "tokens has type float64; expected integers"),
        ("tokens", np.zeros((4, 5), int), r"tokens has shape \(4, 5\); expected \(K, 6\)"),
        ("tokens", np.zeros((3, 6), int), r"tokens has shape \(3, 6\)"),
        ("token_confidence", np.zeros(4), r"token_confidence has shape \(4,\); expected \(K, 6\)"),
        ("joints", np.full((4, 3), np.nan), "joints holds NaN or infinity"),
        ("joints", np.full((4, 3), "x"), "joints has type <U1; expected numbers"),
        ("joints", np.float64(1), "joints is a single number"),
        ("translation", np.full((4, 3), np.inf), "translation holds NaN or infinity"),
        ("squeeze", np.full((4, 3), np.nan), "squeeze holds NaN"),
        ("agreement", np.full(4, np.inf), "agreement holds NaN or infinity"),
        ("chance", np.zeros((4, 2)), r"chance has shape \(4, 2\)"),
        ("rotation", np.tile(1.01 * np.eye(3), (4, 1, 1)), "rotation of grasp 0 is no rotation .*off by 0.02"),
        ("rotation", np.stack([np.eye(3)] * 3 + [MIRROR]), "rotation of grasp 3 is no rotation .*determinant -1"),
        ("rotation", np.zeros((4, 9)), r"palm_rotation has shape \(4, 9\)"),
        ("joint_names", np.array(["a", "b", "a"]), "joint_names .*distinct"),
        ("joint_names", np.array([1, 2, 3]), "joint_names has type int64"),
    ],
)
def test_wrong_content_of_a_file_is_named(tmp_path, key, value, message):
    path = tmp_path / "g.npz"
    _grasps(tokens=torch.zeros(4, 6, dtype=torch.int64)).to_npz(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **{**arrays, key: value})
    with pytest.raises(DatasetError, match=rf"g\.npz: .*{message}"):
        GraspBatch.from_npz(path)


def test_rotations_of_float32_and_integer_tokens_pass(tmp_path):
    turn = torch.linalg.qr(torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(1)))[0]
    turn = turn * torch.linalg.det(turn)[:, None, None].sign()
    grasps = _grasps(tokens=torch.full((4, 6), 7, dtype=torch.int32)).replace(palm_rotation=turn)
    grasps.to_npz(tmp_path / "g.npz")
    back = GraspBatch.from_npz(tmp_path / "g.npz")
    assert torch.equal(back.palm_rotation, turn)
    assert back.tokens.dtype == torch.int64 and back.joints.dtype == torch.float32


def test_a_lone_array_is_no_grasp_file(tmp_path):
    np.save(tmp_path / "g.npy", np.zeros(3))
    (tmp_path / "g.npy").rename(tmp_path / "g.npz")
    with pytest.raises(DatasetError, match=r"not a readable"):
        GraspBatch.from_npz(tmp_path / "g.npz")
