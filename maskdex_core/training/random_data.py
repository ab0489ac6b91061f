"""Random grasps on random ellipsoids: data for speed and machinery tests, without any meaning."""

from __future__ import annotations

import torch

from maskdex_core.data import GraspDataset, ObjectSurface
from maskdex_core.grasp.rotation import matrix_from_6d
from maskdex_core.grasp.surface import HandSurface

TEXTS = ("grasp it by the handle", "wrap the hand around it", "hand it over", "lift it")


def random_dataset(
    hand: HandSurface,
    grasps: int,
    points: int = 512,
    objects: int = 4,
    texts: int = 4,
    unseen: int = 0,
    seed: int = 0,
) -> GraspDataset:
    """Make G grasps with uniform joints and palms 5 to 15 cm from the centre of an ellipsoid.

    Args:
        hand: gives joint names and limits.
        grasps: number of grasps G.
        points: surface points an object.
        objects: number of objects; grasps take them in turn.
        texts: number of distinct texts; grasps take them in turn.
        unseen: how many of the grasps are marked as unseen.
        seed: of everything drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    surfaces = {}
    for index in range(objects):
        normal = torch.nn.functional.normalize(torch.randn(points, 3, generator=generator), dim=-1)
        radii = 0.02 + 0.05 * torch.rand(3, generator=generator)
        outward = torch.nn.functional.normalize(normal / radii, dim=-1)
        surfaces[f"ellipsoid_{index}"] = ObjectSurface(
            normal * radii, outward, torch.zeros(points, dtype=torch.int64), {}
        )
    count = len(hand.joint_names)
    joints = hand.lower + torch.rand(grasps, count, generator=generator) * (hand.upper - hand.lower)
    rotation = matrix_from_6d(torch.randn(grasps, 6, generator=generator))
    direction = torch.nn.functional.normalize(torch.randn(grasps, 3, generator=generator), dim=-1)
    translation = direction * (0.05 + 0.1 * torch.rand(grasps, 1, generator=generator))
    names = tuple(surfaces)
    rows = range(grasps)
    return GraspDataset.from_table(
        {
            "object": [names[row % objects] for row in rows],
            "split": ["unseen" if row < unseen else "train" for row in rows],
            "texts": [[_text(row % texts)] for row in rows],
            "contact_parts": [[] for _ in rows],
            "joints": list(joints.numpy()),
            "palm_translation": list(translation.numpy()),
            "palm_rotation": list(rotation.flatten(1).numpy()),
        },
        surfaces,
        tuple(hand.joint_names),
        {"version": "random"},
    )


def _text(index: int) -> str:
    return f"{TEXTS[index % len(TEXTS)]}, way {index // len(TEXTS)}"
