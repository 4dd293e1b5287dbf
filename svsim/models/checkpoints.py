"""Runs on disk: `config.json`, `model.safetensors`, `inputs.safetensors`; never a pickle."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from svsim._version import __version__
from svsim.data.atomic import write_file
from svsim.data.run_folder import CONFIG
from svsim.data.store import FeedStore
from svsim.errors import RunError
from svsim.models.config import ModelConfig
from svsim.models.ids import IdMap
from svsim.models.inputs import Inputs
from svsim.models.network import SASRec4SV

__all__ = ["WEIGHTS_FILE", "Run", "load_run", "make_network", "save_inputs", "save_weights", "write_config"]

FORMAT, VERSION = "svsim-sasrec4sv", 1
WEIGHTS_FILE, INPUTS_FILE = "model.safetensors", "inputs.safetensors"


@dataclass
class Run:
    """A trained model.

    Attributes:
        path: Its folder.
        config: Sizes and forms.
        inputs: Id maps and scales.
        network: The network with its weights, ready to predict.
        manifest: `config.json`.
    """

    path: Path
    config: ModelConfig
    inputs: Inputs
    network: SASRec4SV
    manifest: Mapping[str, Any]

    def check(self, store: FeedStore) -> None:
        """Check that it was trained on a store.

        Raises:
            RunError: On another.
        """
        if self.manifest["store"] != store.fingerprint:
            raise RunError(
                f"expected a run of the store {store.fingerprint[:16]}, found one of {self.manifest['store'][:16]}",
                where=str(self.path),
                remedy=f"train on {store.path}, or name the store that the run was trained on",
            )


def make_network(config: ModelConfig, inputs: Inputs) -> SASRec4SV:
    """A network with random weights."""
    bag = torch.zeros(len(inputs.tag_sets) + 1, inputs.n_tags)
    for row, tags in enumerate(inputs.tag_sets):
        for tag in tags:
            bag[row + 1, tag] += 1 / len(tags)
    return SASRec4SV(config, (len(inputs.users), len(inputs.videos), len(inputs.authors)), bag)


def write_config(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `config.json`."""
    told = {"format": FORMAT, "version": VERSION, "svsim": __version__, **content}
    write_file(folder / CONFIG, (json.dumps(told, indent=1) + "\n").encode())


def save_inputs(folder: Path, inputs: Inputs) -> None:
    """Write id maps and scales."""
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "users": inputs.users.frequent,
        "videos": inputs.videos.frequent,
        "authors": inputs.authors.frequent,
        "tags": np.array([tag for tags in inputs.tag_sets for tag in tags], dtype=np.int64),
        "tag_counts": np.array([len(tags) for tags in inputs.tag_sets], dtype=np.int64),
        "number_mean": inputs.number_mean,
        "number_scale": inputs.number_scale,
        "duration_edges": inputs.duration_edges,
        "buckets": np.array([inputs.users.buckets], dtype=np.int64),
    }
    write_file(folder / INPUTS_FILE, save_arrays({k: np.ascontiguousarray(v) for k, v in arrays.items()}))


def save_weights(folder: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Write the weights."""
    write_file(folder / WEIGHTS_FILE, save_tensors({k: v.detach().cpu().contiguous() for k, v in state.items()}))


def read_config(folder: Path) -> dict[str, Any]:
    """Read `config.json`.

    Raises:
        RunError: Not a run of this program and version.
    """
    file = folder / CONFIG
    if not folder.is_dir():
        raise RunError(
            "expected a run, found nothing", where=str(folder), remedy="make one with `svsim train sasrec4sv`"
        )
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise ValueError("another format")
    except (OSError, ValueError) as error:
        raise RunError(
            f"expected the run of a SASRec4SV model, found {error}", where=str(file), remedy="train it again"
        ) from error
    if told.get("version") != VERSION:
        raise RunError(
            f"expected run format {VERSION}, found {told.get('version')}",
            where=str(folder),
            remedy="train again with this version of svsim",
        )
    return told


def load_run(folder: str | Path) -> Run:
    """Open a trained model.

    Raises:
        RunError: No run, one of another version, or its files are not what they should be.
    """
    folder = Path(folder)
    told = read_config(folder)
    fields = {field.name for field in dataclasses.fields(ModelConfig)}
    try:
        model: dict[str, Any] = dict(told["model"])
        model["heads"] = tuple(model["heads"])
        config = ModelConfig(**{name: value for name, value in model.items() if name in fields})
        inputs = _inputs(load_arrays((folder / INPUTS_FILE).read_bytes()))
        state = load_tensors((folder / WEIGHTS_FILE).read_bytes())
        network = make_network(config, inputs)
        network.load_state_dict(state)
    except FileNotFoundError as error:
        raise RunError(
            f"expected a finished epoch, found no {Path(str(error.filename)).name}",
            where=str(folder),
            remedy="run the training again: it goes on where it was",
        ) from error
    except (SafetensorError, KeyError, RuntimeError, TypeError, ValueError, OSError) as error:
        problem = str(error).splitlines()[0]
        raise RunError(
            f"expected weights that fit {CONFIG}, found: {problem}", where=str(folder), remedy="train it again"
        ) from error
    return Run(folder, config, inputs, network.eval(), told)


def _inputs(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Inputs:
    buckets = int(arrays["buckets"][0])
    ends = np.cumsum(arrays["tag_counts"])
    tags = [part.tolist() for part in np.split(arrays["tags"], ends[:-1])]
    return Inputs(
        users=IdMap(arrays["users"], buckets),
        videos=IdMap(arrays["videos"], buckets),
        authors=IdMap(arrays["authors"], buckets),
        tag_sets=tags,
        number_mean=arrays["number_mean"],
        number_scale=arrays["number_scale"],
        duration_edges=arrays["duration_edges"],
    )
