"""Response models on disk: `config.json`, `model.safetensors`, `parts.safetensors`, later `card.json`; never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from svsim._version import __version__
from svsim.data.atomic import as_output_error, write_file
from svsim.data.run_folder import CONFIG
from svsim.data.store import FeedStore
from svsim.errors import RunError
from svsim.models.response.calibration import Calibration
from svsim.models.response.forward import Forward
from svsim.models.response.inputs import Scales
from svsim.models.response.leaving import Leaving
from svsim.models.response.outcomes import WatchFlags
from svsim.models.response.usual import Usual
from svsim.models.response.watch import PlayBaseline

__all__ = [
    "CARD",
    "Parts",
    "ResponseRun",
    "load_response",
    "read_config",
    "save_parts",
    "write_config",
]

FORMAT, VERSION = "svsim-response", 1
WEIGHTS, PARTS, CARD = "model.safetensors", "parts.safetensors", "card.json"


@dataclass(frozen=True)
class Parts:
    """What belongs to a response model beside the network's weights."""

    scales: Scales
    usual: Usual
    baseline: PlayBaseline
    flags: WatchFlags
    calibration: Calibration
    leaving: Leaving

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """By name, for a file."""
        scales = {f"scales.{name}": np.asarray(value) for name, value in vars(self.scales).items()}
        return {
            **scales,
            "usual.weight": self.usual.weight,
            "usual.habits": self.usual.habits,
            "baseline.first_second": self.baseline.first_second,
            "baseline.rate": self.baseline.rate,
            "flags.click": self.flags.click,
            "flags.long_view": self.flags.long_view,
            "calibration.slope": self.calibration.slope,
            "calibration.shift": self.calibration.shift,
            "leaving.leave": self.leaving.leave,
            "leaving.gap": self.leaving.gap,
            "leaving.gap_sd": np.array([self.leaving.gap_sd]),
            "leaving.follows": self.leaving.follows,
            "leaving.whole": np.array([self.leaving.whole]),
            "leaving.gap_quantiles": self.leaving.gap_quantiles,
        }

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Parts:
        """What `arrays` gave."""
        a = arrays
        return cls(
            Scales(**{name.removeprefix("scales."): value for name, value in a.items() if name.startswith("scales.")}),
            Usual(a["usual.weight"], a["usual.habits"]),
            PlayBaseline(a["baseline.first_second"], a["baseline.rate"]),
            WatchFlags(a["flags.click"], a["flags.long_view"]),
            Calibration(a["calibration.slope"], a["calibration.shift"]),
            Leaving(
                a["leaving.leave"],
                a["leaving.gap"],
                float(a["leaving.gap_sd"][0]),
                a["leaving.follows"],
                a["leaving.gap_quantiles"],
                bool(a["leaving.whole"][0]),
            ),
        )


@dataclass(frozen=True)
class ResponseRun:
    """A trained response model.

    Attributes:
        path: Its folder.
        forward: The network.
        parts: The rest.
        manifest: `config.json`.
        card: `card.json`, None where it has not been made.
    """

    path: Path
    forward: Forward
    parts: Parts
    manifest: Mapping[str, Any]
    card: Mapping[str, Any] | None

    def check(self, store: FeedStore) -> None:
        """Check that it was trained on a store.

        Raises:
            RunError: On another.
        """
        if self.manifest["store"] != store.fingerprint:
            raise RunError(
                f"expected a response model of the store {store.fingerprint[:16]}, found one of"
                f" {str(self.manifest['store'])[:16]}",
                where=str(self.path),
                remedy=f"train one by `svsim train response --store {store.path}`, or name the store it was trained on",
            )

    def check_card(self) -> None:
        """Check that its calibration card passed, or was accepted as it is.

        Raises:
            RunError: It has none, or a bad one.
        """
        if self.card is None:
            raise RunError(
                "expected a response model with a calibration card, found none",
                where=str(self.path),
                remedy="run `svsim train response` with the same arguments again: it goes on where it was",
            )
        if not self.card["passed"] and not self.card.get("accepted"):
            failed = [gate["name"] for gate in self.card["gates"] if gate["verdict"] == "failed"]
            raise RunError(
                f"expected a calibration card that passed, found {len(failed)} failed gates ({', '.join(failed[:3])})",
                where=str(self.path),
                remedy="train it with --accept-bad-card if you want it all the same: the run is marked",
            )


def write_config(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `config.json`."""
    told = {"format": FORMAT, "version": VERSION, "svsim": __version__, **content}
    write_file(folder / CONFIG, (json.dumps(told, indent=1) + "\n").encode())


def read_config(folder: Path) -> dict[str, Any]:
    """Read `config.json`.

    Raises:
        RunError: Not a response model of this program and version.
    """
    file = folder / CONFIG
    remedy = "make one with `svsim train response`"
    if not folder.is_dir():
        raise RunError("expected a response model, found nothing", where=str(folder), remedy=remedy)
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"expected a response model, found {error}", where=str(file), remedy=remedy) from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        found = told.get("format") if isinstance(told, dict) else type(told).__name__
        raise RunError(f"expected a response model, found {found}", where=str(file), remedy=remedy)
    if told.get("version") != VERSION:
        raise RunError(
            f"expected run format {VERSION}, found {told.get('version')}",
            where=str(folder),
            remedy="train again with this version of svsim",
        )
    if not isinstance(told.get("store"), str):
        raise RunError("expected the fingerprint of its store, found none", where=str(file), remedy=remedy)
    return told


def save_parts(folder: Path, weights: Mapping[str, npt.NDArray[Any]], parts: Parts) -> None:
    """Write weights and the rest."""
    with as_output_error(folder):
        for file, arrays in ((WEIGHTS, weights), (PARTS, parts.arrays())):
            content = save_arrays({name: np.ascontiguousarray(value) for name, value in arrays.items()})
            write_file(folder / file, content)


def load_response(folder: str | Path) -> ResponseRun:
    """Open a trained response model.

    Raises:
        RunError: No run, an unfinished one, one of another version, or its files are not what they should be.
    """
    folder = Path(folder)
    told = read_config(folder)
    try:
        parts = Parts.of(load_arrays((folder / PARTS).read_bytes()))
        forward = Forward(load_arrays((folder / WEIGHTS).read_bytes()), parts.scales)
    except FileNotFoundError as error:
        raise RunError(
            f"expected a finished training, found no {Path(str(error.filename)).name}",
            where=str(folder),
            remedy="run the training again: it goes on where it was",
        ) from error
    except (SafetensorError, LookupError, TypeError, ValueError, OSError) as error:
        raise RunError(
            f"expected a response model's files, found: {str(error).splitlines()[0]}",
            where=str(folder),
            remedy="remove the folder and train it again",
        ) from error
    return ResponseRun(folder, forward, parts, told, _read_card(folder))


def _read_card(folder: Path) -> dict[str, Any] | None:
    file = folder / CARD
    if not file.exists():
        return None
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(card, dict) or not {"passed", "gates"} <= card.keys():
            raise ValueError("another file")
    except (OSError, ValueError) as error:
        raise RunError(
            f"expected a calibration card, found {error}",
            where=str(file),
            remedy="remove it and run `svsim train response` with the same arguments again: it makes another",
        ) from error
    return card
