"""The judge of holding: learns what there is to learn, and reports it on objects it did not fit."""

import pytest
import torch

from maskdex_core.errors import CheckpointError, DatasetError
from maskdex_core.refine.features import FEATURES
from maskdex_core.refine.ranking import TESTS, HoldJudge, hold_judge
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


def test_too_few_objects_are_refused():
    with pytest.raises(DatasetError, match="at least 4 objects, there are 3"):
        fit_judge(_outcomes(3))


def test_a_missing_or_wrong_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.safetensors: no judge of \d+ features"):
        hold_judge(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match=r"bad\.safetensors"):
        hold_judge(tmp_path / "bad.safetensors")


def test_the_shipped_judge_prefers_a_balanced_grasp():
    judge = hold_judge()
    assert isinstance(judge, HoldJudge)
    plain = judge.mean.repeat(2, 1)
    plain[:, 0] += torch.tensor([-1.0, 1.0]) * judge.scale[0]  # the wrench that is left over
    better, worse = judge(plain)
    assert (better > worse).all()
    assert (better[0] > better[1]) and (worse[0] > worse[1])  # half the friction holds less
