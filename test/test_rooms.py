"""What docs/architecture.md says of rooms: data flows one way, deployment needs nothing that makes data or weights."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "maskdex_core"
IMPORT = re.compile(r"^\s*(?:from maskdex_core\.(\w+)|from maskdex_core import (\w+)|import maskdex_core\.(\w+))", re.M)
MAKERS = {"objects", "data", "synthesis", "physics", "metrics", "training", "baselines", "ablations"}


def _rooms() -> dict[str, set[str]]:
    """Return the rooms that each room imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for names in IMPORT.findall(path.read_text(encoding="utf-8")):
            found[room] |= {name for name in names if name} - {room}
    return found


def _reached(rooms: dict[str, set[str]], start: str) -> set[str]:
    """Return all rooms that a room needs, those that others need for it included."""
    known: set[str] = set()
    todo = set(rooms[start])
    while todo:
        room = todo.pop()
        known.add(room)
        todo |= rooms.get(room, set()) - known
    return known


def test_no_room_needs_itself_through_others():
    rooms = _rooms()
    assert len(rooms) > 20
    around = [room for room in rooms if room in _reached(rooms, room)]
    assert not around, f"import each other, directly or not: {', '.join(sorted(around))}"


@pytest.mark.parametrize("room", ["planner", "perception", "grasp", "refine", "retarget", "motion"])
def test_the_deployed_path_needs_nothing_that_makes_data_or_weights(room):
    assert not _reached(_rooms(), room) & MAKERS
