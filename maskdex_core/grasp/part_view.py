"""What each part sees of the object from where it is: from its points, where is the nearest surface?

The points of a part follow what is known of it. Palm unknown: points all over a ball about the object's centre.
Palm known, in its frame: points all over the space that the part can reach. Finger known: its own skin.
(Basis point sets, Prokudin 2019, in the frame and at the place that the known codes give.)

Legend: B batch, O object points, P parts, M points a part, J joints, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskdex_core.grasp.patches import farthest_points
from maskdex_core.grasp.pointnet import LENGTH_SCALE, GroupedLinear
from maskdex_core.grasp.rotation import sixd_from_matrix
from maskdex_core.grasp.surface import HandSurface, part_selection
from maskdex_core.grasp.tokenizer import KnownHand

BALL = 0.15  # m, radius of the points of an unknown palm
POSTURES, CANDIDATES = 64, 4000  # random hands, and their points, among which the reach is chosen
NEAR, TOUCHING = 0.02, 0.005  # m, lengths on which nearness counts
FEATURES = 6
STATES = 3  # unknown, reaching, posed


class PartView(nn.Module):
    """One vector a part (B, P, W): the way from its points to the object, and where the palm is."""

    points: Tensor
    """(2, P, M, 3) m: in the ball, and in reach (palm frame)."""

    def __init__(self, parts: int, points: int, hidden: int, width: int, values: int = 0) -> None:
        """Build the views of an object whose points carry `values` besides their place."""
        super().__init__()
        self.parts, self.count = parts, points
        self.register_buffer("points", torch.zeros(2, parts, points, 3))
        self.first = GroupedLinear(STATES * parts, points * (FEATURES + values), hidden)
        self.second = GroupedLinear(STATES * parts, hidden, width)
        self.place = nn.Sequential(nn.Linear(9, width), nn.GELU(), nn.Linear(width, width))
        self.absent = nn.Parameter(0.02 * torch.randn(parts, width))

    def fit(self, hand: HandSurface, seed: int = 0) -> None:
        """Choose the points: in the ball, and in the reach of a hand's parts."""
        generator = torch.Generator().manual_seed(seed)
        direction = F.normalize(torch.randn(self.parts * self.count, 3, generator=generator), dim=-1)
        radius = BALL * torch.rand(len(direction), 1, generator=generator) ** (1 / 3)
        self.points[0] = (radius * direction).view(self.parts, self.count, 3)
        share = torch.rand(POSTURES, len(hand.lower), generator=generator)
        skin = hand.surface_points(hand.lower + share * (hand.upper - hand.lower))
        for part in range(self.parts):
            own = skin[:, hand.surface_part == part].flatten(0, 1)
            some = own[torch.randperm(len(own), generator=generator)[:CANDIDATES]]
            self.points[1, part] = some[farthest_points(some[None], self.count)[0]]

    def forward(
        self, cloud: Tensor, known: KnownHand, hand: HandSurface, dropped: Tensor, values: Tensor | None = None
    ) -> Tensor:
        """Return the views.

        Args:
            cloud: (B, O, 3) m in the object frame. known: what codes tell of the hand so far.
            hand: gives skin points. dropped: (B,) bool, rows without condition.
            values: (B, O, V) what the points of the cloud carry.
        """
        views = self.absent.expand(len(cloud), -1, -1)
        rows = torch.nonzero(~dropped).squeeze(1)
        if len(rows) == 0:
            return views
        seen = self._seen(cloud[rows], known[rows], hand, None if values is None else values[rows])
        return views.to(seen.dtype).index_copy(0, rows, seen)

    def _seen(self, cloud: Tensor, known: KnownHand, hand: HandSurface, values: Tensor | None) -> Tensor:
        batch = len(cloud)
        with torch.no_grad(), torch.autocast(cloud.device.type, enabled=False):  # geometry in full precision
            seen = nearest_surface(cloud, known, self._placed(known, hand), values)
        state = known.placed.long().unsqueeze(1) + _posed(known).long()  # (B, P)
        # While sampling, one or two of the states are met: the layers of the others are left out.
        met, state = state.unique(return_inverse=True)
        layers = (
            None if len(met) == STATES else (met[:, None] * self.parts + torch.arange(self.parts).to(met)).flatten()
        )
        rows = seen.flatten(2).transpose(0, 1).repeat(len(met), 1, 1)  # (S P, B, M · features)
        made = self.second(F.gelu(self.first(rows, layers)), layers).view(len(met), self.parts, batch, -1)
        index = state.T[None, :, :, None].expand(1, -1, -1, made.shape[-1])
        views = made.gather(0, index)[0].transpose(0, 1)  # (B, P, W)
        pose = torch.cat((sixd_from_matrix(known.palm.rotation), LENGTH_SCALE * known.palm.translation), -1)
        return views + self.place(pose).unsqueeze(1)

    def _placed(self, known: KnownHand, hand: HandSurface) -> PlacedPoints:
        basis = torch.where(known.placed[:, None, None, None], self.points[1], self.points[0])
        posed = _posed(known)[:, :, None, None]
        if not bool(posed.any()):
            return PlacedPoints(basis, torch.zeros_like(basis))
        selection = part_selection(hand.surface_part, self.parts, self.parts * self.count).flatten()
        skin, normal = hand.surface_points_and_normals(known.joints, selection)
        shape = basis.shape
        return PlacedPoints(torch.where(posed, skin.view(shape), basis), torch.where(posed, normal.view(shape), 0.0))


def _posed(known: KnownHand) -> Tensor:
    """Return (B, P) bool: parts whose skin has a place, the palm being known too."""
    return known.posed & known.placed.unsqueeze(1)


@dataclass(frozen=True)
class PlacedPoints:
    """Points of parts in the palm frame, and the outward normals of those that are skin."""

    point: Tensor
    """(B, P, M, 3) m."""
    normal: Tensor
    """(B, P, M, 3), zero where a point is not skin."""


def nearest_surface(cloud: Tensor, known: KnownHand, placed: PlacedPoints, values: Tensor | None = None) -> Tensor:
    """Return (B, P, M, 6 + V): direction to the nearest object point, nearness on two scales, gap along the normal,
    and what that point carries of `values` (B, O, V)."""
    local = (cloud - known.palm.translation.unsqueeze(1)) @ known.palm.rotation  # object in the palm frame
    flat = placed.point.flatten(1, 2)
    squared = torch.baddbmm(local.square().sum(-1).unsqueeze(1), flat, local.transpose(1, 2), alpha=-2.0)
    nearest = squared.argmin(2, keepdim=True)
    way = (local.gather(1, nearest.expand(-1, -1, 3)) - flat).view(placed.point.shape)
    distance = way.norm(dim=-1, keepdim=True)
    along = (way * placed.normal).sum(-1, keepdim=True)
    seen = [
        way / (distance + NEAR),
        torch.exp(-distance / NEAR),
        torch.exp(-distance / TOUCHING),
        along / (distance + TOUCHING),
    ]
    if values is not None:
        carried = values.gather(1, nearest.expand(-1, -1, values.shape[-1]))
        seen.append(carried.view(*distance.shape[:-1], -1))
    return torch.cat(seen, -1)
