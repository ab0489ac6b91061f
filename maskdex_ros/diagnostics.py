"""What the node says about itself on /diagnostics, once a second."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

STAMP_KEY = "stamp of the cloud [ns]"  # by which a bag's player knows that its cloud has come
# A publisher found this long ago (s) without one cloud arriving is worth a warning.
SILENT_AFTER = 3.0
# So long (s) an event of the surroundings is the news.
NEWS_FOR = 10.0
COUNTED = ("ok", "rejected", "error", "busy", "sent")


@dataclass
class Health:
    """Counters and last events of the node."""

    state: str = "unconfigured"
    working_on: str = ""
    last_error: str = ""
    clouds_received: int = 0
    cloud_age: float | None = None
    cloud_stamp: int | None = None
    max_cloud_age: float = 0.0
    active_for: float = 0.0
    point_publishers: int = 0
    joint_states_received: int = 0
    motion: str = ""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    events: int = 0
    last_event: str = ""
    last_event_at: float = 0.0

    def happened(self, event: str) -> None:
        """Note something that came from outside, such as time that jumped."""
        self.events, self.last_event, self.last_event_at = self.events + 1, event, time.monotonic()

    @property
    def news(self) -> str:
        """The last event while it is young, or the empty string."""
        return self.last_event if time.monotonic() - self.last_event_at < NEWS_FOR else ""

    @property
    def stalled(self) -> bool:
        """Whether clouds came and have stopped for so long that the last one is too old to plan on."""
        return bool(self.cloud_age and self.max_cloud_age and self.cloud_age > self.max_cloud_age)


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
    if health.stalled:
        return "warn", (
            f"clouds have stopped: the latest on points is {health.cloud_age:.1f} s old, "
            f"at most {health.max_cloud_age} s is valid; {health.point_publishers} publishers"
        )
    if health.news:
        return "warn", health.news
    return "ok", f"working on {health.working_on}" if health.working_on else "ready"


def values(health: Health) -> dict[str, str]:
    """Return the key-value pairs of the status."""
    age = "never" if health.cloud_age is None else f"{health.cloud_age:.2f}"
    return {
        "state": health.state,
        "working on": health.working_on,
        "motion": health.motion or "at rest",
        "last error": health.last_error,
        "clouds received": str(health.clouds_received),
        "age of the cloud [s]": age,
        STAMP_KEY: "" if health.cloud_stamp is None else str(health.cloud_stamp),
        "events": str(health.events),
        "last event": health.last_event,
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
