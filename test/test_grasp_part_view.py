"""What parts see of the object from where they are."""

import dataclasses

import pytest
import torch
from grasp_model_support import PALM_FRAME, shadow, tiny_model

from maskdex_core.grasp import PalmPose
from maskdex_core.grasp.part_view import NEAR, PlacedPoints, nearest_surface
from maskdex_core.grasp.rotation import rotation_about_z
from maskdex_core.grasp.tokenizer import KnownHand


def _known(palm: PalmPose, placed: bool = True, posed: bool = False) -> KnownHand:
    hand, batch = shadow(), len(palm.translation)
    share = torch.full((batch, 22), 0.3)
    parts = torch.full((batch, 6), posed)
    parts[:, 0] = False
    return KnownHand(palm, hand.lower + share * (hand.upper - hand.lower), torch.full((batch,), placed), parts)


def _view(values: int = 0):
    model = tiny_model(tokenizer=PALM_FRAME, view_points=8, view_width=16, touch_width=32 * values)
    return model.network.view


def _seed() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def _cloud(batch: int = 1) -> torch.Tensor:
    return 0.05 * torch.randn(batch, 40, 3, generator=torch.Generator().manual_seed(4))


def test_the_nearest_point_its_direction_and_the_gap_along_the_normal():
    cloud = torch.tensor([[[0.0, 0.0, 0.03], [0.5, 0.5, 0.5]]])
    palm = PalmPose(torch.eye(3)[None], torch.zeros(1, 3))
    point, normal = torch.zeros(1, 1, 1, 3), torch.tensor([0.0, 0.0, -1.0]).view(1, 1, 1, 3)
    seen = nearest_surface(cloud, _known(palm), PlacedPoints(point, normal))[0, 0, 0]
    assert torch.allclose(seen[:3], torch.tensor([0.0, 0.0, 0.03 / (0.03 + NEAR)]), atol=1e-6)
    assert torch.allclose(seen[3:5], torch.tensor([-0.03 / 0.02, -0.03 / 0.005]).exp(), atol=1e-6)
    assert torch.isclose(seen[5], torch.tensor(-0.03 / 0.035))


def test_a_view_moves_with_palm_and_object_together():
    view, cloud = _view(), _cloud()
    turn, way = rotation_about_z(torch.tensor([0.7])), torch.tensor([[0.02, -0.03, 0.05]])
    still = PalmPose(torch.eye(3)[None], torch.zeros(1, 3))
    moved = PalmPose(turn, way)
    there = cloud @ turn.transpose(1, 2) + way.unsqueeze(1)
    placed = [view._placed(_known(palm, posed=True), shadow()) for palm in (still, moved)]
    first = nearest_surface(cloud, _known(still), placed[0])
    second = nearest_surface(there, _known(moved), placed[1])
    assert torch.allclose(first, second, atol=1e-4)


def test_a_posed_finger_looks_from_its_own_skin():
    view, hand = _view(), shadow()
    palm = PalmPose(torch.eye(3)[None], torch.zeros(1, 3))
    reach, posed = (view._placed(_known(palm, posed=value), hand) for value in (False, True))
    assert torch.equal(reach.point[0, 0], posed.point[0, 0]) and not reach.normal.any()
    skin = hand.surface_points(_known(palm).joints)[0]
    for part in range(1, 6):
        gap = torch.cdist(posed.point[0, part], skin[hand.surface_part == part]).min(1).values
        assert gap.max() < 1e-4  # cdist rounds
    assert torch.allclose(posed.normal[0, 1:].norm(dim=-1), torch.ones(5, 8), atol=1e-4)


def test_an_unknown_palm_poses_nothing():
    view, hand = _view(), shadow()
    palm = PalmPose(torch.eye(3)[None], torch.zeros(1, 3))
    unknown = view._placed(_known(palm, placed=False, posed=True), hand)
    assert torch.equal(unknown.point[0], view.points[0]) and not unknown.normal.any()


def test_dropped_rows_see_nothing_of_object_or_palm():
    view, hand = _view(), shadow()
    palm = PalmPose(rotation_about_z(torch.tensor([0.1, 2.0, 3.0])), 0.1 * torch.randn(3, 3))
    dropped = torch.tensor([True, False, True])
    seen = view(_cloud(3), _known(palm), hand, dropped)
    assert torch.equal(seen[0], seen[2]) and not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("values", [0, 1])
def test_a_view_is_the_same_whether_other_states_are_met_beside_it_or_not(values):
    """Layers of states that no row is in are left out; in a batch of all three none is."""
    view = _view(values)
    palm = PalmPose(rotation_about_z(torch.tensor([0.1, 2.0, 3.0])), 0.1 * torch.randn(3, 3, generator=_seed()))
    cloud, dropped = _cloud(3), torch.zeros(3, dtype=torch.bool)
    carried = torch.rand(3, 40, 1, generator=_seed()) if values else None
    states = {"unknown": (False, False), "reaching": (True, False), "posed": (True, True)}
    known = _known(palm)
    known = dataclasses.replace(
        known,
        placed=torch.tensor([placed for placed, _ in states.values()]),
        posed=torch.stack([known.posed[0] | (torch.arange(6) > 0) & posed for _, posed in states.values()]),
    )
    together = view(cloud, known, shadow(), dropped, carried)
    for row, state in enumerate(states):
        own = slice(row, row + 1)
        alone = view(cloud[own], known[own], shadow(), dropped[own], None if carried is None else carried[own])
        assert torch.allclose(alone, together[own], atol=1e-5), state
    assert (together[0] - together[1]).abs().max() > 1e-3 and (together[1] - together[2]).abs().max() > 1e-3


def test_what_the_nearest_point_carries_is_seen():
    cloud = torch.tensor([[[0.0, 0.0, 0.03], [0.0, 0.0, -0.05]]])
    palm = PalmPose(torch.eye(3)[None], torch.zeros(1, 3))
    places = torch.tensor([[0.0, 0.0, 0.01], [0.0, 0.0, -0.03]]).view(1, 1, 2, 3)
    carried = torch.tensor([[[0.9], [0.2]]])
    seen = nearest_surface(cloud, _known(palm), PlacedPoints(places, torch.zeros_like(places)), carried)
    assert seen.shape == (1, 1, 2, 7)
    assert torch.allclose(seen[0, 0, :, 6], torch.tensor([0.9, 0.2]))
