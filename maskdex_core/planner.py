"""`Planner`: a cloud and a sentence in, a checked robot trajectory out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from maskdex_core.errors import ConfigError, PlanCancelled, PlanRejected
from maskdex_core.grasp.model import GraspModel
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands.model import HandModel
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.phases import plan_motion
from maskdex_core.motion.stop import stop_trajectory
from maskdex_core.motion.types import RobotState, RobotTrajectory, Verdict
from maskdex_core.motion.verdict import check_trajectory
from maskdex_core.perception.cloud import Cloud
from maskdex_core.perception.segment import Scene
from maskdex_core.planning.draws import grasp_draws
from maskdex_core.planning.geometry import ObjectGeometry
from maskdex_core.planning.near_robot import NearRobot, segment_beside
from maskdex_core.planning.plan import Candidate, Plan
from maskdex_core.planning.proposals import Edit, Proposals, propose, rank_cost, refine_grasps
from maskdex_core.planning.redraw import LIKELY, draw_until
from maskdex_core.planning.robot import Robot, RobotNames
from maskdex_core.refine.optimizer import RefineConfig
from maskdex_core.refine.pose import HandPose

__all__ = ["Plan", "Planner", "PlannerConfig"]

Stage = Callable[[str], None]

DOUBTFUL = 0.01
"""ranking cost of the chosen grasp above which others are drawn: below it nearly all lifted, above it two in five"""


@dataclass(frozen=True)
class PlannerConfig:
    """What a planner is made of.

    Attributes:
        hand: name of a shipped one, or path of its YAML. arm: name.
        checkpoint: folder of the grasp model; None for the shipped one.
        samples: grasps drawn for a plan.
        seed: repeats every plan; None draws a new seed each time.
        object_near: (x, y, z) m in base; of several objects the nearest is grasped.
        speed_scale: share of the joint limits used, in (0, 1].
        approach: m of straight way before the grasp. lift: m straight up after it.
        refine: contact refinement of the samples.
    """

    hand: str = "freedom_v2"
    arm: str = "xarm7"
    checkpoint: str | None = None
    samples: int = 16
    seed: int | None = None
    object_near: tuple[float, float, float] | None = None
    speed_scale: float = 0.3
    approach: float = 0.08
    lift: float = 0.15
    refine: RefineConfig = field(default_factory=RefineConfig)

    def __post_init__(self) -> None:
        checked_speed(self.speed_scale)
        if not 1 <= self.samples <= 256:
            raise ConfigError(f"samples {self.samples} is out of range; expected 1 to 256")


def checked_speed(scale: float) -> float:
    """Return a share of the joint limits.

    Raises:
        ConfigError: when it is not in (0, 1].
    """
    if not 0 < scale <= 1:
        raise ConfigError(f"speed_scale {scale} is out of range; expected above 0, at most 1")
    return scale


@dataclass(frozen=True)
class _Request:
    """What was asked: text, the seed that repeats it, where the robot stands, and how fast it may go."""

    text: str
    seed: int
    start: RobotState
    speed_scale: float


class _Run:
    """The clock and the stop button of one plan."""

    def __init__(self, should_cancel: Callable[[], bool] | None, on_stage: Stage | None) -> None:
        self.timings: dict[str, float] = {}
        self._should_cancel, self._on_stage = should_cancel, on_stage

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; it does not begin once the caller has cancelled."""
        self.check()
        if self._on_stage:
            self._on_stage(name)
        begun = time.perf_counter()
        yield
        self.timings[name] = self.timings.get(name, 0.0) + 1e3 * (time.perf_counter() - begun)

    def check(self) -> None:
        """Raise PlanCancelled once the caller asked to stop."""
        if self._should_cancel and self._should_cancel():
            raise PlanCancelled("the plan was cancelled")


class Planner:
    """Loads once, plans many times; one thread at a time."""

    def __init__(self, config: PlannerConfig | None = None) -> None:
        """Load hand, arm and checkpoint.

        Raises:
            HandError, RobotError, CheckpointError, ConfigError: when one of them cannot be used.
        """
        self.config = config or PlannerConfig()
        self._target = HandModel.load(self.config.hand)
        self._shadow = HandModel.load("shadow")
        self._robot = Robot(Arm.load(self.config.arm), self._target)
        self._model = GraspModel.load(self.config.checkpoint)

    @property
    def arm_joint_names(self) -> tuple[str, ...]:
        """Joints of the arm, in the order of its trajectories."""
        return self._robot.arm.joint_names

    @property
    def hand_joint_names(self) -> tuple[str, ...]:
        """Driven joints of the hand, in the order of its trajectories."""
        return self._target.joint_names

    @property
    def base_frame(self) -> str:
        """The arm's base link: the frame of every pose in a plan."""
        return self._robot.arm.config.base_frame

    @property
    def robot_names(self) -> RobotNames:
        """What the robot is called outside: links, planning group, where the palm sits."""
        return self._robot.names()

    def warm_up(self) -> None:
        """Load the text encoder and run the network once, so that the first plan is not slow."""
        points = torch.nn.functional.normalize(torch.randn(256, 3), dim=-1) * 0.04
        self._model.sample(points, "hold the ball", n=self.config.samples)

    def plan(
        self, cloud: Cloud, text: str, state: RobotState | None = None, seed: int | None = None,
        should_cancel: Callable[[], bool] | None = None, on_stage: Stage | None = None,
        speed_scale: float | None = None, object_near: Sequence[float] | None = None,
    ) -> Plan:  # fmt: skip
        """Plan a grasp for a task text.

        Args:
            cloud: of the scene. text: what to do with the object.
            state: where the robot stands; None for its home pose.
            seed: repeats the plan. should_cancel: asked between stages. on_stage: told each stage.
            speed_scale, object_near: instead of the configuration's.

        Returns:
            A plan with status "ok", or "rejected" when no candidate has a safe motion.

        Raises:
            MaskdexError: on input that cannot be planned on; PlanCancelled when cancelled.
        """
        run, request = _Run(should_cancel, on_stage), self._request(text, seed, state, speed_scale)
        with run.stage("text"):
            embedding = self._model.embed(text)
        with run.stage("segment"):
            near = NearRobot.nothing() if state is None else self._robot.seen_near(cloud, state)
            near_to = self.config.object_near if object_near is None else object_near
            scene = segment_beside(near, cloud, near_to)
        with run.stage("complete"):
            geometry = ObjectGeometry.from_scene(scene)
            touch = self._model.touch_map(geometry.points, embedding)
        generator = torch.Generator().manual_seed(request.seed)

        draws = grasp_draws(self._model, self._shadow, geometry, embedding, touch, self.config.samples, generator)

        def planned(draw: Callable[[], GraspBatch]) -> Plan:
            with run.stage("sample"):
                grasps = draw()
            with run.stage("refine"):
                grasps = refine_grasps(self._shadow, grasps, geometry, self.config.refine, touch=touch)
            return self._finish(run, request, scene, geometry, grasps, touch)

        plans = [partial(planned, draw) for draw in draws]
        return draw_until(_enough, plans, lambda *made: min(made, key=_doubt))

    def resample(
        self, plan: Plan, parts: Sequence[str], text: str | None = None, state: RobotState | None = None,
        seed: int | None = None, should_cancel: Callable[[], bool] | None = None, on_stage: Stage | None = None,
        speed_scale: float | None = None,
    ) -> Plan:  # fmt: skip
        """Draw some parts of a plan's grasp anew; all other joints, and the palm, stay exactly.

        That holds for the Shadow grasp and for the target hand, whose joints of other parts are held.

        Args:
            plan: what to edit. parts: among palm, thumb, index, middle, ring, little.
            text: the new task text; None keeps the old one. Others: as in `plan`.

        Raises:
            UsageError: on an unknown part. MaskdexError: as in `plan`.
        """
        run = _Run(should_cancel, on_stage)
        request = self._request(text or plan.text, seed, state or plan.start, speed_scale)
        names = self._model.part_names
        with run.stage("sample"):
            rows = [plan.chosen] * self.config.samples
            generator = torch.Generator().manual_seed(request.seed)
            points = plan.geometry.points
            grasps = self._model.edit(plan.grasps.index(rows), parts, points, request.text, generator=generator)
        with run.stage("refine"):
            movable = torch.tensor([names[int(part)] in parts for part in self._shadow.joint_part])
            touch = self._model.touch_map(points, request.text)
            grasps = refine_grasps(
                self._shadow, grasps, plan.geometry, self.config.refine, movable, "palm" not in parts, touch
            )
        edit = Edit(_pose_of(plan.candidates[plan.chosen], plan.geometry), tuple(parts))
        return self._finish(run, request, plan.scene, plan.geometry, grasps, touch, edit)

    def verdict(self, plan: Plan, state: RobotState) -> Verdict:
        """Judge a plan's trajectory again, from where the robot stands now."""
        if plan.trajectory is None:
            return Verdict(False, (plan.reason,))
        world = self._robot.world(plan.scene, plan.start)
        return check_trajectory(plan.trajectory, self._robot.arm, self._robot.hand_limits, state, world)

    def brake(self, trajectory: RobotTrajectory, at: float) -> RobotTrajectory:
        """Return the way to rest for a robot that has run a plan's trajectory for `at` s."""
        return stop_trajectory(trajectory, at, self._robot.arm.limits, self._robot.hand_limits)

    # ------------------------------------------------------------------ inside
    def _request(self, text: str, seed: int | None, state: RobotState | None, speed: float | None) -> _Request:
        seed = self.config.seed if seed is None else seed
        seed = int(np.random.default_rng().integers(1 << 31)) if seed is None else int(seed)
        speed = self.config.speed_scale if speed is None else checked_speed(speed)
        return _Request(text, seed, state or self._robot.home(), speed)

    def _finish(
        self, run: _Run, request: _Request, scene: Scene, geometry: ObjectGeometry, grasps: GraspBatch,
        touch: torch.Tensor | None, edit: Edit | None = None,
    ) -> Plan:  # fmt: skip
        with run.stage("retarget"):
            made = propose(self._shadow, self._target, grasps, geometry, self.config.approach, touch, edit)
        with run.stage("motion"):
            candidates, chosen, trajectory = self._first_safe(run, made, geometry, scene, request)
        best = candidates[chosen]
        skin = self._robot.hand_points(best.joints, best.palm_pose)
        parts = self._target.surface_part.numpy()
        arm_points = None
        if trajectory is not None:
            close_start = int(np.searchsorted(trajectory.arm.times, trajectory.phases["close"][0]))
            arm_points = self._robot.arm_points(trajectory.arm.positions[close_start])
        run.timings["total"] = sum(ms for stage, ms in run.timings.items() if stage != "total")
        return Plan(
            status="ok" if trajectory is not None else "rejected",
            reason="" if trajectory is not None else _why(candidates),
            text=request.text, seed=request.seed, scene=scene, geometry=geometry, grasps=made.grasps,
            candidates=candidates, chosen=chosen, start=request.start, trajectory=trajectory,
            arm_name=self._robot.arm.config.name,
            hand_name=self._target.name, hand_joint_names=self._target.joint_names,
            target_hand_points={name: skin[parts == i] for i, name in enumerate(self._target.part_names)},
            target_hand_triangles=self._robot.hand_triangles(best.joints, best.palm_pose),
            arm_points=arm_points, candidate_bones=self._robot.hand_bones(candidates),
            timings_ms=run.timings, model=self._model_facts(), touch=None if touch is None else touch.numpy(),
        )  # fmt: skip

    def _first_safe(
        self, run: _Run, made: Proposals, geometry: ObjectGeometry, scene: Scene, request: _Request
    ) -> tuple[tuple[Candidate, ...], int, RobotTrajectory | None]:
        """Plan motion for the candidates that are grasps, best first, until one passes the verdict."""
        world = self._robot.world(scene, request.start)
        candidates = list(_candidates(made, geometry))
        for index, candidate in enumerate(candidates):
            run.check()
            objection = made.objection(index)
            if objection:
                candidates[index] = replace(candidate, verdict="rejected", reason=objection)
                continue
            targets = self._robot.targets(
                candidate.palm_pose, candidate.approach, self.config.approach, self.config.lift,
                candidate.pregrasp, candidate.joints, candidate.squeeze,
            )  # fmt: skip
            try:
                trajectory = plan_motion(
                    self._robot.arm,
                    self._robot.hand_limits,
                    request.start,
                    targets,
                    world,
                    request.speed_scale,
                )
            except PlanRejected as error:
                candidates[index] = replace(candidate, verdict="rejected", reason="; ".join(error.reasons))
                continue
            candidates[index] = replace(candidate, verdict="ok")
            return tuple(candidates), index, trajectory
        return tuple(candidates), 0, None

    def _model_facts(self) -> dict[str, str]:
        info = self._model.info
        return {key: str(info.get(key, "unknown")) for key in ("name", "data", "commit")}


def _candidates(made: Proposals, geometry: ObjectGeometry) -> Iterator[Candidate]:
    target = made.target
    for row in range(len(made.cost)):
        pose = np.eye(4)
        pose[:3, :3] = _orthonormal(target.pose.rotation[row].double().numpy())
        pose[:3, 3] = target.pose.translation[row].double().numpy() + geometry.center
        yield Candidate(
            pose, target.pose.joints[row].double().numpy(), target.pregrasp[row].double().numpy(),
            target.squeeze[row].double().numpy(), made.approach[row].double().numpy(),
            float(made.chance[row]), float(made.cost[row]),
            1.0 if made.agreement is None else float(made.agreement[row]),
            contact_error=target.contact_errors(row),
        )  # fmt: skip


def _pose_of(candidate: Candidate, geometry: ObjectGeometry) -> HandPose:
    """Return a candidate's configuration of the target hand in the object frame, a batch of one."""
    position = candidate.palm_pose[:3, 3] - geometry.center
    arrays = (candidate.joints, candidate.palm_pose[:3, :3], position)
    return HandPose(*(torch.tensor(array, dtype=torch.float32)[None] for array in arrays))


def _orthonormal(rotation: np.ndarray) -> np.ndarray:
    """Return the nearest rotation: float32 sums drift from it by 1e-6."""
    u, _, vt = np.linalg.svd(rotation)
    return u @ vt


def _enough(plan: Plan) -> bool:
    """Tell whether no others are to be drawn: what would be executed is likely to hold, or out of reach."""
    chosen = plan.candidates[plan.chosen]
    likely = chosen.cost <= DOUBTFUL and chosen.confidence * chosen.agreement >= LIKELY
    return (plan.ok and likely) or _beyond_reach(plan)


def _doubt(plan: Plan) -> float:
    """Return what ranks the grasp that a plan would execute, lower is better; infinite when that is none."""
    if not plan.ok:
        return float("inf")
    chosen = plan.candidates[plan.chosen]
    return float(rank_cost(torch.tensor(chosen.cost), torch.tensor(chosen.agreement)))


def _beyond_reach(plan: Plan) -> bool:
    """Tell whether other samples would not help: most candidates, and all that are grasps, leave the workspace."""
    kinds = [candidate.reason.split(":")[0] for candidate in plan.candidates]
    return set(kinds) <= {"workspace", "grasp"} and 2 * kinds.count("workspace") > len(kinds)


def _why(candidates: Sequence[Candidate]) -> str:
    """Return how many candidates failed, and the most frequent kind of reason with an example."""
    rejected = [candidate.reason for candidate in candidates if candidate.verdict == "rejected"]
    kinds = [reason.split(":")[0] for reason in rejected]
    common = Counter(kinds).most_common(1)[0][0]
    example = next(reason for reason in rejected if reason.startswith(common))
    return f"{len(rejected)} of {len(candidates)} candidates have no safe motion; most often {example}"
