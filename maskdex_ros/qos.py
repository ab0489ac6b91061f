"""Quality of service of every topic, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

if TYPE_CHECKING:
    from rclpy.node import Node


def profile(depth: int = 1, reliable: bool = True, latched: bool = False) -> QoSProfile:
    """Return a keep-last profile; `latched` keeps the last messages for late subscribers."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def points_profile(node: Node, topic: str, reliability: str) -> QoSProfile:
    """Return the profile of the cloud subscription.

    Args:
        node: asked for the publishers of `topic`.
        topic: as the node resolves it.
        reliability: auto, best_effort or reliable. `auto` is reliable when every publisher found
            is; best effort otherwise, because that subscription is compatible with any publisher.
    """
    if reliability == "auto":
        return profile(reliable=all_reliable(node.get_publishers_info_by_topic(topic)))
    return profile(reliable=reliability == "reliable")


def all_reliable(publishers: list[Any]) -> bool:
    """Return whether there are publishers and all of them offer reliable delivery."""
    offered = [publisher.qos_profile.reliability for publisher in publishers]
    return bool(offered) and all(policy == ReliabilityPolicy.RELIABLE for policy in offered)
