"""One planning job without ROS around it: what goes in, what comes out, and every way it can fail."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from maskdex_core.errors import ConfigError, MaskdexError, PlanCancelled
from maskdex_ros.parameters import NodeParameters

if TYPE_CHECKING:
    from maskdex_core.motion.types import RobotState

REPORTED_TEXT = 1000  # characters of a refused text that the report repeats
Stage = Callable[[str], None]
Cancelled = Callable[[], bool]


@dataclass(frozen=True)
class CloudUse:
    """Which cloud a plan stands on, and how old it was when the planner took it.

    Attributes:
        stamp: of its header, ns. lag: s from the stamp to its arrival, by the node's clock.
        age: s from its arrival to the start of the plan.
    """

    stamp: int
    lag: float
    age: float

    def report(self) -> dict[str, Any]:
        """Return the entry `cloud` of the node's report."""
        return {"stamp_ns": self.stamp, "lag": round(self.lag, 4), "age": round(self.age, 4)}


@dataclass(frozen=True)
class Outcome:
    """The answer to one request, whatever became of it."""

    status: str  # ok | rejected | error | busy
    reason: str
    text: str = ""
    cause: BaseException | None = None
    plan: Any = None
    cloud_at: float = -math.inf  # arrival of the cloud it was planned on, s of time.monotonic
    cloud: CloudUse | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a plan that may be executed."""
        return self.status == "ok"

    @property
    def extrinsics_assumed(self) -> bool:
        """Whether the plan's camera pose was derived from the table, so that its base is not the robot's."""
        return bool(getattr(getattr(self.plan, "scene", None), "extrinsics_assumed", False))

    def report(self) -> dict[str, Any]:
        """Return the plan's report, or status and reason where there is no plan."""
        if self.plan is not None:
            used = {} if self.cloud is None else {"cloud": self.cloud.report()}
            return {**self.plan.report(), **used}
        text = self.text[:REPORTED_TEXT]
        return {
            "status": self.status,
            "reason": self.reason,
            "text": text,
            "error": type(self.cause).__name__,
        }


@dataclass(frozen=True)
class PlanRequest:
    """Everything a plan needs, taken at the moment it was asked for."""

    message: Any  # sensor_msgs/PointCloud2, decoded on the worker
    cloud_at: float  # its arrival, s of time.monotonic
    cloud_lag: float  # s from its stamp to its arrival
    text: str
    base_from_camera: NDArray[Any] | None
    state: RobotState | None
    parameters: NodeParameters


@dataclass(frozen=True)
class ResampleRequest:
    """Everything an edit needs besides the plan; the parts are in the parameters."""

    text: str  # empty keeps the plan's
    state: RobotState | None
    parameters: NodeParameters


def build_planner(parameters: NodeParameters) -> Any:
    """Load the planner the parameters ask for; imports torch.

    Raises:
        MaskdexError: on an unknown hand or arm or a checkpoint that cannot be read.
    """
    import torch

    from maskdex_core.planner import Planner, PlannerConfig

    if parameters.threads:
        torch.set_num_threads(parameters.threads)
    config = PlannerConfig(
        hand=parameters.hand,
        arm=parameters.arm,
        checkpoint=parameters.checkpoint or None,
        samples=parameters.samples,
        seed=seed(parameters),
    )
    return Planner(config)


def check_frame(planner: Any, parameters: NodeParameters) -> None:
    """Make sure that the outputs are labelled with the frame they are computed in.

    Raises:
        ConfigError: when `base_frame` is another than the arm's.
    """
    if parameters.base_frame != planner.base_frame:
        raise ConfigError(
            f"parameter 'base_frame' is {parameters.base_frame!r}; valid: {planner.base_frame!r}, "
            f"the base of arm {parameters.arm!r}"
        )


def seed(parameters: NodeParameters) -> int | None:
    """Return the seed, or None where every plan draws a new one."""
    return None if parameters.seed < 0 else parameters.seed


def run_plan(planner: Any, request: PlanRequest, should_cancel: Cancelled, on_stage: Stage) -> Outcome:
    """Decode the cloud and plan. Runs on the worker.

    Raises:
        MaskdexError: on input that cannot be planned on, or when cancelled.
    """
    from maskdex_core.perception.pointcloud2 import cloud_from_message

    on_stage("cloud")
    stamp = request.message.header.stamp
    age = time.monotonic() - request.cloud_at
    used = CloudUse(stamp.sec * 10**9 + stamp.nanosec, request.cloud_lag, age)
    cloud = cloud_from_message(request.message, request.base_from_camera, request.text)
    plan = planner.plan(
        cloud,
        request.text,
        state=request.state,
        seed=seed(request.parameters),
        should_cancel=should_cancel,
        on_stage=on_stage,
        speed_scale=request.parameters.speed_scale,
        object_near=request.parameters.object_near or None,
    )
    _check_cancelled(should_cancel)
    return _finished(plan, request.text, request.parameters, request.cloud_at, used)


def run_resample(
    planner: Any, last: Outcome, request: ResampleRequest, should_cancel: Cancelled, on_stage: Stage
) -> Outcome:
    """Draw parts of a plan's grasp again. Runs on the worker.

    Raises:
        MaskdexError: when the parts or the text cannot be used, or when cancelled.
    """
    plan = planner.resample(
        last.plan,
        parts=request.parameters.edit_parts,
        text=request.text or None,
        state=request.state,
        seed=seed(request.parameters),
        should_cancel=should_cancel,
        on_stage=on_stage,
        speed_scale=request.parameters.speed_scale,
    )
    _check_cancelled(should_cancel)
    return _finished(plan, request.text or last.text, request.parameters, last.cloud_at, last.cloud)


def failure(error: BaseException, text: str) -> Outcome:
    """Return the outcome of a job that raised; anything but a MaskdexError is an internal error."""
    if isinstance(error, MaskdexError):
        return Outcome("error", str(error), text, error)
    return Outcome("error", f"internal error: {type(error).__name__}: {error}", text, error)


def _check_cancelled(should_cancel: Cancelled) -> None:
    # The planner asks between its stages, so a cancellation during the last one is left to us.
    if should_cancel():
        raise PlanCancelled("the plan was cancelled")


def _finished(plan: Any, text: str, parameters: NodeParameters, cloud_at: float, cloud: CloudUse | None) -> Outcome:
    if parameters.output_dir:
        try:
            plan.save(Path(parameters.output_dir))
        except OSError as error:
            where = parameters.output_dir
            raise ConfigError(f"output_dir {where!r} cannot be written ({error.strerror})") from error
    return Outcome(plan.status, plan.reason or "planned", text, plan=plan, cloud_at=cloud_at, cloud=cloud)
