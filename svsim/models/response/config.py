"""What a response model is made of, and how it is trained."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from svsim.errors import OptionError

__all__ = ["ResponseConfig", "ResponseTraining"]

MOST_EPOCHS, FEWEST_EPOCHS, ROWS_SEEN = 10, 3, 15_000_000


@dataclass(frozen=True, kw_only=True)
class ResponseConfig:
    """Sizes of the network."""

    members: int = 5
    """Networks of the ensemble."""
    hidden: int = 64
    """Width of each one's two hidden layers."""
    dropout: float = 0.2
    """On hidden layers while training."""
    limits_weight: float = 2.0
    """Of the limits of click and long view in the loss, beside the likelihood of the whole."""
    prior_strength: float = 400.0
    """How firmly the costs of repetition are held to their prior, in nats a unit squared over the whole log."""

    def __post_init__(self) -> None:
        for name in ("members", "hidden"):
            if getattr(self, name) < 1:
                raise OptionError(f"expected at least 1, found {getattr(self, name)}", where=f"--{name}")
        if not 0 <= self.dropout < 1:
            raise OptionError(f"expected a number in [0, 1), found {self.dropout}", where="dropout")

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class ResponseTraining:
    """How it is trained."""

    epochs: int | None = None
    """At most; None: ten, fewer for long logs: as many as see fifteen million rows, three at least."""
    patience: int = 3
    """Epochs without a better validation loss after which training stops."""
    batch: int | None = None
    """Rows of a batch; None: a 200th of the training rows, within 512 and 2,048."""
    learning_rate: float = 4e-3
    """Of AdamW; falls to a tenth over the epochs."""
    weight_decay: float = 0.1
    """Of AdamW, on matrices."""
    average: float = 0.995
    """Decay of an exponential mean of the weights that is validated and kept."""
    rows: int = 5_000_000
    """Training rows at most: those of the first users, whole."""
    weights: Literal["none", "propensity"] = "none"
    """`propensity` weighs rows of the standard log by their odds of having been shown by chance, so that both logs speak of
    the pool's videos; needs a random log."""
    random_weight: float = 10.0
    """What a row of the random log counts: they are few, and say what no policy had chosen."""
    seed: int = 0
    """Of weights, order, dropout and resamples."""

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "rows", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"expected at least 1, found {value}", where=f"--{name}")
        if not self.learning_rate > 0:
            raise OptionError(f"expected a number above 0, found {self.learning_rate}", where="--learning-rate")
        if not 0 <= self.average < 1:
            raise OptionError(f"expected a number in [0, 1), found {self.average}", where="average")
        if self.weights not in ("none", "propensity"):
            raise OptionError(f"expected none or propensity, found {self.weights!r}", where="--weights")
        if not self.random_weight > 0:
            raise OptionError(f"expected a number above 0, found {self.random_weight}", where="random_weight")

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return dataclasses.asdict(self)

    def epochs_of(self, rows: int) -> int:
        """Epochs over so many training rows, at most."""
        if self.epochs is not None:
            return self.epochs
        return max(FEWEST_EPOCHS, min(MOST_EPOCHS, ROWS_SEEN // max(rows, 1)))
