"""`docs/ros_interface.md`, from the table in `maskdex_ros.reference.interface`."""

from __future__ import annotations

from collections.abc import Iterable

from maskdex_ros.reference.interface import (
    ACTED,
    ENDPOINTS,
    OUTPUTS,
    PUBLISHED,
    REQUESTED,
    SERVED,
    SUBSCRIBED,
    Endpoint,
    standard_endpoints,
)

HEAD = """\
# The ROS 2 interface of the node `maskdex`

Written from `maskdex_ros/reference/interface.py` by `make reference`; a test compares that table with a running node.
Names are before remapping: `~/plan` is `/maskdex/plan` for a node without a namespace, `points` takes the namespace,
`/diagnostics` does not. All QoS is keep-last. The parameters are in [parameters.md](parameters.md).

The node is a lifecycle node. *configure* loads the model and warms it up, *activate* subscribes; *always* below means
in every state, and a service that needs an active node answers with the reason while it is not. One plan runs at a
time: a request that comes meanwhile is answered with `busy`.
"""
KINDS = {
    SUBSCRIBED: ("Subscribed topics", "topic"),
    PUBLISHED: ("Published topics", "topic"),
    SERVED: ("Services", "service"),
    REQUESTED: ("Services it calls", "service"),
    ACTED: ("Actions it calls", "action"),
}
OUTPUT_HEAD = """
## Ways out: the parameter `output`

What carries a plan to the robot depends on the parameter `output`; `arm_controller` and `hand_controller` below are the
values of the parameters of that name.
"""
STANDARD_HEAD = """
## As of every lifecycle node

"""


def interface_page() -> str:
    """Return docs/ros_interface.md."""
    parts = [HEAD, *_sections(ENDPOINTS, "##"), OUTPUT_HEAD]
    for output in OUTPUTS:
        needs = f" (needs {', '.join(f'`{package}`' for package in output.needs)})" if output.needs else ""
        parts += [f"\n### `{output.choice}`{needs}\n", *_sections(output.endpoints, "####")]
    rows = [f"- {e.kind}: `{e.name}`, `{e.type}` {e.condition}".rstrip() + "\n" for e in standard_endpoints()]
    return "".join([*parts, STANDARD_HEAD, *rows])


def _sections(endpoints: Iterable[Endpoint], level: str) -> list[str]:
    chosen = tuple(endpoints)
    return [_section(kind, [e for e in chosen if e.kind == kind], level) for kind in KINDS]


def _section(kind: str, endpoints: list[Endpoint], level: str) -> str:
    if not endpoints:
        return ""
    title, label = KINDS[kind]
    with_quality = any(endpoint.quality for endpoint in endpoints)
    columns = [label, "type", *(["QoS"] if with_quality else []), "state", "meaning"]
    rows = []
    for endpoint in endpoints:
        quality = [str(endpoint.quality or "")] if with_quality else []
        state = ", ".join(filter(None, (endpoint.when, endpoint.condition)))
        cells = [f"`{endpoint.name}`", f"`{endpoint.type}`", *quality, state, endpoint.meaning]
        rows.append(f"| {' | '.join(cells)} |\n")
    return f"\n{level} {title}\n\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n{''.join(rows)}"
