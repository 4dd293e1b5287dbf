"""What a SASRec4SV model is made of, and how it is trained."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from svsim.data.groups import GROUPINGS
from svsim.errors import OptionError, UnknownNameError

__all__ = ["HEADS", "OPTIONS_OF", "PRESETS", "ModelConfig", "Objective", "TrainingConfig", "preset"]

HEADS = ("wtr", "binary", "wtg", "feedback", "watch")
"""Heads by name; the head option `multi` means all of them."""
Objective = Literal["mean", "reweight", "group-dro", "cvar"]
OPTIONS_OF: dict[str, tuple[str, ...]] = {
    "mean": (),
    "reweight": ("groups",),
    "group-dro": ("groups", "group_step"),
    "cvar": ("worst_share",),
}
"""Options that an objective reads, by its name."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes and forms of the network."""

    preset: str = "default"
    """Name that it goes by."""
    heads: tuple[str, ...] = HEADS
    """What is predicted, see `HEADS`."""
    width: int = 64
    """Width of a token."""
    blocks: int = 2
    """Transformer blocks."""
    attention_heads: int = 2
    """Attention heads in each."""
    length: int = 500
    """T: past events seen at most."""
    positions: Literal["rotary", "learned"] = "rotary"
    """Relative (a key cache stays valid when the window slides) or absolute."""
    trunk: Literal["attention", "average"] = "attention"
    """`average` gives every visible event the same weight in the same blocks: the control."""
    fields: Literal["sum", "concat"] = "sum"
    """How embeddings become a token: added, or a quarter of the width each (user, video, author, feedback)."""
    content: bool = True
    """Whether tokens know more than ids and feedback: duration, tags, rates, clock, user features."""
    user_ids: bool = False
    """Whether tokens hold a free embedding of the user; it overfits from the third epoch on KuaiRand."""
    dropout: float = 0.2
    """On tokens and residual branches; never on attention."""
    id_dropout: float = 0.8
    """Chance that a token's ids read as unknown while training; free embeddings of ids overfit first."""
    moment_dropout: float = 0.1
    """Chance that a query's tab, and its hour, read as unknown while training: an agent is not always told them."""
    rare: int = 5
    """Training rows below which an id shares a hashed embedding with others."""
    buckets: int = 1_024
    """Hashed embeddings for the rare and the unknown."""

    def __post_init__(self) -> None:
        for name, least in (("width", 8), ("blocks", 1), ("attention_heads", 1), ("length", 1), ("buckets", 1)):
            if getattr(self, name) < least:
                raise OptionError(f"expected at least {least}, found {getattr(self, name)}", where=name)
        if self.width % (2 * self.attention_heads) or self.width % 4:
            raise OptionError(
                f"expected a width that four fields and {self.attention_heads} heads of even size share, found {self.width}",
                where="width",
            )
        unknown = [name for name in self.heads if name not in HEADS]
        if unknown or not self.heads:
            raise UnknownNameError(f"expected heads of {', '.join(HEADS)}, found {unknown or 'none'}", where="heads")

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a model is trained."""

    epochs: int = 30
    """At most."""
    patience: int = 2
    """Epochs without a better validation loss after which training stops; 0 never stops."""
    batch_events: int | None = None
    """Places (padding counted) in a batch; None: a 256th of the training rows, within 512 and 8,192."""
    learning_rate: float = 5e-4
    """Of AdamW on the trunk, and on tables below `dense_rows` rows."""
    table_learning_rate: float = 0.05
    """Of row-wise Adagrad on the tables from `dense_rows` rows."""
    weight_decay: float = 0.01
    """Of AdamW."""
    decayed: Literal["matrices", "all"] = "matrices"
    """What is decayed: matrices, or vectors and tables of ids too."""
    warm_up: int = 100
    """Steps over which the learning rate rises."""
    dense_rows: int = 100_000
    """Rows from which an embedding table is updated by its touched rows alone."""
    clip: float = 1.0
    """Largest norm of the trunk's gradient."""
    seed: int = 0
    """Of weights, order and dropout."""
    average: float = 0.998
    """Decay of an exponential mean of the weights that is validated and kept; 0 for none."""
    objective: Objective = "mean"
    """What losses are added up to: the mean over queries; groups of users weighed alike; the worst group; the worst users.
    Early stopping goes by the same."""
    groups: str = "influencer"
    """Of `svsim.data.groups.GROUPINGS`, for `reweight` and `group-dro`."""
    group_step: float = 0.01
    """η of `group-dro`: a group whose loss is 1 above another's gains on it by the factor exp(η) a step."""
    worst_share: float = 0.3
    """α of `cvar`: share of the users, the worst served, that count."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_events"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"expected at least 1, found {value}", where=name)
        if not self.learning_rate > 0:
            raise OptionError(f"expected a number above 0, found {self.learning_rate}", where="learning_rate")
        if not 0 <= self.average < 1:
            raise OptionError(f"expected a number in [0, 1), found {self.average}", where="average")
        self._check_objective()

    def _check_objective(self) -> None:
        if self.objective not in OPTIONS_OF:
            raise OptionError(
                f"expected an objective of {', '.join(OPTIONS_OF)}, found {self.objective!r}", where="objective"
            )
        for name in self._unread():
            if getattr(self, name) != getattr(TrainingConfig, name):
                readers = " or ".join(reader for reader, read in OPTIONS_OF.items() if name in read)
                raise OptionError(
                    f"expected it with the objective {readers} alone, found it with {self.objective}",
                    where=name,
                    remedy="leave it out, or name that objective",
                )
        if self.groups not in GROUPINGS:
            raise UnknownNameError(
                f"expected a grouping of {', '.join(GROUPINGS)}, found {self.groups!r}", where="groups"
            )
        if not 0 < self.group_step < math.inf:
            raise OptionError(f"expected a number above 0, found {self.group_step}", where="group_step")
        if not 0 < self.worst_share <= 1:
            raise OptionError(f"expected a share in (0, 1], found {self.worst_share}", where="worst_share")

    def _unread(self) -> list[str]:
        """Options that other objectives read and this one does not."""
        return sorted({name for read in OPTIONS_OF.values() for name in read} - set(OPTIONS_OF[self.objective]))

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file.

        Options that the objective does not read are left out, and so is the objective `mean`: a run of before there was a
        choice is the same run.
        """
        told = dataclasses.asdict(self)
        for name in (*self._unread(), *(("objective",) if self.objective == "mean" else ())):
            del told[name]
        return told


PRESETS: dict[str, tuple[ModelConfig, TrainingConfig]] = {
    "default": (ModelConfig(), TrainingConfig()),
    "small": (
        ModelConfig(preset="small", width=32, blocks=1, length=100),
        TrainingConfig(epochs=3, batch_events=2_048, learning_rate=3e-3, average=0.99),
    ),
    "paper": (
        ModelConfig(
            preset="paper",
            heads=("wtr", "binary"),
            width=128,
            blocks=4,
            attention_heads=4,
            positions="learned",
            fields="concat",
            content=False,
            user_ids=True,
            dropout=0.2,
            id_dropout=0.0,
            moment_dropout=0.0,
        ),
        TrainingConfig(
            epochs=75,
            patience=5,
            batch_events=100_000,
            learning_rate=1e-3,
            weight_decay=1e-3,
            decayed="all",
            average=0.0,
        ),
    ),
}
"""By name: `default`, `small` (about a minute, for demonstrations and tests), `paper` (the seed's: 4 × 32 concatenated,
4 blocks, 4 heads, T 500, learned positions, 75 epochs, batches of 200 users, lr and weight decay 1e-3)."""


def preset(name: str, *, head: str = "multi") -> tuple[ModelConfig, TrainingConfig]:
    """The model and training of a preset.

    Args:
        name: Of `PRESETS`.
        head: `multi` for the preset's own heads, or one of `HEADS`.

    Raises:
        UnknownNameError: No such preset or head.
    """
    if name not in PRESETS:
        raise UnknownNameError(f"expected a preset of {', '.join(PRESETS)}, found {name!r}", where="--preset")
    if head not in ("multi", *HEADS):
        raise UnknownNameError(f"expected a head of multi, {', '.join(HEADS)}, found {head!r}", where="--head")
    model, training = PRESETS[name]
    if head != "multi":
        model = dataclasses.replace(model, heads=(head,))
    return model, training
