"""What stage 2 trains: from object, text and the codes known so far to the codes still masked.

Legend: B batch, N codes of all parts, K codes a position, P object points, E text embedding size, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskdex_core.grasp.condition import GraspCondition
from maskdex_core.grasp.config import ModelConfig
from maskdex_core.grasp.part_view import PartView
from maskdex_core.grasp.surface import HandSurface
from maskdex_core.grasp.tokenizer import GraspTokenizer, KnownHand
from maskdex_core.grasp.touch_map import TouchMap
from maskdex_core.masked import BidirectionalTransformer, CodeChains
from maskdex_core.masked.transformer import CodeTables


@dataclass(frozen=True)
class ReadCondition:
    """Object and text, read once for all steps of sampling."""

    points: Tensor | None
    """(1, P, 3) m in the object frame; None when there is neither object nor text."""
    touch: Tensor | None
    """(1, P) chance that each point is touched; None without a `TouchMap`."""
    memory: Tensor
    """(2, ...) of `BidirectionalTransformer.read`: with condition, and without."""
    tables: CodeTables
    """Of the transformer."""


class CodeNetwork(nn.Module):
    """Conditions, the parts' views and the bidirectional transformer."""

    def __init__(self, config: ModelConfig, chains: CodeChains, code_dim: int) -> None:
        """Build the network.

        Args:
            config: sizes. chains: the codes it predicts. code_dim: size of a code's meaning.
        """
        super().__init__()
        size = config.transformer
        self.chains = chains
        self.condition = GraspCondition(size)
        self.touch = TouchMap(size.text_dim, size.touch_width) if size.touch_width else None
        values = int(self.touch is not None)
        self.view = (
            PartView(chains.parts, size.view_points, size.view_width, size.width, values) if size.view_points else None
        )
        self.transformer = BidirectionalTransformer(
            positions=chains.positions,
            codes=chains.codes,
            width=size.width,
            heads=size.heads,
            layers=size.layers,
            feedforward=size.feedforward,
            dropout=size.dropout,
            code_dim=code_dim if size.tie_codes else 0,
        )

    def prepare(self, tokenizer: GraspTokenizer, hand: HandSurface) -> None:
        """Take over what codes mean and where parts can be; once, before training."""
        if self.transformer.tied:
            self.transformer.tie_codes(tokenizer.meanings())
        if self.view is not None:
            self.view.fit(hand)

    def forward(
        self,
        points: Tensor,
        text: Tensor,
        codes: Tensor,
        mask: Tensor,
        known: KnownHand | None,
        hand: HandSurface,
        dropped: Tensor,
        touch: Tensor | None = None,
    ) -> Tensor:
        """Predict every position.

        Args:
            points: (B, P, 3) m in the object frame. text: (B, E). codes: (B, N). mask: (B, N) bool.
            known: what the codes not masked tell (`GraspTokenizer.known`). hand: gives skin points.
            dropped: (B,) bool, rows that see neither text nor object. touch: (B, P) of `touched`.

        Returns:
            (B, N, K) logits.
        """
        memory = self.transformer.read(self.condition(points, text, dropped, touch))
        return self.transformer(codes, mask, memory, self._views(points, known, hand, dropped, touch))

    def touched(self, points: Tensor, text: Tensor) -> Tensor | None:
        """Return the chance (B, P) that a grasp under each text (B, E) touches each point; None without a map."""
        return None if self.touch is None else self.touch(points, text).sigmoid()

    def read(self, points: Tensor, text: Tensor) -> ReadCondition:
        """Read one object (P, 3) m and one text (E,) for `predict`."""
        points, text = points[None], text[None]
        touch = self.touched(points, text)
        conditions = torch.cat((self.condition(points, text, touch=touch), self.condition.unconditional(1)))
        return ReadCondition(points, touch, self.transformer.read(conditions), self.transformer.tables())

    def read_nothing(self) -> ReadCondition:
        """Return what `predict` reads when there is neither object nor text."""
        memory = self.transformer.read(self.condition.unconditional(2))
        return ReadCondition(None, None, memory, self.transformer.tables())

    def predict(
        self,
        read: ReadCondition,
        codes: Tensor,
        mask: Tensor,
        known: KnownHand | None,
        hand: HandSurface,
        dropped: Tensor,
    ) -> Tensor:
        """Predict as `forward` does, all rows being on the same object and text."""
        if read.points is None:
            points, dropped = codes.new_zeros((1, 1, 3), dtype=torch.float32), torch.ones_like(dropped)
        else:
            points = read.points
        touch = None if read.touch is None else read.touch.expand(len(codes), -1)
        views = self._views(points.expand(len(codes), -1, -1), known, hand, dropped, touch)
        return self.transformer(codes, mask, read.memory[dropped.long()], views, read.tables)

    def _views(
        self, points: Tensor, known: KnownHand | None, hand: HandSurface, dropped: Tensor, touch: Tensor | None
    ) -> Tensor | None:
        if self.view is None or known is None:
            return None
        values = None if touch is None else touch.unsqueeze(-1)
        return self.view(points, known, hand, dropped, values)[:, self.chains.part_of.to(points.device)]
