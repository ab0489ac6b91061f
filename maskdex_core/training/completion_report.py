"""What a completion network is worth on objects that nobody trained on, beside the rule."""

from __future__ import annotations

from dataclasses import astuple
from itertools import count

import numpy as np

from maskdex_core.errors import CloudError
from maskdex_core.metrics.completed_shape import ShapeError, shape_error
from maskdex_core.objects.procedural import FAMILIES, make_object
from maskdex_core.perception.completion import close_geometry
from maskdex_core.perception.completion_network import CompletionNetwork
from maskdex_core.perception.learned_completion import close_by_network
from maskdex_core.perception.rendered_view import draw_scene
from maskdex_core.synthesis.assemble import split_of
from maskdex_core.training.completion_shapes import solid_of

SURFACE = 3000
NAMES = ("chamfer_mm", "sdf_mm", "iou")


def completion_report(network: CompletionNetwork, families: tuple[str, ...] = tuple(FAMILIES)) -> dict[str, float]:
    """Return mean errors of rule and network, one noisy view each of one held-out object a family.

    Args:
        network: to be measured. families: of procedural objects.
    """
    rule, learned = [], []
    for family in families:
        target = make_object(family, next(seed for seed in count() if split_of(family, seed) != "train"))
        solid = solid_of(target)
        scene = draw_scene(solid.mesh, np.random.default_rng(1))
        if scene is None:
            continue
        surface = target.sample_surface(SURFACE)[0]
        try:
            pair = [close_geometry(scene), close_by_network(scene, network)]
        except CloudError:  # too little of it was seen, by either
            continue
        for errors, closed in zip((rule, learned), pair, strict=True):
            errors.append(shape_error(closed, solid.distance, surface))
    found = {"objects": float(len(rule))}
    for kind, errors in (("rule", rule), ("network", learned)):
        found |= {f"{kind}_{name}": value for name, value in zip(NAMES, _means(errors), strict=True)}
    return found


def _means(errors: list[ShapeError]) -> tuple[float, float, float]:
    chamfer, sdf, iou = np.mean([astuple(error) for error in errors], axis=0)
    return float(1e3 * chamfer), float(1e3 * sdf), float(iou)
