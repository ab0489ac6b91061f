"""From the network's voxels to a distance field along base axes."""

from __future__ import annotations

import numpy as np
import pytest
from perception_scenes import box, camera, capture, cup, placed, signed_distance, table

from maskdex_core.errors import CloudError
from maskdex_core.perception import learned_completion
from maskdex_core.perception.completion_network import CompletionNetwork
from maskdex_core.perception.distance_field import continued
from maskdex_core.perception.learned_completion import close_by_network
from maskdex_core.perception.segment import segment


def test_untrained_it_closes_as_the_rule_does():
    mesh = placed(box())
    scene = segment(capture([mesh, table()], camera(35))[0])
    closed = close_by_network(scene, CompletionNetwork())
    near = np.random.default_rng(0).uniform(mesh.bounds[0] - 0.02, mesh.bounds[1] + 0.02, (3000, 3))
    near = near[near[:, 2] > 0.004]
    error = np.abs(closed.distance(near) - signed_distance(mesh, near))
    assert np.quantile(error, 0.9) < 0.005
    assert closed.error is not None and closed.error.shape == closed.sdf.shape
    assert 0.8 < closed.volume / mesh.volume < 1.2


def test_what_was_seen_stays_solid_whatever_the_network_says(monkeypatch):
    scene = segment(capture([placed(cup()), table()], camera(60))[0])

    def all_free(network, channels):
        return np.ones(channels.shape[1:], np.float32), np.ones(channels.shape[1:], np.float32)

    monkeypatch.setattr(learned_completion, "complete", all_free)
    closed = close_by_network(scene, CompletionNetwork())
    assert np.median(np.abs(closed.distance(scene.object_points))) < 0.003


def test_beyond_the_band_the_distance_goes_on():
    axis = np.arange(40) * 0.002 - 0.03
    places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    truth = (np.linalg.norm(places, axis=-1) - 0.02).astype(np.float32)
    found = continued(np.clip(truth, -0.006, 0.006), 0.002, 0.005)
    assert np.abs(found - truth).max() < 0.003
    assert np.array_equal(found < 0, truth < 0)


def test_a_field_without_a_surface_is_refused():
    with pytest.raises(CloudError, match="no volume"):
        continued(np.ones((4, 4, 4), np.float32), 0.002, 0.005)
