"""What the ROS tests share: a domain of their own, child processes, and a client of the node."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parent.parent
FAKE_NODE = CHECKOUT / "test" / "fake_planner_node.py"
CAMERA_POSE = (
    "base_from_camera.translation:=[0.0,0.0,1.0]",
    "base_from_camera.quaternion_xyzw:=[1.0,0.0,0.0,0.0]",
)


def load_ros_libraries(config: Any) -> None:
    """Start pytest again with the library path of the ROS wheels, unless it has it.

    The wheels do that themselves on `import rclpy`, but by then pytest holds stdout, and a worker of
    pytest-xdist its pipe to the controller; both would be lost.
    """
    from maskdex_ros.environment import ros_environment, wheels_installed

    os.environ.update(ros_environment())
    if not wheels_installed():
        return
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(in_=True)
    sys.stdout.flush()
    importlib.import_module("ros_wheels_bootstrapper")  # replaces this process, the first time
    if capture is not None:
        capture.resume_global_capture()


def a_bag() -> Path:
    """Return the bag that every checkout carries."""
    return CHECKOUT / "data" / "demo_scene" / "bag"


def node_command(*parameters: str, program: str | None = None) -> list[str]:
    """Return the command of the node with parameters given as `name:=value`."""
    start = ["-m", program] if program else [str(FAKE_NODE)]
    command = [sys.executable, *start, "--ros-args"]
    for parameter in parameters:
        command += ["-p", parameter]
    return command


@contextmanager
def process(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a child and make sure that it is gone at the end."""
    child = subprocess.Popen(
        command, env=environment, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


class Client:
    """A third participant: drives the lifecycle, publishes input and hears every output."""

    def __init__(self, domain_id: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context_domain = domain_id
        self.context = rclpy.context.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = rclpy.create_node("client", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.heard: dict[str, list[Any]] = {}
        self._publishers: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}

    def close(self) -> None:
        import rclpy

        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def listen(self, kind: type, topic: str, latched: bool = False, reliable: bool = True) -> None:
        from maskdex_ros.qos import profile

        messages = self.heard.setdefault(topic, [])
        self.node.create_subscription(kind, topic, messages.append, profile(10, reliable, latched))

    def listen_to_node(self) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from geometry_msgs.msg import PoseArray
        from sensor_msgs.msg import PointCloud2
        from std_msgs.msg import String
        from trajectory_msgs.msg import JointTrajectory
        from visualization_msgs.msg import MarkerArray

        self.listen(String, "/maskdex/report", latched=True)
        self.listen(String, "/maskdex/stage")
        self.listen(MarkerArray, "/maskdex/markers")
        self.listen(PointCloud2, "/maskdex/object_points")
        self.listen(PoseArray, "/maskdex/grasp_poses")
        self.listen(JointTrajectory, "/arm_controller/joint_trajectory")
        self.listen(JointTrajectory, "/hand_controller/joint_trajectory")
        self.listen(DiagnosticArray, "/diagnostics")

    def reports(self) -> list[dict[str, Any]]:
        return [json.loads(message.data) for message in self.heard["/maskdex/report"]]

    def spin_until(self, condition: Callable[[], Any], timeout: float = 40.0, what: str = "") -> Any:
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < deadline, f"timed out waiting for {what or condition}; heard {self.summary()}"
            self.executor.spin_once(timeout_sec=0.05)

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)

    def summary(self) -> str:
        counts = {topic: len(messages) for topic, messages in self.heard.items()}
        return f"{counts}, last reports {self.reports()[-3:]}"

    def call(self, kind: type, name: str, request: Any, timeout: float = 60.0) -> Any:
        return self.wait(self.call_async(kind, name, request), timeout, name)

    def call_async(self, kind: type, name: str, request: Any) -> Any:
        client = self._clients.get(name) or self.node.create_client(kind, name)
        self._clients[name] = client
        self.spin_until(client.service_is_ready, 60.0, f"service {name}")
        return client.call_async(request)

    def wait(self, future: Any, timeout: float = 60.0, what: str = "answer") -> Any:
        self.spin_until(future.done, timeout, what)
        return future.result()

    def trigger(self, name: str, timeout: float = 60.0) -> Any:
        return self.wait(self.trigger_async(name), timeout, name)

    def trigger_async(self, name: str) -> Any:
        from std_srvs.srv import Trigger

        return self.call_async(Trigger, f"/maskdex/{name}", Trigger.Request())

    def change_state(self, label: str, timeout: float = 60.0) -> bool:
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request(transition=Transition(label=label))
        return self.call(ChangeState, "/maskdex/change_state", request, timeout).success

    def state(self) -> str:
        from lifecycle_msgs.srv import GetState

        return self.call(GetState, "/maskdex/get_state", GetState.Request()).current_state.label

    def set_parameters(self, **values: Any) -> list[Any]:
        """Set parameters; `__` in a name stands for a dot."""
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        changes = [Parameter(name.replace("__", "."), value=value).to_parameter_msg() for name, value in values.items()]
        request = SetParameters.Request(parameters=changes)
        return self.call(SetParameters, "/maskdex/set_parameters", request).results

    def publish(self, message: Any, topic: str, depth: int = 1) -> None:
        """Publish once the node listens."""
        from maskdex_ros.qos import profile

        publisher = self._publishers.get(topic)
        if publisher is None:
            publisher = self.node.create_publisher(type(message), topic, profile(depth))
            self._publishers[topic] = publisher
            self.spin_until(lambda: publisher.get_subscription_count() > 0, what=f"a subscriber of {topic}")
            # The other side learns of this publisher a moment later; best effort does not wait for it.
            self.spin_for(0.3)
        publisher.publish(message)
        if topic != "/task_text":
            self.spin_for(0.15)  # topics overtake each other, and a text plans on what came before it

    def say(self, text: str) -> None:
        from std_msgs.msg import String

        self.publish(String(data=text), "/task_text")

    def stand_at(self, positions: dict[str, float]) -> None:
        from sensor_msgs.msg import JointState

        self.publish(JointState(name=list(positions), position=list(positions.values())), "/joint_states")

    def next_report(self, act: Callable[[], Any], timeout: float = 40.0) -> dict[str, Any]:
        """Do something and return the first report that comes after it."""
        before = len(self.heard["/maskdex/report"])
        act()
        self.spin_until(lambda: len(self.heard["/maskdex/report"]) > before, timeout, "a report")
        return self.reports()[before]


def cloud_message(points: np.ndarray | None = None) -> Any:
    """Return a valid small cloud: a plane 1 m before the camera, or the given (N, 3) points."""
    from builtin_interfaces.msg import Time

    from maskdex_ros.conversions import points_message

    if points is None:
        grid = np.linspace(-0.2, 0.2, 30)
        x, y = np.meshgrid(grid, grid)
        points = np.stack([x.ravel(), y.ravel(), np.full(x.size, 1.0)], axis=1)
    return points_message(points, "camera", Time())
