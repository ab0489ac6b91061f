"""How a squeeze moves the object before it holds it: a few implicit steps of hand, object and friction.

Joints are springs toward their targets. A sphere that presses is a stiff spring along the surface's normal and, as far
as Coulomb's friction goes, along the surface; the object moves against a drag. A step is then one linear system,
without masses or speeds (quasi-dynamic, after Pang, Suh, Yang and Tedrake 2023, IEEE T-RO 39(6)). The object is what
stays: the hand moves about it.

Index legend: B batch, N spheres near the object, M of them that press most, J driven joints, D = J + 6 unknowns
(`HandMotion`), P pushes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.rows import HandMotion, rotation_exp

CLOSING, HOLDING, PUSHING = 4, 2, 3  # steps: on the way to the squeeze, at it, and of each push
NEARBY, PRESSING = 64, 16  # spheres: the nearest at first may touch, the deepest of them press
NEAR = 2e-4  # m; spheres nearer than this may press after the step
CONTACT = 3000.0  # N/m
LIMIT = 200.0  # N·m/rad beyond a joint's limit
DRAG = 20.0  # N for a metre a step
LEVER = 0.05  # m that makes turns of the object comparable with shifts
PUSH = 1.0  # N, a tenth of a kilogram's weight
MOST = 0.15, 0.12, 0.006  # of a step: rad of a joint, rad and m of the object


@dataclass(frozen=True)
class SqueezeMotion:
    """What a squeeze does to the object.

    Attributes:
        turn, shift: (B,) rad and m, of the object's frame about the palm, once the hand has squeezed.
        force: (B,) N, sum of the normal forces then.
        pushed_turn, pushed_shift: (B,) rad and m, after the worst of six pushes along the axes.
    """

    turn: Tensor
    shift: Tensor
    force: Tensor
    pushed_turn: Tensor
    pushed_shift: Tensor


@dataclass(frozen=True)
class _Touch:
    """Where the hand presses, and how far friction's springs are stretched.

    Attributes:
        rows: (B, 3M, D) of motion along the M normals, then along two directions of each surface.
        depth: (B, M) m. stretch: (B, 2M) m, of the springs along the surface. grip: (B, M) share of them that sticks.
        centers, drawn: (B, N, 3) m, the spheres and how far their springs are stretched.
    """

    rows: Tensor
    depth: Tensor
    stretch: Tensor
    grip: Tensor
    centers: Tensor
    drawn: Tensor


@dataclass(frozen=True)
class _Springs:
    """All that resists but contacts.

    Attributes:
        stiffness: (B, D, D). joints: (B, J) N·m/rad, of the joints in it. load: (B, D) that it exerts.
        about: (B, 3, 6), from the hand's turn and shift to the shift of the object's origin past it.
    """

    stiffness: Tensor
    joints: Tensor
    load: Tensor
    about: Tensor


def squeeze_motion(scene: HandOnObject, pose: HandPose, squeeze: Tensor, friction: Tensor) -> SqueezeMotion:
    """Close hands on an object that is free to move, then push it; there is neither weight nor table, as in FC6.

    Args:
        scene, pose: the grasps. squeeze: (B, J) rad, joint targets. friction: (B,) of sliding.
    """
    friction = friction[:, None]
    with torch.no_grad():
        now, touch = _squeezed(scene, pose, squeeze, friction)
        turned = now.rotation @ pose.rotation.transpose(1, 2)
        shift = now.translation - (turned @ pose.translation[..., None])[..., 0]
        springs = _springs(scene.hand, now, squeeze)
        *_, turn, move = _pushed(touch, springs, now.translation, friction).split([springs.joints.shape[1], 3, 3], -1)
        pushed_turn = rotation_exp(turn.flatten(0, 1)).unflatten(0, turn.shape[:2]) @ turned[:, None]
        pushed_shift = shift[:, None] + torch.cat((turn, move), -1) @ springs.about.transpose(1, 2)
        return SqueezeMotion(
            _angle(turned),
            torch.linalg.vector_norm(shift, dim=-1),
            CONTACT * touch.depth.clamp(min=0).sum(-1),
            _angle(pushed_turn).amax(1),
            torch.linalg.vector_norm(pushed_shift, dim=-1).amax(1),
        )


def _squeezed(scene: HandOnObject, pose: HandPose, squeeze: Tensor, friction: Tensor) -> tuple[HandPose, _Touch]:
    """Return where hands are about the object once they have squeezed, and where they press."""
    depth = scene.hand.sphere_radius - scene.sdf.distance(scene.centers(pose))
    nearby = depth.topk(min(NEARBY, depth.shape[1]), 1).indices
    now, touch = pose, _touch(scene, pose, nearby, friction, None)
    for step in range(1, CLOSING + HOLDING + 1):
        target = pose.joints + (squeeze - pose.joints) * min(1.0, step / CLOSING)
        springs = _springs(scene.hand, now, target)
        moves = _solve(touch.rows, touch.depth, touch.stretch, touch.grip, springs.stiffness, springs.load)
        now = _moved(now, _limited(moves, now.translation))
        touch = _touch(scene, now, nearby, friction, touch)
    return now, touch


def _touch(scene: HandOnObject, pose: HandPose, nearby: Tensor, friction: Tensor, before: _Touch | None) -> _Touch:
    """Return where the spheres `nearby` (B, N) press, the springs along the surface drawn on since `before`."""
    hand = scene.hand
    links, centers = scene.place(pose)
    centers = _pick(centers, nearby)
    distance, normals = scene.sdf.query(centers)
    depth, drawn, grip = hand.sphere_radius[nearby] - distance, torch.zeros_like(centers), torch.ones_like(distance)
    if before is not None:
        drawn = before.drawn + centers - before.centers
        drawn = drawn - (drawn * normals).sum(-1, keepdim=True) * normals
        grip = _grip(friction * depth, drawn.square().sum(-1))
        drawn = drawn * grip[..., None]
    depth, chosen = depth.topk(min(PRESSING, depth.shape[1]), 1)
    sphere, normal, pulled = nearby.gather(1, chosen), _pick(normals, chosen), _pick(drawn, chosen)
    point = _pick(centers, chosen) - normal * hand.sphere_radius[sphere][..., None]
    first, second = _along_surface(normal)
    rows = HandMotion(hand, pose, links).along(
        hand.sphere_link[sphere].repeat(1, 3), point.repeat(1, 3, 1), torch.cat((normal, first, second), 1)
    )
    stretch = torch.cat(((pulled * first).sum(-1), (pulled * second).sum(-1)), 1)
    return _Touch(rows, depth, stretch, grip.gather(1, chosen), centers, drawn)


def _pick(vectors: Tensor, index: Tensor) -> Tensor:
    """Return the vectors (B, M, 3) at the indices (B, M) of (B, N, 3)."""
    return vectors.gather(1, index[..., None].expand(-1, -1, 3))


def _grip(limit: Tensor, squared: Tensor) -> Tensor:
    """Return the share of a spring's stretch that friction bears: limit in m as the stretch, whose square is given."""
    return (limit.clamp(min=0) / squared.sqrt().clamp_min(1e-9)).clamp(max=1.0)


def _along_surface(normal: Tensor) -> tuple[Tensor, Tensor]:
    """Return two unit directions (..., 3) across each normal (..., 3)."""
    upright = normal[..., 2:].abs() < 0.9
    helper = torch.where(upright, normal.new_tensor([0.0, 0.0, 1.0]), normal.new_tensor([1.0, 0.0, 0.0]))
    first = F.normalize(torch.linalg.cross(normal, helper), dim=-1)
    return first, torch.linalg.cross(normal, first)


def _springs(hand: HandModel, pose: HandPose, target: Tensor) -> _Springs:
    """Return joints' control and limits, and the drag on the object, at a pose."""
    count = pose.joints.shape[1]
    beyond = pose.joints - hand.clamp(pose.joints)
    joints = hand.spec.stiffness + LIMIT * (beyond != 0)
    turn = torch.eye(3).expand(len(pose), 3, 3)
    about = torch.cat((torch.linalg.cross(pose.translation[:, None].expand(-1, 3, 3), turn).transpose(1, 2), turn), -1)
    stiffness = pose.joints.new_zeros(len(pose), count + 6, count + 6)
    stiffness[:, :count, :count] = torch.diag_embed(joints)
    stiffness[:, count:, count:] = DRAG * about.transpose(1, 2) @ about
    stiffness[:, count : count + 3, count : count + 3] += DRAG * LEVER**2 * turn
    load = F.pad(hand.spec.stiffness * (target - pose.joints) - LIMIT * beyond, (0, 6))
    return _Springs(stiffness, joints, load, about)


def _solve(rows: Tensor, depth: Tensor, stretch: Tensor, grip: Tensor, stiffness: Tensor, load: Tensor) -> Tensor:
    """Return the step (..., D) after which contacts, friction and all other springs are in balance."""
    presses = (depth > -NEAR).float()
    weight = torch.cat((presses, grip * presses, grip * presses), -1)
    held = torch.cat((-depth.clamp(min=0), stretch), -1) * presses.repeat(*[1] * (presses.dim() - 1), 3)
    across = rows.transpose(-1, -2)
    system = stiffness + CONTACT * (across * weight[..., None, :]) @ rows
    pull = load - CONTACT * (held[..., None, :] @ rows)[..., 0, :]
    return torch.cholesky_solve(pull[..., None], torch.linalg.cholesky_ex(system).L)[..., 0]


def _pushed(touch: _Touch, springs: _Springs, palm: Tensor, friction: Tensor) -> Tensor:
    """Return how far six pushes (B, P, D) bring the hand about the object, contacts staying where they are on it."""
    count, pressing = springs.joints.shape[1], touch.depth.shape[1]
    pushes = PUSH * torch.cat((torch.eye(3), -torch.eye(3)))
    load = springs.load[:, None] + F.pad(-pushes @ springs.about, (count, 0))  # the hand feels the opposite
    rows, palm = touch.rows[:, None], palm[:, None].expand(-1, len(pushes), 3)
    depth, stretch, grip = (value[:, None] for value in (touch.depth, touch.stretch, touch.grip))
    total = torch.zeros_like(load)
    for _ in range(PUSHING):
        drawn_joints = F.pad(springs.joints[:, None] * total[..., :count], (0, 6))
        step = _limited(_solve(rows, depth, stretch, grip, springs.stiffness[:, None], load - drawn_joints), palm)
        apart, along = (step[..., None, :] @ rows.transpose(2, 3))[..., 0, :].split([pressing, 2 * pressing], -1)
        total, depth, stretch = total + step, depth - apart, stretch + along
        grip = _grip(friction[:, None] * depth, stretch.unflatten(-1, (2, pressing)).square().sum(-2))
        stretch = stretch * grip.repeat(1, 1, 2)
    return total


def _limited(step: Tensor, palm: Tensor) -> Tensor:
    """Return steps (..., D) no larger than a linear one may be; palm (..., 3) m."""
    bend, turn, shift = step.split([step.shape[-1] - 6, 3, 3], -1)
    most_bend, most_turn, most_shift = MOST
    turn, past = _at_most(turn, most_turn), _at_most(shift + torch.linalg.cross(palm, turn), most_shift)
    return torch.cat((bend.clamp(-most_bend, most_bend), turn, past - torch.linalg.cross(palm, turn)), -1)


def _at_most(vector: Tensor, length: float) -> Tensor:
    return vector * (length / torch.linalg.vector_norm(vector, dim=-1, keepdim=True).clamp_min(1e-9)).clamp(max=1.0)


def _moved(pose: HandPose, step: Tensor) -> HandPose:
    """Return the pose moved by steps (B, D); unlike `apply_step`, joints may be pressed beyond their limits."""
    count = pose.joints.shape[1]
    turn = rotation_exp(step[:, count : count + 3])
    return HandPose(pose.joints + step[:, :count], turn @ pose.rotation, pose.translation + step[:, count + 3 :])


def _angle(rotation: Tensor) -> Tensor:
    """Return the angle (...) rad of rotations (..., 3, 3)."""
    return ((rotation.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1.0, 1.0).acos()
