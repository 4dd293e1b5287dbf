"""What training minimises: one loss a head, over real positions alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, huber_loss

from svsim.models.inputs import FEEDBACK_INPUTS
from svsim.models.watch import watch_bin
from svsim.models.windows import Batch, Material
from svsim.names import FLAGS

__all__ = ["LARGEST_RATIO", "WEIGHTS", "add_heads", "losses", "query_losses"]

LARGEST_RATIO = 5.0
"""Watch ratios above it count as it."""
WEIGHTS = {"wtr": 1.0, "binary": 1.0, "wtg": 0.5, "feedback": 1.0, "watch": 0.5}
"""Of each head where several are trained together."""

_RELEVANT = FEEDBACK_INPUTS.index("wtg")
_FLAGS = [FEEDBACK_INPUTS.index(name) for name in FLAGS]


def losses(each: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """Losses by head and, as `loss`, together: sums over this part's queries, over the number of queries of the whole batch.

    Args:
        each: Of `query_losses`.
        batch: Whose.
    """
    found = {name: value.sum() / max(batch.total, 1) for name, value in each.items()}
    return {**found, "loss": add_heads(found)}


def add_heads(found: dict[str, Tensor]) -> Tensor:
    """Losses of several heads as one, by `WEIGHTS`: of the same shape as each head's."""
    return torch.stack([WEIGHTS[name] * value for name, value in found.items()]).sum(dim=0)


def query_losses(outputs: dict[str, Tensor], batch: Batch, material: Material) -> dict[str, Tensor]:
    """Losses by head: (n,) of each of this part's queries, in the order of `batch.rows[batch.asked]`.

    Videos without a duration have no watch ratio and no gain: they count for the feedback alone.
    """
    device = next(iter(outputs.values())).device
    asked = torch.from_numpy(batch.asked).to(device)
    rows = batch.rows[batch.asked]
    timed = torch.from_numpy(material.timed[rows]).to(device)
    ratio = torch.from_numpy(material.ratio[rows]).to(device).clamp(max=LARGEST_RATIO)
    gain = torch.from_numpy(material.gain[rows]).to(device).clamp(-LARGEST_RATIO, LARGEST_RATIO)
    flags = torch.from_numpy(material.events.feedback[rows][:, _FLAGS]).to(device)
    relevant = torch.from_numpy(material.events.feedback[rows][:, _RELEVANT]).to(device)
    found: dict[str, Tensor] = {}
    for name, raw in outputs.items():
        given = raw[asked].float()
        if name == "wtr":
            each = huber_loss(given, ratio, reduction="none") * timed
        elif name == "binary":
            half = torch.from_numpy(material.half[rows]).to(device).float()
            each = binary_cross_entropy_with_logits(given, half, reduction="none") * timed
        elif name == "wtg":
            relevance = binary_cross_entropy_with_logits(given[:, 1], relevant, reduction="none")
            each = (huber_loss(given[:, 0], gain, reduction="none") + relevance) * timed
        elif name == "feedback":
            each = binary_cross_entropy_with_logits(given, flags, reduction="none").sum(dim=-1)
        else:
            each = cross_entropy(given, watch_bin(ratio), reduction="none") * timed
        found[name] = each
    return found
