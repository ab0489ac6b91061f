"""What the node says about itself on /diagnostics, once a second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# A publisher found this long ago (s) without one cloud arriving is worth a warning.
SILENT_AFTER = 3.0
COUNTED = ("ok", "rejected", "error", "busy", "sent")


@dataclass
class Health:
    """Counters and last events of the node."""

    state: str = "unconfigured"
    working_on: str = ""
    last_error: str = ""
    clouds_received: int = 0
    cloud_age: float | None = None
    active_for: float = 0.0
    point_publishers: int = 0
    joint_states_received: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))


def summary(health: Health) -> tuple[str, str]:
    """Return level (ok | warn | error) and the sentence that matters most now."""
    if health.state != "active":
        return "ok", f"{health.state}: not accepting work"
    if health.point_publishers and not health.clouds_received and health.active_for > SILENT_AFTER:
        return "warn", (
            "a publisher exists on points but nothing arrives: set the Fast DDS shared memory profile "
            "(config/fastdds_shm.xml) in the publisher's environment"
        )
    if not health.point_publishers and not health.clouds_received:
        return "warn", "nobody publishes on points"
    if health.last_error:
        return "error", health.last_error
    return "ok", f"working on {health.working_on}" if health.working_on else "ready"


def values(health: Health) -> dict[str, str]:
    """Return the key-value pairs of the status."""
    age = "never" if health.cloud_age is None else f"{health.cloud_age:.2f}"
    return {
        "state": health.state,
        "working on": health.working_on,
        "last error": health.last_error,
        "clouds received": str(health.clouds_received),
        "age of the cloud [s]": age,
        "publishers on points": str(health.point_publishers),
        "joint states received": str(health.joint_states_received),
        **{f"reports {status}": str(count) for status, count in health.counts.items() if status != "sent"},
        "trajectories sent": str(health.counts["sent"]),
    }


def diagnostic_array(health: Health, name: str, stamp: Any) -> Any:
    """Return the diagnostic_msgs/DiagnosticArray of the node `name`."""
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
    from std_msgs.msg import Header

    level, message = summary(health)
    codes = {"ok": DiagnosticStatus.OK, "warn": DiagnosticStatus.WARN, "error": DiagnosticStatus.ERROR}
    pairs = [KeyValue(key=key, value=value) for key, value in values(health).items()]
    status = DiagnosticStatus(
        level=codes[level], name=f"{name}: planner", message=message, hardware_id="maskdex", values=pairs
    )
    return DiagnosticArray(header=Header(stamp=stamp), status=[status])
