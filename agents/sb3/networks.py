"""Policies that score slots with shared weights: the number of a slot means nothing, so it must not matter.

A flat policy gives every slot weights of its own and has to learn the same thing K times. Here each slot's vector goes
through the same network together with what is known of the user, and its output is that slot's logit or value; permuting
the slots permutes the outputs (Zaheer et al. 2017, "Deep sets"). Empty slots, whose features are all zero, get no chance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib.common.maskable.policies import MaskableMultiInputActorCriticPolicy
from stable_baselines3 import DQN
from stable_baselines3.common.policies import MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import MultiInputPolicy, QNetwork
from torch import Tensor, nn

__all__ = ["MaskableSlotPolicy", "MaskedDQN", "SlotDQNPolicy", "SlotExtractor", "SlotPolicy", "legal_slots"]

EMPTY = -1e9


class SlotExtractor(BaseFeaturesExtractor):  # type: ignore[misc] # stable-baselines3 is not typed strictly
    """Vectors of the slots and of the user, flat: (B, (K + 1) · D + K).

    The user's vector is a network over the user's features and the mean and the newest of the history's event vectors; a
    slot's is a network over the candidate's features and the user's vector. Last come the K legal slots, as 0 and 1.

    Args:
        observation_space: The SB3 face's.
        slots: K.
        history: L.
        width: D.
        extra: Numbers that `more` adds to each slot.
    """

    def __init__(
        self, observation_space: spaces.Dict, slots: int, history: int, width: int = 64, extra: int = 0
    ) -> None:
        super().__init__(observation_space, features_dim=(slots + 1) * width + slots)
        sizes = {name: int(np.prod(space.shape or ())) for name, space in observation_space.spaces.items()}
        self.slots, self.history, self.width = slots, history, width
        self.candidate, self.event = sizes["candidates"] // slots, sizes["history"] // history
        self.event_in = nn.Sequential(nn.Linear(self.event, width), nn.ReLU())
        self.user_in = nn.Sequential(nn.Linear(sizes["user"] + 2 * width, width), nn.ReLU())
        self.slot_in = nn.Sequential(
            nn.Linear(self.candidate + extra + width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )

    def more(self, observations: dict[str, Tensor]) -> Tensor | None:  # noqa: ARG002 - for those that know more
        """(B, K, extra) further features of the slots."""
        return None

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Vectors of an observation's slots and user."""
        candidates = observations["candidates"].reshape(-1, self.slots, self.candidate)
        events = observations["history"].reshape(-1, self.history, self.event)
        seen = (events != 0).any(dim=-1, keepdim=True)
        vectors = self.event_in(events) * seen
        mean = vectors.sum(dim=1) / seen.sum(dim=1).clamp(min=1)
        user = self.user_in(torch.cat([observations["user"], mean, vectors[:, -1]], dim=-1))
        parts = [candidates, user.unsqueeze(1).expand(-1, self.slots, -1)]
        more = self.more(observations)
        if more is not None:
            parts.append(more)
        slots = self.slot_in(torch.cat(parts, dim=-1))
        return torch.cat([slots.flatten(1), user, legal_slots(candidates).to(user.dtype)], dim=-1)


def legal_slots(candidates: Tensor) -> Tensor:
    """(B, K) whether a slot holds a video: an empty one has no feature that is not zero."""
    return (candidates != 0).any(dim=-1)


class _Slots(nn.Module):
    """Takes apart what `SlotExtractor` puts together."""

    def __init__(self, slots: int, width: int) -> None:
        super().__init__()
        self.slots, self.width = slots, width

    def parts(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Slots (B, K, D), user (B, D), legal (B, K)."""
        size = self.slots * self.width
        slots = features[:, :size].reshape(-1, self.slots, self.width)
        return slots, features[:, size : size + self.width], features[:, size + self.width :] > 0


class SlotHead(_Slots):
    """(B, K) a number for each slot; of empty ones a very small one."""

    def __init__(self, slots: int, width: int) -> None:
        super().__init__(slots, width)
        self.out = nn.Linear(width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits or values."""
        slots, _, legal = self.parts(features)
        numbers: Tensor = self.out(slots).squeeze(-1)
        return numbers.masked_fill(~legal, EMPTY)


class ValueHead(_Slots):
    """(B, 1) the value of an observation, whatever the order of its slots."""

    def __init__(self, slots: int, width: int) -> None:
        super().__init__(slots, width)
        self.out = nn.Sequential(nn.Linear(3 * width, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Values."""
        slots, user, legal = self.parts(features)
        there = legal.unsqueeze(-1)
        mean = (slots * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)
        most = slots.masked_fill(~there, 0.0).amax(dim=1)
        value: Tensor = self.out(torch.cat([user, mean, most], dim=-1))
        return value


class _SlotMixin:
    """An actor and a critic over `SlotExtractor`."""

    def _build(self, lr_schedule: Any) -> None:
        policy: Any = self
        super()._build(lr_schedule)  # type: ignore[misc]
        extractor = policy.features_extractor
        policy.action_net = SlotHead(extractor.slots, extractor.width)
        policy.value_net = ValueHead(extractor.slots, extractor.width)
        # Small at first, so that the policy begins near uniform.
        nn.init.orthogonal_(policy.action_net.out.weight, gain=0.01)
        trained = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        policy.optimizer = policy.optimizer_class(trained, lr=lr_schedule(1), **policy.optimizer_kwargs)


class SlotPolicy(_SlotMixin, MultiInputActorCriticPolicy):  # type: ignore[misc]
    """For PPO and A2C."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "net_arch": []})


class MaskableSlotPolicy(_SlotMixin, MaskableMultiInputActorCriticPolicy):  # type: ignore[misc]
    """For MaskablePPO."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "net_arch": []})


class _SlotQNetwork(QNetwork):  # type: ignore[misc]
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "net_arch": []})
        self.q_net = SlotHead(self.features_extractor.slots, self.features_extractor.width)


class SlotDQNPolicy(MultiInputPolicy):  # type: ignore[misc]
    """For DQN: each slot's value by the same network."""

    def make_q_net(self) -> QNetwork:
        """The network of action values."""
        return _SlotQNetwork(**self._update_features_extractor(self.net_args, features_extractor=None)).to(self.device)


class MaskedDQN(DQN):  # type: ignore[misc]
    """DQN that explores among legal slots alone.

    What it serves greedily is legal already where the policy is `SlotDQNPolicy`.
    """

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray[Any, Any], Any]:
        """Greedy actions, with the exploration rate any legal ones."""
        if deterministic or self.random.random() >= self.exploration_rate:
            action, state = self.policy.predict(observation, state, episode_start, deterministic)
            return action, state
        return self._explored(observation), state

    def _sample_action(self, learning_starts: int, action_noise: Any = None, n_envs: int = 1) -> Any:  # noqa: ARG002
        if self.num_timesteps < learning_starts:
            action = self._explored(self._last_obs)
        else:
            action, _ = self.predict(self._last_obs)
        return action, action

    def _explored(self, observation: Any) -> np.ndarray[Any, Any]:
        candidates = observation["candidates"].reshape(len(observation["candidates"]), self.action_space.n, -1)
        legal = (candidates != 0).any(axis=-1)
        return np.asarray(np.argmax(np.where(legal, self.random.random(legal.shape), -1.0), axis=1))

    @property
    def random(self) -> np.random.Generator:
        """Draws of exploration, by the algorithm's seed."""
        if not hasattr(self, "_random"):
            self._random = np.random.default_rng(self.seed)
        return self._random
