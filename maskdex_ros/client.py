"""A small client of the node: lifecycle, task text, report. It hides futures, QoS and spinning."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from maskdex_core.errors import MaskdexError

Check = Callable[[], None]
DRAIN = 0.1  # s


class ClientTimeout(MaskdexError):
    """The node did not answer in time."""

    exit_code = 1


class GraspClient:
    """Drives a `maskdex` node from another process.

    with GraspClient() as client:
        client.change_state("configure", timeout=60.0)
        client.change_state("activate", timeout=10.0)
        client.send_text("hand over the knife", timeout=10.0)
        report = client.wait_report(timeout=30.0)
    """

    def __init__(self, domain_id: int | None = None, node_name: str = "maskdex") -> None:
        """Join a domain (None: ROS_DOMAIN_ID) and listen to the node's report and stages."""
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from std_msgs.msg import String

        from maskdex_ros.qos import profile

        self.report: dict[str, Any] = {}
        self._texts: Any = None
        self._stages: list[str] = []
        self._name = node_name
        self._context = rclpy.context.Context()
        rclpy.init(context=self._context, domain_id=domain_id)
        self._node = rclpy.create_node(f"{node_name}_client", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._node.create_subscription(String, f"{node_name}/report", self._on_report, profile(latched=True))
        self._node.create_subscription(String, f"{node_name}/stage", self._on_stage, profile(depth=10))

    def __enter__(self) -> GraspClient:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the domain."""
        import rclpy

        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def change_state(self, transition: str, timeout: float, check: Check = lambda: None) -> bool:
        """Run a lifecycle transition and return whether it succeeded.

        Args:
            transition: configure, activate, deactivate, cleanup or shutdown.
            timeout: seconds.
            check: called while waiting; may raise to give up.

        Raises:
            ClientTimeout: when the node does not answer.
        """
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request(transition=Transition(label=transition))
        response = self._call(ChangeState, "change_state", request, timeout, check)
        # The report of a failed transition is a message of its own and may come just after the answer.
        if not response.success:
            self._spin(0.5)
        return bool(response.success)

    def trigger(self, service: str, timeout: float, check: Check = lambda: None) -> tuple[bool, str]:
        """Call plan, resample, execute or cancel; return success and reason.

        Raises:
            ClientTimeout: when the node does not answer.
        """
        from std_srvs.srv import Trigger

        response = self._call(Trigger, service, Trigger.Request(), timeout, check)
        return bool(response.success), str(response.message)

    def send_text(self, text: str, timeout: float, check: Check = lambda: None) -> None:
        """Publish a task text as soon as the node listens.

        Raises:
            ClientTimeout: when it does not.
        """
        from std_msgs.msg import String

        from maskdex_ros.qos import profile

        if self._texts is None:
            self._texts = self._node.create_publisher(String, "task_text", profile())
        self._wait(lambda: self._texts.get_subscription_count() > 0, timeout, "a subscriber of task_text", check)
        self.report = {}
        self._texts.publish(String(data=text))

    def listen(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        """Call `callback` with every message of a topic while one of the other methods waits."""
        from maskdex_ros.qos import profile

        self._node.create_subscription(kind, topic, callback, profile(10))

    def wait_until(self, condition: Callable[[], bool], timeout: float, what: str, check: Check = lambda: None) -> None:
        """Take messages until a condition holds.

        Raises:
            ClientTimeout: when it does not hold in `timeout` (s).
        """
        self._wait(condition, timeout, what, check)

    def wait_stage(self, stage: str, timeout: float, check: Check = lambda: None) -> bool:
        """Wait for a stage of the plan; return False when its report comes first.

        Raises:
            ClientTimeout: when neither comes.
        """
        self._stages.clear()
        self._wait(lambda: stage in self._stages or bool(self.report), timeout, f"stage {stage}", check)
        return stage in self._stages

    def wait_report(
        self,
        timeout: float,
        check: Check = lambda: None,
        on_stage: Callable[[str], None] = lambda stage: None,
    ) -> dict[str, Any]:
        """Wait for the next report that says what became of a plan.

        Raises:
            ClientTimeout: when none comes.
        """

        def tell_stages() -> None:
            while self._stages:
                on_stage(self._stages.pop(0))

        def heard() -> bool:
            tell_stages()
            return self.report.get("status", "busy") != "busy"

        self.report = {}
        self._wait(heard, timeout, "a report", check)
        self._spin(DRAIN)  # topics keep no order among each other: a report may overtake its last stages
        tell_stages()
        return self.report

    def _call(self, kind: Any, service: str, request: Any, timeout: float, check: Check) -> Any:
        started = time.monotonic()
        client = self._node.create_client(kind, f"{self._name}/{service}")
        try:
            self._wait(client.service_is_ready, timeout, f"service {service}", check)
            future = client.call_async(request)
            left = timeout - (time.monotonic() - started)
            self._wait(future.done, left, f"the answer of {service}", check)
            return future.result()
        finally:
            self._node.destroy_client(client)

    def _wait(self, condition: Callable[[], bool], timeout: float, what: str, check: Check) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            check()
            if time.monotonic() > deadline:
                raise ClientTimeout(f"no answer from node {self._name!r}: waited {timeout:.0f} s for {what}")
            self._executor.spin_once(timeout_sec=0.05)

    def _spin(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.05)

    def _on_report(self, message: Any) -> None:
        self.report = json.loads(message.data)

    def _on_stage(self, message: Any) -> None:
        self._stages.append(message.data)
