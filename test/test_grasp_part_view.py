"""What parts see of the object from where they are."""

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


def _view():
    return tiny_model(tokenizer=PALM_FRAME, view_points=8, view_width=16).network.view


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
