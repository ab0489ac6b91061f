"""The palm's chain of motions."""

from itertools import pairwise

import pytest
import torch

from maskdex_core.errors import DatasetError
from maskdex_core.grasp import PalmPose
from maskdex_core.grasp.palm_chain import LEVER, PalmChain, features
from maskdex_core.grasp.rotation import geodesic_angle, matrix_from_6d


def _poses(count: int, seed: int = 0) -> PalmPose:
    generator = torch.Generator().manual_seed(seed)
    turn = matrix_from_6d(torch.randn(count, 6, generator=generator))
    return PalmPose(turn, 0.08 * torch.randn(count, 3, generator=generator))


@pytest.fixture(scope="module")
def chain() -> PalmChain:
    made = PalmChain(levels=4, codes=64)
    made.fit(_poses(4000))
    return made


def _errors(chain: PalmChain, palm: PalmPose, known: int) -> tuple[float, float]:
    codes = chain.tokenize(palm)
    again = chain.decode(codes, torch.full((len(codes),), known))
    way = (again.translation - palm.translation).norm(dim=-1).mean()
    return float(way), float(geodesic_angle(again.rotation, palm.rotation).mean())


def test_every_level_brings_the_pose_nearer(chain):
    palm = _poses(500, seed=1)
    found = [_errors(chain, palm, level) for level in range(5)]
    for before, after in pairwise(found):
        assert after[0] < 0.85 * before[0] and after[1] < 0.85 * before[1]
    assert found[-1][0] < 0.02


def test_a_code_moves_the_palm_in_its_own_frame(chain):
    codes = chain.tokenize(_poses(20, seed=2))
    before, after = (chain.decode(codes, torch.full((20,), known)) for known in (1, 2))
    local = before.rotation.transpose(1, 2) @ (after.translation - before.translation).unsqueeze(-1)
    assert torch.allclose(local.squeeze(-1), chain.translation[1][codes[:, 1]], atol=1e-6)
    turned = before.rotation.transpose(1, 2) @ after.rotation
    assert torch.allclose(turned, chain.rotation[1][codes[:, 1]], atol=1e-5)


def test_codes_are_rigid_motions_and_unknown_codes_move_nothing(chain):
    eye = torch.eye(3).expand_as(chain.rotation)
    assert torch.allclose(chain.rotation @ chain.rotation.transpose(-1, -2), eye, atol=1e-5)
    assert torch.allclose(torch.linalg.det(chain.rotation), torch.ones(4, 64), atol=1e-5)
    start = chain.decode(torch.randint(64, (5, 4)), torch.zeros(5))
    assert torch.equal(start.rotation, torch.eye(3).expand(5, 3, 3)) and not start.translation.any()


def test_distance_of_features_is_way_and_small_turn_at_the_lever():
    still = PalmPose(torch.eye(3)[None], torch.zeros(1, 3))
    angle = torch.tensor(0.02)
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0.0], [angle.sin(), angle.cos(), 0.0], [0.0, 0.0, 1.0]])
    moved = PalmPose(turn[None], torch.tensor([[0.003, 0.0, 0.0]]))
    distance = LEVER * float((features(moved) - features(still)).norm())
    assert distance == pytest.approx((0.003**2 + (0.02 * LEVER) ** 2) ** 0.5, rel=1e-3)


def test_fit_repeats_and_refuses_too_few_poses():
    first, second = PalmChain(2, 16), PalmChain(2, 16)
    for one in (first, second):
        one.fit(_poses(300))
    assert torch.equal(first.translation, second.translation)
    with pytest.raises(DatasetError, match="10 grasps are too few for 16 codes"):
        first.fit(_poses(10))
