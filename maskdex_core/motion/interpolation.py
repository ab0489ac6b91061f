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
    coefficients = _coefficients(h, positions, velocities, accelerations)
    u = np.linspace(0.0, 1.0, samples)
    out = [np.einsum("kp,ptj->tkj", _basis(samples, order), coefficients) / h[:, None] ** order for order in range(4)]
    return DenseMotion(times[:-1, None] + span[:, None] * u, *out)


def motion_at(
    times: np.ndarray,
    positions: np.ndarray,
    velocities: np.ndarray,
    accelerations: np.ndarray,
    instants: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the controller's positions, velocities and accelerations (K, J) at any instants (K,) s.

    Args:
        times: (T,) s, strictly increasing; instants outside are taken at its ends.
        positions, velocities, accelerations: (T, J).
    """
    span = np.diff(times)
    coefficients = _coefficients(span[:, None], positions, velocities, accelerations)
    segment = np.clip(np.searchsorted(times, instants, side="right") - 1, 0, len(span) - 1)
    u = np.clip((instants - times[segment]) / span[segment], 0.0, 1.0)
    chosen, h = coefficients[:, segment], span[segment][:, None]  # (6, K, J), (K, 1)
    out = [np.einsum("kp,pkj->kj", _powers(u, order), chosen) / h**order for order in range(3)]
    return out[0], out[1], out[2]


def _coefficients(
    h: np.ndarray, positions: np.ndarray, velocities: np.ndarray, accelerations: np.ndarray
) -> np.ndarray:
    """Return the quintics' coefficients (6, T-1, J) in the share u of each segment, 0 to 1."""
    q0, q1 = positions[:-1], positions[1:]
    v0, v1 = velocities[:-1] * h, velocities[1:] * h
    a0, a1 = accelerations[:-1] * h**2, accelerations[1:] * h**2
    move, speed, bend = q1 - q0 - v0 - a0 / 2.0, v1 - v0 - a0, a1 - a0
    c3 = 10.0 * move - 4.0 * speed + bend / 2.0
    c4 = -15.0 * move + 7.0 * speed - bend
    c5 = 6.0 * move - 3.0 * speed + bend / 2.0
    return np.stack([q0, v0, a0 / 2.0, c3, c4, c5])


@lru_cache
def _basis(samples: int, order: int) -> np.ndarray:
    """Return d^order/du^order of u^0 .. u^5 at equally spaced u from 0 to 1, (K, 6)."""
    return _powers(np.linspace(0.0, 1.0, samples), order)


def _powers(u: np.ndarray, order: int) -> np.ndarray:
    """Return d^order/du^order of u^0 .. u^5 at u (K,), (K, 6)."""
    basis = np.zeros((len(u), 6))
    for power in range(order, 6):
        factor = np.prod(np.arange(power - order + 1, power + 1))
        basis[:, power] = factor * u ** (power - order)
    return basis
