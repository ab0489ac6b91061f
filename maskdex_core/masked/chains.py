"""How the codes of a grasp stand in a row: every part spends a chain of codes, written together as one token.

Legend: B batch, P parts, L levels, N positions (the codes of all parts, part by part), K codes a position.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class CodeChains:
    """Lengths of the parts' chains, and the order in which codes may become known."""

    levels: tuple[int, ...]
    """(P,) codes that each part spends, at least 1."""
    codes: int
    """Size of every codebook K."""
    anchored: bool = False
    """Whether part 0 must be known whole before any other part: they are described relative to it."""

    @property
    def parts(self) -> int:
        """Number of parts P."""
        return len(self.levels)

    @property
    def positions(self) -> int:
        """Number of codes a row N."""
        return sum(self.levels)

    @cached_property
    def part_of(self) -> Tensor:
        """(N,) part of each position."""
        return torch.tensor([part for part, own in enumerate(self.levels) for _ in range(own)])

    @cached_property
    def depth_of(self) -> Tensor:
        """(N,) place of each position in its part's chain, from 0."""
        return torch.tensor([depth for own in self.levels for depth in range(own)])

    @cached_property
    def wave_of(self) -> Tensor:
        """(N,) wave of each position: a code needs all codes of the waves before, and none of its own wave.

        Codes of one depth are a wave; the codes of an anchor are waves of their own, before all others. With one
        code a part and no anchor everything is one wave.
        """
        if not self.anchored:
            return self.depth_of
        own = self.part_of == 0
        return torch.where(own, self.depth_of, self.levels[0] + self.depth_of)

    @property
    def waves(self) -> int:
        """Number of waves."""
        return int(self.wave_of.max()) + 1

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """How many tokens (P,) `join` can write for each part."""
        return tuple(self.codes**own for own in self.levels)

    @property
    def joinable(self) -> bool:
        """Whether a part's codes fit into one 64-bit token."""
        return max(self.vocabulary) < 2**63

    def join(self, codes: Tensor) -> Tensor:
        """Write each part's codes as one token: (B, N) → (B, P), the first level in front.

        Raises:
            ValueError: when they are not `joinable`.
        """
        if not self.joinable:
            raise ValueError(f"{max(self.levels)} codes of {self.codes} do not fit into one 64-bit token")
        joined = codes.new_zeros(len(codes), self.parts)
        for position, part in enumerate(self.part_of.tolist()):
            joined[:, part] = joined[:, part] * self.codes + codes[:, position]
        return joined

    def split(self, tokens: Tensor) -> Tensor:
        """Undo `join`: (B, P) → (B, N)."""
        left, columns = tokens.clone(), []
        for part in reversed(self.part_of.tolist()):
            columns.append(left[:, part] % self.codes)
            left[:, part] //= self.codes
        return torch.stack(columns[::-1], 1)

    def by_part(self, values: Tensor, reduce: str = "mean") -> Tensor:
        """Reduce values (B, N) over each part's chain → (B, P)."""
        index = self.part_of.to(values.device).expand(len(values), -1)
        start = values.new_zeros(len(values), self.parts)
        return start.scatter_reduce(1, index, values, reduce, include_self=False)
