"""Trained policies on disk: `config.json` and `model.safetensors`; stable-baselines3's own files hold pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from svsim._version import __version__
from svsim.agents.sb3.networks import MaskableSlotPolicy, SlotDQNPolicy, SlotExtractor, SlotPolicy
from svsim.data.atomic import write_file
from svsim.data.features import candidate_feature_names
from svsim.data.run_folder import CONFIG, beside
from svsim.data.store import FeedStore
from svsim.envs.sb3 import Flattening
from svsim.envs.spaces import observation_space
from svsim.errors import RunError

__all__ = [
    "Layout",
    "SB3Run",
    "load_policy",
    "policy_class",
    "policy_options",
    "read_config",
    "save_policy",
    "write_config",
]

FORMAT, VERSION = "svsim-sb3", 1
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Layout:
    """Shape of the observations that a policy reads: K slots of C features, L events, U user features."""

    slots: int
    features: int
    history: int
    user: int

    @classmethod
    def of(cls, observation: Mapping[str, Any]) -> Layout:
        """The layout of a batch of observations, or of a single environment's space."""
        candidates, history, user = (observation[name].shape for name in ("candidates", "history", "user"))
        return cls(candidates[-2], candidates[-1], history[-2], user[-1])

    def __str__(self) -> str:
        return f"{self.slots} slots of {self.features} features, {self.history} past events, {self.user} user features"


@dataclass
class SB3Run:
    """A trained policy.

    Attributes:
        path: Its folder.
        policy: The policy with its weights, ready to act.
        flatten: From the environment's observations to the policy's.
        layout: Of the observations that it was trained on.
        manifest: `config.json`.
    """

    path: Path
    policy: Any
    flatten: Flattening
    layout: Layout
    manifest: Mapping[str, Any]


def policy_class(algo: str, policy: str) -> type[Any]:
    """The class of an algorithm's policy."""
    from sb3_contrib.common.maskable.policies import MaskableMultiInputActorCriticPolicy
    from stable_baselines3.common.policies import MultiInputActorCriticPolicy
    from stable_baselines3.dqn.policies import MultiInputPolicy

    flat = {"dqn": MultiInputPolicy, "maskable-ppo": MaskableMultiInputActorCriticPolicy}
    slots = {"dqn": SlotDQNPolicy, "maskable-ppo": MaskableSlotPolicy}
    found: type[Any] = flat.get(algo, MultiInputActorCriticPolicy) if policy == "flat" else slots.get(algo, SlotPolicy)
    return found


def policy_options(
    training: Mapping[str, Any], layout: Layout, store: FeedStore | None, folder: Path = Path()
) -> dict[str, Any]:
    """Arguments of a policy's class; a trunk is looked for beside the run's own folder first."""
    if training["policy"] == "flat":
        return {}
    options: dict[str, Any] = {"slots": layout.slots, "history": layout.history, "width": training["width"]}
    if training["policy"] == "slots":
        return {"features_extractor_class": SlotExtractor, "features_extractor_kwargs": options}
    from svsim.agents.sb3.trunk import TrunkExtractor

    options |= {"run": beside(folder, training["trunk"]), "store": store}
    return {"features_extractor_class": TrunkExtractor, "features_extractor_kwargs": options}


def write_config(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `config.json`."""
    told = {"format": FORMAT, "version": VERSION, "svsim": __version__, **content}
    write_file(folder / CONFIG, (json.dumps(told, indent=1) + "\n").encode())


def save_policy(folder: Path, policy: Any) -> None:
    """Write the weights."""
    state = {name: value.detach().cpu().contiguous().clone() for name, value in policy.state_dict().items()}
    write_file(folder / WEIGHTS, save_tensors(state))


def read_config(folder: Path) -> dict[str, Any]:
    """Read `config.json`.

    Raises:
        RunError: Not a run of this program and version.
    """
    file = folder / CONFIG
    if not folder.is_dir():
        raise RunError("expected a run, found nothing", where=str(folder), remedy="make one with `svsim train sb3`")
    try:
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise ValueError("another format")
    except (OSError, ValueError) as error:
        raise RunError(f"expected the run of `svsim train sb3`, found {error}", where=str(file)) from error
    if told.get("version") != VERSION:
        raise RunError(
            f"expected run format {VERSION}, found {told.get('version')}",
            where=str(folder),
            remedy="train again with this version of svsim",
        )
    return told


def load_policy(folder: Path, store: FeedStore) -> SB3Run:
    """Open a trained policy.

    Args:
        folder: Of the run.
        store: That it will act on.

    Raises:
        RunError: No run, one of another version, or its files are not what they should be.
    """
    told = read_config(folder)
    try:
        layout, training = Layout(**told["layout"]), told["training"]
        space = observation_space(
            candidates=layout.slots,
            history=layout.history,
            candidate_features=candidate_feature_names(store),
            n_users=store.n_users,
            n_videos=store.n_videos,
            n_authors=store.n_authors,
        )
        flatten = Flattening(space, training["policy"] == "trunk")
        policy = policy_class(training["algo"], training["policy"])(
            flatten.space,
            spaces.Discrete(layout.slots),
            lambda _: 0.0,
            **policy_options(training, layout, store, folder),
        )
        policy.load_state_dict(load_tensors((folder / WEIGHTS).read_bytes()))
    except FileNotFoundError as error:
        raise RunError(
            "expected a policy, found none yet", where=str(folder), remedy="run the training again: it goes on"
        ) from error
    except (SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise RunError(
            f"expected weights that fit {CONFIG}, found: {str(error).splitlines()[0]}",
            where=str(folder),
            remedy="train it again",
        ) from error
    policy.set_training_mode(False)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.requires_grad_(False)
    return SB3Run(folder, policy, flatten, layout, told)
