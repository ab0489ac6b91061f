"""Nearest-neighbour retrieval: the grasps of the most similar training objects, turned to fit, nearest texts first.

A neighbour is an object as it was seen, whole or from one camera. Few are chosen by their profile, which does not
change when they turn about the vertical; their chamfer distance at the best turn and the text decide.

Legend: E neighbours, Q points of one, S of them on the short list, Y turns, G grasps, T texts, W text embedding size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskdex_core.baselines.files import Stored, write_baseline
from maskdex_core.baselines.vector_model import centred
from maskdex_core.data.views import object_views
from maskdex_core.errors import CheckpointError
from maskdex_core.grasp.condition import thin_points
from maskdex_core.grasp.rotation import rotation_about_z
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands.model import HandModel
from maskdex_core.text import TextEncoder, load_encoder
from maskdex_core.training.card import checkpoint_facts
from maskdex_core.training.config import ExperimentConfig
from maskdex_core.training.tokenizer_stage import train_and_unseen

POINTS = 128  # Q
SHORT_LIST, TURNS = 32, 24  # S, Y
QUANTILES = 8  # of heights, of distances to the vertical axis, of distances to the centroid
SHAPE_UNIT = 0.01  # m of chamfer distance that count as much as texts at a right angle


class Retrieval:
    """Training grasps, and how their objects looked."""

    kind = "retrieval"

    def __init__(self, tensors: Mapping[str, Tensor], text_encoder: str, info: dict[str, Any]) -> None:
        """Take what `make_retrieval` makes, the name of the text encoder, and facts that travel with them."""
        self.tensors, self.text_encoder, self.info = dict(tensors), text_encoder, dict(info)
        self._clouds = self.tensors["clouds"].float()
        self._profiles = profile(self._clouds)
        self._joint_names = tuple(HandModel.load("shadow").joint_names)

    def embed(self, text: str | Tensor) -> Tensor:
        """Return the embedding (W,) of a text; an embedding passes through."""
        return text if isinstance(text, Tensor) else load_encoder(self.text_encoder).encode([text])[0]

    def touch_map(self, points: Tensor, text: str | Tensor) -> None:
        """Return None: nothing here tells where a text wants the hand."""

    def sample(
        self, points: Tensor, text: str | Tensor, n: int = 16, *, generator: torch.Generator | None = None
    ) -> GraspBatch:
        """Return the n nearest grasps, nearest first; see `GraspSampler`. Nothing is drawn at random."""
        cloud, centroid = centred(points, POINTS)
        near, turn, distance = self._nearest(cloud)
        owner, held = self.tensors["owner"][near], self.tensors["object"]
        match = owner[:, None] == held[None]  # (S, G)
        shape, entry = torch.where(match, distance[:, None], torch.inf).min(0)
        order = (shape / SHAPE_UNIT + 1.0 - self._likeness(self.embed(text))).argsort()
        rows = order[: int(match.any(0).sum())][:n]
        rows = rows[torch.arange(n) % len(rows)]
        turned = rotation_about_z(turn[entry[rows]])  # query_from_neighbour
        offset = self.tensors["translation"][rows] - self.tensors["centroids"][near[entry[rows]]]
        return GraspBatch(
            joint_names=self._joint_names,
            joints=self.tensors["joints"][rows],
            palm_rotation=turned @ self.tensors["rotation"][rows],
            palm_translation=(turned @ offset.unsqueeze(-1)).squeeze(-1) + centroid,
        )

    def save(self, folder: Path) -> None:
        """Write a checkpoint folder, for `restore` to read."""
        write_baseline(folder, Stored(self.kind, {"text_encoder": self.text_encoder}, self.info, self.tensors))

    @classmethod
    def restore(cls, stored: Stored) -> Retrieval:
        """Return the retrieval of a checkpoint.

        Raises:
            CheckpointError: when something is missing.
        """
        try:
            return cls(stored.tensors, stored.settings["text_encoder"], stored.info)
        except KeyError as error:
            raise CheckpointError(f"checkpoint of a {cls.kind!r} lacks {error}") from error

    def _nearest(self, cloud: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the short list (S,), and the turn (S,) rad and chamfer distance (S,) m at which each fits best."""
        far = (self._profiles - profile(cloud[None])).norm(dim=-1)
        near = far.topk(min(SHORT_LIST, len(far)), largest=False).indices
        turns = 2.0 * math.pi / TURNS * torch.arange(TURNS)
        turned = self._clouds[near, None] @ rotation_about_z(turns).transpose(1, 2)  # (S, Y, Q, 3)
        apart = torch.cdist(turned, cloud)  # (S, Y, Q, P)
        chamfer = 0.5 * (apart.min(-1).values.mean(-1) + apart.min(-2).values.mean(-1))  # (S, Y)
        distance, best = chamfer.min(1)
        return near, turns[best], distance

    def _likeness(self, text: Tensor) -> Tensor:
        """Return the cosine (G,) between a text (W,) and the nearest text of each grasp."""
        cosine = self.tensors["texts"].float() @ text
        least = cosine.new_full((len(self.tensors["joints"]),), -1.0)
        return least.scatter_reduce(0, self.tensors["grasp_of"], cosine[self.tensors["text_of"]], "amax")


def profile(clouds: Tensor) -> Tensor:
    """Return (E, 3 · quantiles) in m of clouds (E, Q, 3) about their centroids; turning about z changes nothing."""
    shares = torch.linspace(0.0, 1.0, QUANTILES)
    numbers = (clouds[..., 2], clouds[..., :2].norm(dim=-1), clouds.norm(dim=-1))
    return torch.cat([torch.quantile(one, shares, dim=-1).T for one in numbers], -1)


def make_retrieval(
    data: str | Path, experiment: ExperimentConfig, out: str | Path, encoder: TextEncoder | None = None
) -> Path:
    """Store a dataset's training grasps as a retrieval; return the checkpoint folder `out`/model.

    Raises:
        DatasetError, TextError: on unusable input.
    """
    train = train_and_unseen(data)[0]
    name = experiment.model.transformer.text_encoder
    distinct = sorted({text for texts in train.texts for text in texts})
    place = {text: index for index, text in enumerate(distinct)}
    pairs = [(place[text], row) for row, texts in enumerate(train.texts) for text in texts]
    views, looks, owner = object_views(train, data), [], []
    for index, known in enumerate(train.object_names):
        seen = [train.objects[known].points, *views.get(known, ())]
        looks += [thin_points(points, POINTS) for points in seen]
        owner += [index] * len(seen)
    centroids = torch.stack([points.mean(0) for points in looks])
    tensors = {  # clouds about their centroids; grasps in the frame of their object's mesh
        "clouds": (torch.stack(looks) - centroids[:, None]).half(),
        "centroids": centroids,
        "owner": torch.tensor(owner),
        "joints": train.joints_as(HandModel.load("shadow").joint_names),
        "rotation": train.palm_rotation,
        "translation": train.palm_translation,
        "object": train.object_index,
        "texts": (encoder or load_encoder(name)).encode(distinct).half(),
        "text_of": torch.tensor([text for text, _ in pairs]),
        "grasp_of": torch.tensor([row for _, row in pairs]),
    }
    info = checkpoint_facts(train, "shadow", f"{Path(out).name} (retrieval)", experiment)
    Retrieval(tensors, name, info).save(Path(out) / "model")
    return Path(out) / "model"
