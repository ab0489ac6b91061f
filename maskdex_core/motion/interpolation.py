"""What a joint trajectory controller does between two points: a quintic in each joint.

joint_trajectory_controller fits, when positions, velocities and accelerations are given, the one
polynomial of degree five that meets all three at both ends. Limits are checked on that motion, because
that is the motion that runs.

Index legend: T points, J joints, K samples a segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class DenseMotion:
    """Motion sampled densely: times (T-1, K) s; the rest (T-1, K, J) rad, rad/s, rad/s^2, rad/s^3."""

    times: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray
    accelerations: np.ndarray
    jerks: np.ndarray


def densify(
    times: np.ndarray,
    positions: np.ndarray,
    velocities: np.ndarray,
    accelerations: np.ndarray,
    samples: int = 9,
) -> DenseMotion:
    """Return the controller's motion on `samples` instants of every segment, both ends included.

    Args:
        times: (T,) s, strictly increasing.
        positions, velocities, accelerations: (T, J).
        samples: K.
    """
    span = np.diff(times)  # (T-1,)
    h = span[:, None]
    q0, q1 = positions[:-1], positions[1:]
    v0, v1 = velocities[:-1] * h, velocities[1:] * h
    a0, a1 = accelerations[:-1] * h**2, accelerations[1:] * h**2
    move, speed, bend = q1 - q0 - v0 - a0 / 2.0, v1 - v0 - a0, a1 - a0
    c3 = 10.0 * move - 4.0 * speed + bend / 2.0
    c4 = -15.0 * move + 7.0 * speed - bend
    c5 = 6.0 * move - 3.0 * speed + bend / 2.0
    coefficients = np.stack([q0, v0, a0 / 2.0, c3, c4, c5])  # (6, T-1, J)
    u = np.linspace(0.0, 1.0, samples)
    out = [np.einsum("kp,ptj->tkj", _basis(samples, order), coefficients) / h[:, None] ** order for order in range(4)]
    return DenseMotion(times[:-1, None] + span[:, None] * u, *out)


@lru_cache
def _basis(samples: int, order: int) -> np.ndarray:
    """Return d^order/du^order of u^0 .. u^5 at equally spaced u from 0 to 1, (K, 6)."""
    u = np.linspace(0.0, 1.0, samples)
    basis = np.zeros((len(u), 6))
    for power in range(order, 6):
        factor = np.prod(np.arange(power - order + 1, power + 1))
        basis[:, power] = factor * u ** (power - order)
    return basis
