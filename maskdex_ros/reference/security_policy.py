"""`config/sros2/*.policy.xml`: what the node may do, and nothing else, from the interface table.

The format is the policy of sros2, version 0.2.0; `ros2 security create_permission` turns it into DDS
permissions. Permissions hold for names after remapping, so the names are those of grasp.launch.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

from maskdex_ros.reference.interface import (
    ACTED,
    NODE,
    PUBLISHED,
    REQUESTED,
    SERVED,
    SUBSCRIBED,
    Endpoint,
    endpoints,
    resolved,
)

ENCLAVE = f"/{NODE}"
# kind → element of the list, attribute that allows it, element of one entry
RULES = {
    SUBSCRIBED: ("topics", "subscribe", "topic"),
    PUBLISHED: ("topics", "publish", "topic"),
    SERVED: ("services", "reply", "service"),
    REQUESTED: ("services", "request", "service"),
    ACTED: ("actions", "call", "action"),
}
HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<!--
  SROS2 policy of the node `{node}` with output:={output}, as grasp.launch.py starts it with its defaults.
  Written by `make reference` from docs/ros_interface.md's table. Where topics are remapped, change the names here:
  DDS permissions know only the names after remapping.

      ros2 security create_keystore keys
      ros2 security create_enclave keys {enclave}
      ros2 security create_permission keys {enclave} maskdex_{output}.policy.xml
      export ROS_SECURITY_KEYSTORE=$PWD/keys ROS_SECURITY_ENABLE=true ROS_SECURITY_STRATEGY=Enforce
      ros2 launch maskdex_ros grasp.launch.py enclave:={enclave}
-->
"""


def security_policy(output: str, remapped: Mapping[str, str]) -> str:
    """Return the policy of a node with one choice of `output`.

    Args:
        output: choice of the parameter `output`.
        remapped: name in the code → name after remapping.
    """
    allowed = endpoints(output)
    lists = "".join(_list(kind, [e for e in allowed if e.kind == kind], remapped) for kind in RULES)
    return (
        HEAD.format(node=NODE, enclave=ENCLAVE, output=output)
        + '<policy version="0.2.0">\n  <enclaves>\n'
        + f'    <enclave path="{ENCLAVE}">\n      <profiles>\n        <profile ns="/" node="{NODE}">\n'
        + lists
        + "        </profile>\n      </profiles>\n    </enclave>\n  </enclaves>\n</policy>\n"
    )


def _list(kind: str, chosen: list[Endpoint], remapped: Mapping[str, str]) -> str:
    if not chosen:
        return ""
    group, attribute, entry = RULES[kind]
    names = sorted(remapped.get(endpoint.name) or resolved(endpoint.name) for endpoint in chosen)
    rows = "".join(f"            <{entry}>{escape(name)}</{entry}>\n" for name in names)
    return f'          <{group} {attribute}="ALLOW">\n{rows}          </{group}>\n'
