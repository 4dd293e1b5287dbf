"""SASRec4SV's trunk as features: reinforcement learning that starts from what supervised learning knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from svsim.agents.observed import ObservedTokens
from svsim.agents.sb3.networks import SlotExtractor
from svsim.data.store import FeedStore, open_store
from svsim.envs.sb3 import unflattened

__all__ = ["TrunkExtractor"]


class TrunkExtractor(SlotExtractor):
    """`SlotExtractor` whose slots also have what a trained, frozen SASRec4SV makes of them.

    Each candidate's query attends to the observed history, as when the model scores it; the vector that the model's heads
    read becomes part of the slot's. No gradient reaches the model, and its weights are no part of the policy's.
    The environment's SB3 face has to give ids (`ids=True`).

    Args:
        observation_space: The SB3 face's.
        slots: K.
        history: L.
        run: Folder of `svsim train sasrec4sv`.
        store: The store that it was trained on, or its folder.
        width: D.
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        slots: int,
        history: int,
        run: str,
        store: str | FeedStore,
        width: int = 64,
    ) -> None:
        from svsim.models.checkpoints import load_run
        from svsim.models.scoring import Scorer

        opened = load_run(run)
        extra = opened.network.shared[0].out_features
        assert isinstance(extra, int)
        super().__init__(observation_space, slots, history, width, extra)
        # In a tuple: a module among the attributes would be trained and saved with the policy.
        self._trunk: tuple[Any, ...] = (
            Scorer(opened.network, history),
            ObservedTokens(opened, store if isinstance(store, FeedStore) else open_store(store)),
        )

    def more(self, observations: dict[str, Tensor]) -> Tensor | None:
        """(B, K, extra) what the frozen model makes of each candidate."""
        scorer, tokens = self._trunk
        flat = {name: values.detach().cpu().numpy() for name, values in observations.items()}
        observation = unflattened(flat, self.slots, self.history)
        cache = scorer.prefill(*tokens.history(observation, scorer.capacity))
        shared = scorer.shared(cache, tokens.candidates(observation))
        # Out of inference mode, where nothing may be learnt from.
        return torch.from_numpy(np.array(shared.numpy())).to(observations["candidates"].device)
