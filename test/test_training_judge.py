"""The judge of holding: learns what there is to learn, and reports it on objects it did not fit."""

import pytest
import torch
from cli_support import fails, run
from held_grasps import held_grasps, write_held

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.errors import CheckpointError, DatasetError
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands import HandModel
from maskdex_core.refine.features import FEATURES
from maskdex_core.refine.ranking import TESTS, HoldJudge, hold_judge
from maskdex_core.resources import resource_path
from maskdex_core.training import judge_stage
from maskdex_core.training.judge_stage import Outcomes, fit_judge


def _outcomes(objects: int, informative: bool = True) -> list[Outcomes]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for index in range(objects):
        features = 5.0 + 2.0 * torch.randn(40, len(FEATURES), generator=generator)
        odds = 2.5 * (features[:, 0] - 5.0) if informative else torch.zeros(40)
        held = torch.rand(40, 1, generator=generator) < torch.stack((odds, odds - 2.0), 1).sigmoid()
        made.append(Outcomes(f"object {index}", features, held))
    return made


def test_a_judge_learns_what_decides_and_is_calibrated():
    judge, report = fit_judge(_outcomes(40))
    for test in TESTS:
        assert report[f"{test} auroc"] > 0.9 and report[f"{test} calibration_error"] < 0.08
    assert report["FC6-hard held"] < report["FC6 held"] - 0.1
    assert report["grasps"] == 1600 and report["objects"] == 40
    assert torch.allclose(judge.mean, torch.full((len(FEATURES),), 5.0), atol=0.3)


def test_where_there_is_nothing_to_learn_it_says_so():
    _, report = fit_judge(_outcomes(40, informative=False))
    for test in TESTS:
        assert 0.4 < report[f"{test} auroc"] < 0.6 and report[f"{test} calibration_error"] < 0.12


class Stored:
    """Proposes a grasp that is known to hold the mug, and the same hand 40 cm above it, whatever the text."""

    def touch_map(self, points: torch.Tensor, text: str) -> None:
        return None

    def sample(self, points: torch.Tensor, text: str, n: int, generator: torch.Generator) -> GraspBatch:
        mug = held_grasps()["mug"]
        shift = points.amin(0) - torch.tensor(mug.target.sample_surface(2048)[0].min(0), dtype=torch.float32)
        away = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.4]])
        pose = mug.pose[[0, 0]]
        return GraspBatch(
            HandModel.load("shadow").joint_names, pose.joints, pose.rotation, pose.translation + shift + away
        )


def test_outcomes_are_those_of_the_simulation_on_objects_to_train_on(tmp_path, monkeypatch):
    pytest.importorskip("mujoco", reason="no simulator: pip install 'maskdex_ros[sim]'")
    monkeypatch.setattr(judge_stage, "SHOWN", ("full",))
    draws = judge_stage.tested_grasps(Stored(), GraspDataset.load(write_held(tmp_path / "data")), objects=4, samples=2)
    for mug in draws:
        assert "mug" in mug.name and mug.features.shape == (2, len(FEATURES))
        assert mug.held[:, 0].tolist() == [True, False] and not mug.held[1, 1]


def test_too_few_objects_are_refused():
    with pytest.raises(DatasetError, match="at least 4 objects, there are 3"):
        fit_judge(_outcomes(3))


def test_a_missing_or_wrong_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.safetensors: no judge of \d+ features"):
        hold_judge(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match=r"bad\.safetensors"):
        hold_judge(tmp_path / "bad.safetensors")


def test_the_shipped_judge_prefers_a_grasp_that_is_balanced_and_stays():
    judge = hold_judge()
    assert isinstance(judge, HoldJudge)
    plain = judge.mean.repeat(2, 1)
    for name in ("wrench left over (log)", "shifted by a push (log)", "shifted by a push, half the friction (log)"):
        plain[:, FEATURES.index(name)] += torch.tensor([-1.0, 1.0]) * judge.scale[FEATURES.index(name)]
    better, worse = judge(plain)
    assert (better > worse).all()
    assert (better[0] > better[1]) and (worse[0] > worse[1])  # half the friction holds less


def test_the_command_leaves_a_judge_that_ranks_grasps(tmp_path, monkeypatch):
    pytest.importorskip("mujoco", reason="no simulator: pip install 'maskdex_ros[sim]'")
    monkeypatch.setattr(judge_stage, "SHOWN", ("full",))
    monkeypatch.setattr(judge_stage, "STEPS", 20)
    data = resource_path("data/shadow")
    ended = run("train", "judge", "--data", data, "--out", tmp_path, "--objects", 4, "--samples", 2)
    assert ended.code == 0, ended.err
    assert "FC6 auroc" in ended.err and "FC6-hard held" in ended.err
    judge = hold_judge(tmp_path / "hold_judge.safetensors")
    assert judge(torch.zeros(1, len(FEATURES))).isfinite().all()
    fails(run("train", "judge", "--data", data, "--out", tmp_path, "--samples", 0), 2, "--samples 0 is below 1")
