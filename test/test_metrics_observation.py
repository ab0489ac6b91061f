"""What tests show of an object: how near the shown geometry is to the true one."""

import numpy as np
import pytest
import torch

from maskdex_core.antipodal.observed import FieldSurface, antipodal_starts
from maskdex_core.cli import evaluate
from maskdex_core.errors import UsageError
from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.observation import OBSERVATIONS, observe
from maskdex_core.objects.procedural import make_object
from maskdex_core.refine.contacts import HandOnObject

TARGET = make_object("can", 3)


def _error(geometry) -> torch.Tensor:
    """Distance that the shown field gives to points on the true surface, m."""
    points = TARGET.sample_surface(500, seed=5)[0] - geometry.center
    return geometry.sdf.query(torch.tensor(points, dtype=torch.float32))[0].abs()


@pytest.mark.parametrize(("kind", "median", "points"), [("full", 0.0005, 0.002), ("noisy", 0.0015, 0.006)])
def test_an_all_round_cloud_shows_the_true_surface(kind, median, points):
    geometry = observe(TARGET, kind, np.random.default_rng(0))
    assert float(_error(geometry).median()) < median
    off = TARGET.sdf.moved(geometry.center).query(geometry.points)[0].abs()
    assert float(off.max()) < points and geometry.points.mean(0).abs().max() < 1e-5
    assert geometry.table_height == pytest.approx(-float(geometry.center[2]))


def test_a_single_view_shows_one_side():
    geometry = observe(TARGET, "view", np.random.default_rng(0))
    direction = torch.nn.functional.normalize(geometry.points[:, :2], dim=-1).mean(0)
    assert float(direction.norm()) > 0.2  # an all-round cloud has none
    assert float(_error(geometry).median()) < 0.01


def test_a_view_is_closed_by_rule_and_network_or_by_one_of_them():
    both, rule, network = (
        observe(TARGET, kind, np.random.default_rng(0)) for kind in ("view", "view_by_rule", "view_by_network")
    )
    assert torch.equal(both.points, rule.points) and torch.equal(both.points, network.points)
    places = 0.1 * torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) - 0.05
    by_network, by_rule = both.sdf.query(places)[0], both.second.query(places)[0]
    assert not torch.allclose(by_network, by_rule, atol=1e-3)
    assert torch.equal(rule.sdf.query(places)[0], by_rule) and rule.second is None
    assert torch.equal(network.sdf.query(places)[0], by_network) and network.second is None


def test_the_command_knows_every_observation():
    assert evaluate.OBSERVATIONS == OBSERVATIONS


def test_an_unknown_observation_names_the_known_ones():
    with pytest.raises(UsageError, match="observation 'half' is unknown; known: full, noisy, view, view_by_network"):
        observe(TARGET, "half", np.random.default_rng(0))


def test_the_baseline_starts_on_the_shown_surface():
    geometry = observe(TARGET, "full", np.random.default_rng(0))
    points, normals, _ = FieldSurface(geometry.sdf).sample_surface(200)
    distance = geometry.sdf.query(torch.tensor(points, dtype=torch.float32))[0]
    assert float(distance.abs().max()) < 5e-4
    assert np.allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)
    scene = HandOnObject(HandModel.load("shadow"), geometry.sdf, geometry.table_height)
    start = antipodal_starts(scene, 10, seed=0)
    assert len(start) == 10
    again = antipodal_starts(scene, 10, seed=0)
    assert torch.equal(start.translation, again.translation)
