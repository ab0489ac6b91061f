"""The palm's codes: each is a rigid motion, made in the frame where the ones before it left the palm.

So a later code means the same everywhere ("a centimetre forward, a little up"), and the object can be read in the
frame of the palm as far as it is known.

Legend: B batch, L levels, K codes a level, R rows to fit on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskdex_core.errors import DatasetError
from maskdex_core.grasp.decoder import PalmPose

LEVER = 0.06
"""m; a turn counts as the way it takes a point this far from the palm's origin: about the middle of the fingers."""
ROUNDS = 25  # of Lloyd's algorithm
CHUNK = 8192  # rows compared at once


class PalmChain(nn.Module):
    """Residual quantisation of poses; codebooks come from `fit`, not from descent."""

    rotation: Tensor
    """(L, K, 3, 3) of each code."""
    translation: Tensor
    """(L, K, 3) m of each code."""

    def __init__(self, levels: int, codes: int) -> None:
        super().__init__()
        self.levels, self.codes = levels, codes
        self.register_buffer("rotation", torch.eye(3).repeat(levels, codes, 1, 1))
        self.register_buffer("translation", torch.zeros(levels, codes, 3))

    @torch.no_grad()
    def fit(self, palm: PalmPose, seed: int = 0) -> None:
        """Choose the codebooks by k-means, level by level, on what the levels before left over.

        Args:
            palm: (R, 3, 3) and (R, 3) m, poses as training meets them. seed: of the first centres.

        Raises:
            DatasetError: when there are fewer poses than codes.
        """
        if len(palm.translation) < self.codes:
            raise DatasetError(f"{len(palm.translation)} grasps are too few for {self.codes} codes of the palm")
        left = palm
        for level in range(self.levels):
            centers = _k_means(features(left), self.codes, seed + level)
            pose = _pose_of(centers)
            self.rotation[level], self.translation[level] = pose
            left = self._left_over(left, self._nearest(left, level), level)

    @torch.no_grad()
    def tokenize(self, palm: PalmPose) -> Tensor:
        """Return the codes (B, L) of poses, each level taking the nearest."""
        chosen, left = [], palm
        for level in range(self.levels):
            code = self._nearest(left, level)
            left = self._left_over(left, code, level)
            chosen.append(code)
        return torch.stack(chosen, 1)

    def decode(self, codes: Tensor, known: Tensor | None = None) -> PalmPose:
        """Return the pose after the first codes of each row.

        Args:
            codes: (B, L). known: (B,) how many of them count; None is all.
        """
        batch = len(codes)
        rotation = torch.eye(3, device=codes.device).expand(batch, 3, 3)
        translation = torch.zeros(batch, 3, device=codes.device)
        for level in range(self.levels):
            turn, way = self.rotation[level][codes[:, level]], self.translation[level][codes[:, level]]
            moved = translation + (rotation @ way.unsqueeze(-1)).squeeze(-1)
            turned = rotation @ turn
            if known is not None:
                use = known > level
                moved = torch.where(use[:, None], moved, translation)
                turned = torch.where(use[:, None, None], turned, rotation)
            rotation, translation = turned, moved
        return PalmPose(rotation, translation)

    def meanings(self) -> Tensor:
        """Return what each code is, as a vector: (L, K, 12)."""
        return torch.stack(
            [features(PalmPose(self.rotation[level], self.translation[level])) for level in range(self.levels)]
        )

    def _nearest(self, palm: PalmPose, level: int) -> Tensor:
        centers = features(PalmPose(self.rotation[level], self.translation[level]))
        return _assign(features(palm), centers)

    def _left_over(self, palm: PalmPose, code: Tensor, level: int) -> PalmPose:
        back = self.rotation[level][code].transpose(1, 2)
        way = palm.translation - self.translation[level][code]
        return PalmPose(back @ palm.rotation, (back @ way.unsqueeze(-1)).squeeze(-1))


def features(palm: PalmPose) -> Tensor:
    """Return poses as vectors (B, 12) whose distance is that of points `LEVER` away, in units of it."""
    return torch.cat((palm.translation / LEVER, palm.rotation.flatten(1) * 0.5**0.5), 1)


def _pose_of(centers: Tensor) -> PalmPose:
    """Return the poses nearest to mean vectors (K, 12)."""
    left, _, right = torch.linalg.svd(centers[:, 3:].view(-1, 3, 3))
    sign = torch.ones(len(centers), 3, device=centers.device)
    sign[:, 2] = torch.linalg.det(left @ right)
    return PalmPose(left @ torch.diag_embed(sign) @ right, centers[:, :3] * LEVER)


def _assign(rows: Tensor, centers: Tensor) -> Tensor:
    return torch.cat([torch.cdist(some, centers).argmin(1) for some in rows.split(CHUNK)])


def _k_means(rows: Tensor, count: int, seed: int) -> Tensor:
    """Return `count` centres of rows (R, D); a centre that nothing is near to starts again at a random row."""
    generator = torch.Generator().manual_seed(seed)

    def random_rows() -> Tensor:
        return rows[torch.randperm(len(rows), generator=generator)[:count].to(rows.device)]

    centers = random_rows()
    for _ in range(ROUNDS):
        owner = _assign(rows, centers)
        share = torch.bincount(owner, minlength=count)[:, None].to(rows.dtype)
        total = torch.zeros_like(centers).index_add(0, owner, rows)
        centers = torch.where(share > 0, total / share.clamp_min(1.0), random_rows())
    return centers
