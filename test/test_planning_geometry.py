"""From a segmented scene to what the grasp stages know: two closings of the unseen side."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from perception_scenes import box, camera, capture, placed, table

from maskdex_core.errors import CloudError
from maskdex_core.perception.segment import segment
from maskdex_core.planning import geometry
from maskdex_core.planning.geometry import ObjectGeometry


@pytest.fixture(scope="module")
def scene():
    return segment(capture([placed(box()), table()], camera(35))[0])


def test_a_view_is_closed_twice_and_both_agree_on_what_was_seen(scene):
    made = ObjectGeometry.from_scene(scene)
    assert made.second is not None
    seen = made.points[::7]
    for field in (made.sdf, made.second):
        assert float(field.query(seen)[0].abs().median()) < 0.003
    assert not torch.equal(made.sdf.query(seen)[0], made.second.query(seen)[0])


def test_where_the_network_finds_nothing_solid_the_rule_stays(scene, monkeypatch):
    def nothing(scene, network):
        raise CloudError("the object closed to no volume")

    monkeypatch.setattr(geometry, "close_by_network", nothing)
    made = ObjectGeometry.from_scene(scene)
    assert made.second is not None and torch.equal(made.sdf.field, made.second.field)
    assert np.isfinite(made.sdf.field.numpy()).all()
