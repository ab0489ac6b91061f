"""What the judge of holding reads: features that mean what their names say."""

import torch
from held_grasps import held_grasps

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import Contacts, HandOnObject
from maskdex_core.refine.features import FEATURES, UNSEEN, firmness, hold_features
from maskdex_core.refine.squeeze import solve_closing


def _features(seen=None):
    grasp, hand = held_grasps()["carton"], HandModel.load("shadow")
    scene = HandOnObject(hand, grasp.target.sdf, 0.0)
    pose = grasp.pose
    points = torch.tensor(grasp.target.sample_surface(2000)[0], dtype=torch.float32) if seen is None else seen
    made = hold_features(scene, pose, solve_closing(scene, pose), points)
    return dict(zip(FEATURES, made[0].tolist(), strict=True))


def test_a_good_grasp_looks_like_one():
    found = _features()
    assert found["wrench left over (log)"] < -2.5
    assert found["thumb carries"] == 1.0 and found["fingers that carry"] >= 0.4
    assert 0.0 < found["largest share of the force"] < 0.9
    assert found["closing direction of the forces"] < 0.5  # thumb and fingers oppose each other
    assert found["contacts away from what was seen"] < 0.2


def test_contacts_on_a_guessed_surface_are_told():
    far = torch.full((1, 3), 5.0)
    assert abs(_features(far)["contacts away from what was seen"] - 1.0) < 1e-4
    assert UNSEEN > 0


def test_spread_contacts_are_firmer_than_one_point():
    def contacts(points):
        points = torch.tensor(points)[None]
        normal = torch.nn.functional.normalize(points + 1e-3, dim=-1)
        return Contacts(torch.zeros(1, 3), points, normal, torch.zeros(1, 3, dtype=torch.int64))

    share = torch.full((1, 3), 1 / 3)
    spread = firmness(contacts([[0.03, 0.0, 0.0], [-0.02, 0.03, 0.0], [-0.01, -0.03, 0.0]]), share)
    line = firmness(contacts([[0.03, 0.0, 0.0], [0.0, 0.0, 0.0], [-0.03, 0.0, 0.0]]), share)
    assert spread > line + 1.0  # a line of contacts resists no torque about itself
