"""Which links touch which part of an object, by where the contacts lie on its visible surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree

from maskdex_core.objects.target_object import TargetObject
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose

CONTACT_REACH = 0.003  # m, from skin to surface
SURFACE_POINTS = 8000
OFF_SURFACE = 0.006  # m; a contact farther from every surface point lies on filled-in geometry


@dataclass(frozen=True)
class TouchedParts:
    """One grasp's contacts in pairs: links, and the part each touches; `real` is False off the visible surface."""

    links: tuple[str, ...]
    parts: tuple[str, ...]
    real: bool


class ContactLabels:
    """Labels contacts on one object."""

    def __init__(self, scene: HandOnObject, target: TargetObject) -> None:
        points, _, self._parts = target.sample_surface(SURFACE_POINTS)
        self._tree, self._names, self._scene = KDTree(points), target.part_names, scene

    def __call__(self, pose: HandPose) -> list[TouchedParts]:
        """Return the contacts of each grasp."""
        with torch.no_grad():
            contacts = self._scene.contacts(pose)
        return [
            self._label(np.flatnonzero(gap < CONTACT_REACH), point)
            for gap, point in zip(contacts.gap.numpy(), contacts.point.numpy(), strict=True)
        ]

    def _label(self, touching: np.ndarray, point: np.ndarray) -> TouchedParts:
        if len(touching) == 0:
            return TouchedParts((), (), False)
        away, nearest = (np.atleast_1d(found) for found in self._tree.query(point[touching]))
        links = tuple(self._scene.hand.spec.contact_links[index] for index in touching)
        parts = tuple(self._names[self._parts[index]] for index in nearest)
        return TouchedParts(links, parts, bool((away < OFF_SURFACE).all()))
