"""Grasp batches: shapes, rows, files."""

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
        score=torch.rand(4),
        pregrasp=torch.rand(4, 3),
    )
    grasps.to_npz(tmp_path / "grasps.npz")
    back = GraspBatch.from_npz(tmp_path / "grasps.npz")
    assert back.joint_names == grasps.joint_names and back.squeeze is None
    for name in ("joints", "palm_rotation", "palm_translation", "tokens", "confidence", "score", "pregrasp"):
        assert torch.equal(getattr(back, name), getattr(grasps, name)), name
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
