"""Q1: the largest disturbance, in any direction of force and torque, that a grasp's contacts resist.

Definition as in DGTR. The hand's skin is 1024 points. A link touches with its deepest point, if that lies
within 10 mm of the object; the contact is the object's nearest point with its inward normal n. Each
contact pushes along the eight edges f = n + μ t of its friction cone, μ = 1, with torque 10 (p × f), p in
m from the object's origin: the mean of its points. Q1 is the distance from zero to the nearest facet of
the convex hull of all these wrenches and zero, at most 1; it is 0 where zero is not inside.

Index legend: B grasps, N hand points, C contacts of one grasp, P object points, W wrenches.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import nnls
from scipy.spatial import ConvexHull, KDTree, QhullError

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.pose import HandPose

HAND_POINTS = 1024
REACH = 0.010  # m from the object that counts as contact
FRICTION = 1.0
EDGES = 8
TORQUE_SCALE = 10.0  # 1/m
BEST = 1.0
DEEPEST = 5.0  # mm of penetration from which a grasp's quality is none
OUTSIDE = 1e-6  # residual of zero as a mix of wrenches, above which it lies outside their hull


def q1(hand: HandModel, pose: HandPose, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Return Q1 (B,) of grasps on one object.

    Args:
        pose: B grasps.
        points: (P, 3) m on the object, object frame, a few thousand. normals: (P, 3) outward.
    """
    select = torch.linspace(0, len(hand.surface_link) - 1, HAND_POINTS).long()
    with torch.no_grad():
        skin = pose.to_object(hand.surface_points(pose.joints, select)).numpy()
    link, tree, origin = hand.surface_link[select].numpy(), KDTree(points), points.mean(0)
    quality = np.zeros(len(pose))
    for row in range(len(pose)):
        touched = link_contacts(skin[row], link, tree, normals)
        quality[row] = hull_radius(contact_wrenches(points[touched] - origin, -normals[touched]))
    return quality


def valid_q1(quality: np.ndarray, pen_mm: np.ndarray) -> np.ndarray:
    """Return Q1 (B,), 0 where the penetration (B,) reaches 5 mm."""
    return np.where(pen_mm < DEEPEST, quality, 0.0)


def link_contacts(skin: np.ndarray, link: np.ndarray, tree: KDTree, normals: np.ndarray) -> np.ndarray:
    """Return the indices (C,) of the object points that one grasp's links touch.

    Args:
        skin: (N, 3) m, hand points in the object frame. link: (N,) link of each.
        tree: of the object's points. normals: (P, 3) outward.
    """
    distance, nearest = (np.asarray(found) for found in tree.query(skin, distance_upper_bound=REACH))
    near = np.flatnonzero(np.isfinite(distance))
    nearest = nearest[near]
    offset = skin[near] - tree.data[nearest]
    depth = -np.copysign(distance[near], (offset * normals[nearest]).sum(-1))
    order = np.lexsort((-depth, link[near]))  # by link, deepest first
    _, first = np.unique(link[near][order], return_index=True)
    return nearest[order[first]]


def contact_wrenches(arms: np.ndarray, inward: np.ndarray) -> np.ndarray:
    """Return the wrenches (8 C, 6) at the edges of the friction cones, force then scaled torque.

    Args:
        arms: (C, 3) m from the object's origin to the contacts. inward: (C, 3) unit normals into it.
    """
    helper = np.take(np.eye(3), np.abs(inward).argmin(-1), axis=0)
    first = np.cross(inward, helper)
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    second = np.cross(inward, first)
    angle = 2 * np.pi * np.arange(EDGES)[:, None, None] / EDGES
    force = inward + FRICTION * (np.cos(angle) * first + np.sin(angle) * second)
    torque = TORQUE_SCALE * np.cross(np.broadcast_to(arms, force.shape), force)
    return np.concatenate([force, torque], -1).reshape(-1, 6)


def hull_radius(wrenches: np.ndarray) -> float:
    """Return the distance from zero to the nearest facet of the hull of wrenches (W, 6) and zero, at most 1."""
    if len(wrenches) < 7 or np.linalg.matrix_rank(wrenches) < 6 or not _encloses_zero(wrenches):
        return 0.0  # zero is then a corner of the hull, or the hull is flat
    try:
        hull = ConvexHull(wrenches)
    except QhullError:  # nearly flat: joggled until it is not
        hull = ConvexHull(wrenches, qhull_options="QJ")
    return float(np.clip(-hull.equations[:, -1].max(), 0.0, BEST))


def _encloses_zero(wrenches: np.ndarray) -> bool:
    """Return whether zero is a convex combination of wrenches (W, 6)."""
    system = np.vstack([wrenches.T, np.ones(len(wrenches))])
    _, residual = nnls(system, np.append(np.zeros(6), 1.0))
    return residual < OUTSIDE
