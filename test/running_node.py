"""The node in a process of its own, with a client that hears all it says."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from fake_planner_node import ARM, HAND
from ros_support import CAMERA_POSE, Client, node_command, process

from maskdex_ros.environment import free_domain_id, ros_environment

HOME = dict.fromkeys((*ARM, *HAND), 0.1)


@contextmanager
def running_node(*parameters: str, remap: tuple[str, ...] = ()) -> Iterator[Client]:
    """Start the node on a domain of its own; at the end it must leave SIGINT with 0."""
    domain_id = free_domain_id()
    # A busy machine must not make a joint state or a cloud old.
    command = node_command(*parameters, "joint_state_max_age:=60.0", "max_cloud_age:=60.0")
    command += [part for rule in remap for part in ("-r", rule)]
    with process(command, ros_environment(domain_id)) as child:
        client = Client(domain_id)
        try:
            client.listen_to_node()
            yield client
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
            assert child.wait(40) == 0, child.stdout.read() if child.stdout else ""
        finally:
            client.close()


@contextmanager
def active_node() -> Iterator[Client]:
    """Start an active node that assumes the camera's pose and the robot's home."""
    with running_node("autostart:=true", *CAMERA_POSE, "assume_home:=true") as client:
        client.spin_until(lambda: client.state() == "active", what="the active state")
        yield client


def trajectories(client: Client) -> int:
    return sum(len(client.heard[f"/{part}_controller/joint_trajectory"]) for part in ("arm", "hand"))


def stages(client: Client) -> list[str]:
    return [message.data for message in client.heard["/maskdex/stage"]]


def diagnostic_values(node: Client) -> dict[str, str]:
    heard = node.heard["/diagnostics"]
    return {pair.key: pair.value for pair in heard[-1].status[0].values} if heard else {}


def last_problem(node: Client) -> str:
    heard = node.heard["/diagnostics"]
    return heard[-1].status[0].message if heard else ""
