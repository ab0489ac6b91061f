"""LIFT: the whole deployed path in simulation, from a rendered cloud to an object held 10 cm above the table.

Protocol: MuJoCo, gravity, a table, the object at rest on it at a random place in front of the robot (x 0.36 to
0.52 m, y ±0.2 m, any yaw), seen by one depth camera with a RealSense's noise and holes from a random side
(azimuth within 100° of straight across from the robot, elevation 30° to 60°, 0.6 to 0.9 m away). The planner
gets the cloud, the text and the robot's state; arm and hand run the trajectory; the object is lifted when it is 10 cm
up at the end and 2 s later, and turned by less than 45°. Every plan runs twice: on an object of 0.1 kg, and of about
what such an object weighs. Physics is described in `maskdex_core/physics/table_world.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from maskdex_core.errors import CloudError, MaskdexError, MeshError
from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.contact_labels import ContactLabels
from maskdex_core.metrics.lift_objects import LiftObject
from maskdex_core.metrics.rates import rate
from maskdex_core.metrics.requests import Request
from maskdex_core.metrics.subjects import LeaveOut, left_out
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.types import RobotState
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.perception.cloud import Cloud
from maskdex_core.physics.lift_trial import LIFTED, run_lift
from maskdex_core.physics.object_mass import TEST_MASS, typical_mass
from maskdex_core.physics.scene_camera import SceneCamera
from maskdex_core.physics.table_world import SimulationError, TableWorld
from maskdex_core.planner import Plan, Planner, PlannerConfig
from maskdex_core.planning.robot import Robot
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose

PLACE_X, PLACE_Y = (0.36, 0.52), (-0.20, 0.20)  # m
AZIMUTH, ELEVATION, DISTANCE = (-100.0, 100.0), (30.0, 60.0), (0.6, 0.9)  # degrees, degrees, m
AIM = 0.04  # m that the camera looks beside the object
PERCEPTION, NO_GRASP, REACH, MOTION, VERDICT = "perception", "no grasp", "IK", "motion", "verdict"
VERDICT_KINDS = ("names", "times", "finite", "phases", "start", "end", "consistency", "position", "velocity",
                 "acceleration", "jerk", "workspace")  # fmt: skip


@dataclass(frozen=True)
class LiftTrial:
    """One object, one text, one place; lengths in m, masses in kg, angles in degrees.

    Attributes:
        outcome: lifted, or where it failed: perception, no grasp, IK, motion, verdict, slip, tip-over, turned,
            pushed away; with an object of 0.1 kg.
        outcome_typical_mass: the same with an object of `typical_mass`.
        agrees: whether the planned grasp touches the true object where the text wants the hand; None without a plan,
            or where the text names no part.
        reason: why there was no plan, or empty.
        height, turn: of the object of 0.1 kg after the lift.
        position: (3,) of the object. camera: (3,) of the camera.
    """

    object: str
    text: str
    outcome: str
    outcome_typical_mass: str
    agrees: bool | None
    typical_mass: float
    reason: str
    height: float
    turn: float
    position: tuple[float, ...]
    camera: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class Placement:
    """Where the object stands and from where it is seen."""

    base_from_object: np.ndarray
    camera_position: np.ndarray
    camera_target: np.ndarray

    @staticmethod
    def drawn(rng: np.random.Generator, height: float) -> Placement:
        """Draw a place for an object of a height (m)."""
        yaw, place = rng.uniform(-np.pi, np.pi), np.array([rng.uniform(*PLACE_X), rng.uniform(*PLACE_Y), 0.0])
        pose = np.eye(4)
        pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
        pose[:3, 3] = place
        azimuth, elevation = np.deg2rad(rng.uniform(*AZIMUTH)), np.deg2rad(rng.uniform(*ELEVATION))
        level = np.cos(elevation)
        direction = np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
        target = place + np.array([0, 0, height / 2])
        camera = target + rng.uniform(*DISTANCE) * direction
        return Placement(pose, camera, target + rng.uniform(-AIM, AIM, 3))


class LiftBench:
    """A planner with its robot, ready for trials."""

    def __init__(self, config: PlannerConfig) -> None:
        """Load arm, hand and grasp model.

        Raises:
            HandError, RobotError, CheckpointError, ConfigError: when one of them cannot be used.
        """
        self.planner = Planner(config)
        self.arm, self.hand = Arm.load(config.arm), HandModel.load(config.hand)
        self.home = Robot(self.arm, self.hand).home()
        self.planner.warm_up()

    def trial(self, target: TargetObject, request: Request, rng: np.random.Generator, seed: int) -> LiftTrial:
        """Place, look, plan, and run the plan on a light and on a typical object; `seed` is the plan's."""
        place, heavy = Placement.drawn(rng, float(np.ptp(target.bounds[:, 2]))), typical_mass(target)
        world = self._world(target, TEST_MASS, place)
        camera = SceneCamera.at(place.camera_position, place.camera_target)
        plan, failure, reason = attempt(self.planner, camera.cloud(world, rng), request.text, world.robot_state, seed)
        light = typical = None
        if plan is not None and plan.trajectory is not None:
            light = run_lift(world, plan.trajectory)
            typical = run_lift(self._world(target, heavy, place), plan.trajectory)
        return LiftTrial(
            object=target.name, text=request.text, outcome=light.outcome if light else failure,
            outcome_typical_mass=typical.outcome if typical else failure,
            agrees=None if light is None or plan is None else self._agrees(plan, target, request, place),
            typical_mass=round(heavy, 3), reason=reason,
            height=round(light.height, 4) if light else 0.0,
            turn=round(float(np.rad2deg(light.turn)), 1) if light else 0.0,
            position=tuple(np.round(place.base_from_object[:3, 3], 4).tolist()),
            camera=tuple(np.round(place.camera_position, 4).tolist()), seed=seed,
        )  # fmt: skip

    def _agrees(self, plan: Plan, target: TargetObject, request: Request, place: Placement) -> bool | None:
        chosen = plan.candidates[plan.chosen]
        palm = torch.tensor(np.linalg.inv(place.base_from_object) @ chosen.palm_pose, dtype=torch.float32)
        joints = torch.tensor(chosen.joints, dtype=torch.float32)
        touched = ContactLabels(HandOnObject(self.hand, target.sdf, 0.0), target)
        return request.agrees(touched(HandPose(joints[None], palm[None, :3, :3], palm[None, :3, 3]))[0].parts)

    def _world(self, target: TargetObject, mass: float, place: Placement) -> TableWorld:
        world = TableWorld(self.arm, self.hand, target, mass)
        world.reset(self.home, place.base_from_object)
        return world


def lift_trials(
    bench: LiftBench, objects: Sequence[LiftObject], seed: int = 0, leave_out: LeaveOut = left_out
) -> Iterator[LiftTrial]:
    """Yield a trial for every object and text.

    Args:
        bench: the robot. objects: what to lift. seed: of places, views and plans.
        leave_out: told the name of an object that cannot be read or simulated, and why.
    """
    for index, item in enumerate(objects):
        try:
            target = item.load()
            for row, request in enumerate(item.requests):
                yield bench.trial(target, request, np.random.default_rng([seed, index, row]), seed)
        except (MeshError, SimulationError) as error:
            leave_out(item.name, error)


def attempt(planner: Planner, cloud: Cloud, text: str, state: RobotState, seed: int) -> tuple[Plan | None, str, str]:
    """Plan; return the plan, or where it failed and why."""
    try:
        plan = planner.plan(cloud, text, state, seed=seed)
    except CloudError as error:
        return None, PERCEPTION, str(error)
    except MaskdexError as error:
        return None, MOTION, str(error)
    return (plan, "", "") if plan.ok else (None, plan_failure(plan), plan.reason)


def plan_failure(plan: Plan) -> str:
    """Return where a plan without a trajectory failed: at the step that most candidates which are grasps did."""
    reasons = [candidate.reason for candidate in plan.candidates if candidate.verdict == "rejected"]
    beyond = [reason for reason in reasons if not reason.startswith("grasp:")]
    if not beyond:
        return NO_GRASP
    return Counter(_kind(reason) for reason in beyond).most_common(1)[0][0]


def _kind(reason: str) -> str:
    if reason.startswith("inverse kinematics"):
        return REACH
    return VERDICT if reason.startswith(tuple(f"{kind}:" for kind in VERDICT_KINDS)) else MOTION


def lift_summary(trials: Sequence[LiftTrial], hand: str) -> dict[str, Any]:
    """Return what the benchmark's JSON file holds; the rates' 95 % intervals are clustered by object."""
    light, typical = (
        _rate([(t.object, getattr(t, key) == LIFTED) for t in trials]) for key in ("outcome", "outcome_typical_mass")
    )
    named = [(t.object, t.agrees) for t in trials if t.agrees is not None]
    agreement = _rate(named)
    return {
        "protocol": "LIFT: 10 cm up and held 2 s, turned < 45 deg; gravity, table, one noisy depth camera, 0.1 kg",
        "hand": hand,
        "success_rate": light[0],
        "interval": light[1],
        "n": len(trials),
        "objects": len({trial.object for trial in trials}),
        "histogram": dict(Counter(trial.outcome for trial in trials).most_common()),
        "typical_mass": {
            "success_rate": typical[0],
            "interval": typical[1],
            "histogram": dict(Counter(trial.outcome_typical_mass for trial in trials).most_common()),
        },
        "part_agreement": {"rate": agreement[0], "interval": agreement[1], "n": len(named)},
        "trials": [asdict(trial) for trial in trials],
    }


def _rate(outcomes_of: Sequence[tuple[str, bool]]) -> tuple[float, list[float]]:
    """Return the share of true outcomes, and its interval over objects."""
    if not outcomes_of:
        return 0.0, [0.0, 1.0]
    grouped: dict[str, list[bool]] = {}
    for name, outcome in outcomes_of:
        grouped.setdefault(name, []).append(outcome)
    found = rate([np.array(outcomes) for outcomes in grouped.values()])
    return round(found.mean, 4), [round(found.low, 4), round(found.high, 4)]
