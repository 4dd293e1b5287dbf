"""Training of the response model: the ensemble in torch, then calibration and leaving in numpy; resumed by epochs."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from svsim.data.ahead import mapped
from svsim.data.atomic import as_output_error, locked, write_file
from svsim.data.run_folder import FINISHED, history_csv, is_finished
from svsim.data.store import FeedStore
from svsim.errors import OptionError, RunError, TrainingError
from svsim.models.response.calibration import Calibration
from svsim.models.response.config import ResponseConfig, ResponseTraining
from svsim.models.response.forward import Forward
from svsim.models.response.leaving_rows import fit_leaving
from svsim.models.response.material import Material
from svsim.models.response.network import ResponseNetwork, Targets
from svsim.models.response.propensity import chance_odds
from svsim.models.response.runs import (
    Parts,
    ResponseRun,
    load_response,
    read_config,
    save_parts,
    write_config,
)
from svsim.randomness import keyed_hash

__all__ = ["train_response"]

Array = npt.NDArray[Any]
Progress = Callable[[str, int, int | None], None]
STATE = "state.pt"
VALID_ROWS = 500_000


def train_response(
    store: FeedStore,
    out: str | Path,
    config: ResponseConfig | None = None,
    training: ResponseTraining | None = None,
    *,
    progress: Progress | None = None,
) -> ResponseRun:
    """Train a response model on a store's training split, calibrated on its validation split.

    The run grows in its folder. Interrupted, the same call goes on from the last epoch and ends with the same weights;
    finished, it returns at once. The calibration card is made by `svsim.response.card.make_card`.

    Args:
        store: Its training and validation splits.
        out: Folder of the run.
        config: Sizes.
        training: How.
        progress: Told of steps.

    Raises:
        OptionError: The store has no validation rows; `propensity` without a random log.
        OutputError: The folder holds something else.
        TrainingError: The loss is not finite.
    """
    out, config, training = Path(out), config or ResponseConfig(), training or ResponseTraining()
    span = _span(store, training.rows)
    for split in ("train", "valid"):
        rows = store.split_rows(split)
        if not len(rows):
            raise OptionError(
                f"expected rows in the split {split!r}, found none",
                where=str(store.path),
                remedy="prepare with --split",
            )
        if not len(_within(rows, span)):
            raise OptionError(
                f"expected users who have rows in the split {split!r}, found none among those of {training.rows:,} rows",
                where="--rows",
                remedy="ask for more",
            )
    manifest = {"model": config.as_dict(), "training": training.as_dict(), "store": store.fingerprint}
    if is_finished(out, manifest, read_config):
        return load_response(out)
    with as_output_error(out):
        out.mkdir(parents=True, exist_ok=True)
        write_config(out, manifest)
    with locked(out):
        _Trainer(store, out, config, training, progress or (lambda *_: None)).run()
    return load_response(out)


class _Trainer:
    """One run of training; see `train_response`."""

    def __init__(
        self, store: FeedStore, out: Path, config: ResponseConfig, training: ResponseTraining, tell: Progress
    ) -> None:
        self.store, self.out, self.config, self.training, self.tell = store, out, config, training, tell
        tell("features", 0, None)
        span = _span(store, training.rows)
        self.material = Material(store, span=span)
        train, valid = (_within(store.split_rows(split), span) for split in ("train", "valid"))
        self.rows, self.valid_rows = train, valid[:: max(1, len(valid) // VALID_ROWS)]
        self.past = self.material.log.past_of(self.rows, "training")
        self.valid_past = self.material.log.past_of(self.valid_rows, "running")
        self.scales = self.material.fit_scales(self.past)
        self.baseline, self.flags = self.material.fit_plays(self.rows)
        self.weight = self._row_weights()
        self.batch = training.batch or int(np.clip(len(self.rows) // 200, 512, 2_048))
        self.epochs = training.epochs_of(len(self.rows))
        self.steps_an_epoch = max(len(self.rows) // self.batch, 1)
        torch.manual_seed(training.seed)
        scales = self.scales
        self.network = ResponseNetwork(config, (len(scales.user_mean), len(scales.video_mean), len(scales.both_mean)))
        matrices = [p for p in self.network.parameters() if p.dim() > 1]
        others = [p for p in self.network.parameters() if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=training.learning_rate,
        )
        self.mean = self._copies()
        self.best = self._copies()
        self.history: list[dict[str, float]] = []
        self.epoch = self.step = self.worse = 0
        # Each member sees its own resample of the users: the Bayesian bootstrap (Rubin 1981).
        rng = np.random.default_rng(np.random.SeedSequence([training.seed, 1]))
        self.resample = rng.exponential(1.0, (config.members, store.n_users + 1)).astype(np.float32)
        self.user = store.events["user"][self.rows]

    def _row_weights(self) -> Array:
        chance = self.store.events["is_rand"][self.rows] > 0
        weight = np.where(chance, self.training.random_weight, 1.0).astype(np.float32)
        if self.training.weights == "propensity":
            weight[~chance] *= chance_odds(self.material, self.past, self.training.seed)[~chance]
        return np.asarray(weight / weight.mean())

    def run(self) -> None:
        """Train to the end, then fit what follows."""
        self._resume()
        writer = self._writer()
        try:
            while self.epoch < self.epochs and self.worse < self.training.patience:
                self._run_epoch(writer)
        finally:
            writer.close()
        self._finish()

    def _writer(self) -> Any:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.utils.tensorboard import SummaryWriter
        return SummaryWriter(str(self.out / "tensorboard"), purge_step=self.step)

    # --- epochs -------------------------------------------------------------------------------------------------------

    def _run_epoch(self, writer: Any) -> None:
        self.network.train()
        order = np.random.default_rng(np.random.SeedSequence([self.training.seed, 2, self.epoch])).permutation(
            len(self.rows)
        )
        sums: dict[str, float] = {}
        # Ascending within the batch: rows of one user lie together in memory.
        parts = (np.sort(order[n * self.batch : (n + 1) * self.batch]) for n in range(self.steps_an_epoch))
        for number, (inputs, targets, weight) in enumerate(mapped(self._gathered, parts)):
            for name, value in self._learn(inputs, targets, weight).items():
                sums[name] = sums.get(name, 0.0) + value
            self.step += 1
            self.tell(f"epoch {self.epoch + 1}", number + 1, self.steps_an_epoch)
        told = {"epoch": float(self.epoch + 1), "steps": float(self.step)}
        told.update({f"train_{name}": value / self.steps_an_epoch for name, value in sums.items()})
        self._close_epoch(told, writer)

    def _gathered(self, part: Array) -> tuple[list[Tensor], Targets, Tensor]:
        """Inputs, targets and (M, n) weights of some training rows."""
        inputs = [torch.from_numpy(np.ascontiguousarray(a)) for a in self.material.inputs(self.past, part, self.scales)]
        targets = _targets(self.material.targets(self.rows[part], self.baseline))
        return inputs, targets, torch.from_numpy(self.weight[part] * self.resample[:, self.user[part]])

    def _learn(self, inputs: list[Tensor], targets: Targets, weight: Tensor) -> dict[str, float]:
        torch.manual_seed(int(keyed_hash(self.training.seed, self.step)[()] & np.uint64(0x7FFF_FFFF)))
        whole = self.epochs * self.steps_an_epoch
        fall = 0.1 + 0.45 * (1 + math.cos(math.pi * self.step / whole))
        for group in self.optimizer.param_groups:
            group["lr"] = self.training.learning_rate * min(1.0, (self.step + 1) / 100) * fall
        outputs = self.network((inputs[0], inputs[1], inputs[2]), inputs[3], inputs[4])
        found = {name: (each * weight).mean() for name, each in self.network.losses(outputs, targets).items()}
        # Members do not share weights: their losses are added.
        loss = self.config.members * torch.stack(list(found.values())).sum() + self.network.prior_loss() / len(
            self.rows
        )
        if not math.isfinite(float(loss.detach())):
            raise TrainingError(
                f"the loss is {float(loss.detach())} at step {self.step + 1}",
                where=str(self.out),
                remedy="lower --learning-rate",
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        decay = min(self.training.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.named_parameters():
                self.mean[name].mul_(decay).add_(value, alpha=1 - decay)
        return {name: float(value.detach()) for name, value in found.items()}

    def _close_epoch(self, told: dict[str, float], writer: Any) -> None:
        told.update({f"valid_{name}": value for name, value in self._validate().items()})
        if all(told["valid_loss"] < row["valid_loss"] for row in self.history):
            self.best, self.worse = {name: value.clone() for name, value in self.mean.items()}, 0
        else:
            self.worse += 1
        self.history.append(told)
        self.epoch += 1
        for name, value in told.items():
            writer.add_scalar(f"epoch/{name}", value, self.epoch)
        with as_output_error(self.out):
            write_file(self.out / "history.csv", history_csv(self.history))
            content = io.BytesIO()
            torch.save(self._state(), content)
            write_file(self.out / STATE, content.getvalue())

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Losses of the members' mean on the validation split."""
        outputs = torch.from_numpy(self.material.outputs(self.valid_past, Forward(_arrays(self.mean), self.scales)))
        targets = _targets(self.material.targets(self.valid_rows, self.baseline))
        self.network.eval()
        found = {name: float(each.mean()) for name, each in self.network.losses(outputs.unsqueeze(0), targets).items()}
        return {**found, "loss": sum(found.values())}

    def _copies(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.network.named_parameters()}

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "mean": self.mean,
            "best": self.best,
            "history": self.history,
            "counters": [self.epoch, self.step, self.worse],
        }

    def _resume(self) -> None:
        file = self.out / STATE
        if not file.exists():
            return
        try:
            state = torch.load(file, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.mean, self.best, self.history = state["mean"], state["best"], state["history"]
            self.epoch, self.step, self.worse = state["counters"]
        except Exception as error:
            raise RunError(
                f"expected the state of an interrupted run, found {type(error).__name__}: {str(error).splitlines()[0]}",
                where=str(file),
                remedy="remove the run's folder and train again",
            ) from error

    # --- what follows -------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Calibrate, fit leaving, write the run."""
        weights = _arrays(self.best)
        forward = Forward(weights, self.scales)
        self.tell("calibration", 0, None)
        outputs = self.material.outputs(self.valid_past, forward)
        targets = self.material.targets(self.valid_rows, self.baseline)
        like = targets["flags"][:, :1] * forward.flag_like
        calibration = Calibration.fit(
            outputs,
            self.store.events["is_rand"][self.valid_rows] > 0,
            targets["lived"],
            targets["ended"],
            targets["flags"],
            targets["play"] @ forward.flag_play.T + like,
        )
        self.tell("leaving", 0, None)
        leaving = fit_leaving(self.material, self.rows, forward, self.baseline, self.flags, calibration)
        best = min(self.history, key=lambda row: row["valid_loss"])
        save_parts(
            self.out,
            weights,
            Parts(self.scales, self.material.past.usual, self.baseline, self.flags, calibration, leaving),
        )
        with as_output_error(self.out):
            write_file(self.out / FINISHED, (json.dumps(best, indent=1) + "\n").encode())
            (self.out / STATE).unlink(missing_ok=True)


def _span(store: FeedStore, most: int) -> tuple[int, int]:
    """First row, and the one past the last, of the first users, as many as make up the training rows asked for.

    Ids tell nothing of a user, so the first are as good as any; the rows of the others need not be gathered.
    """
    train = store.split_rows("train")
    if len(train) <= most:
        return 0, store.n_events
    owners = np.asarray(store.events["user"][train])
    last = int(owners[most])
    users = store.users
    if last > owners[0]:
        return 0, int(users["first_event"][last])
    return 0, int(users["first_event"][last] + users["n_events"][last])


def _within(rows: npt.NDArray[np.int64], span: tuple[int, int]) -> npt.NDArray[np.int64]:
    return np.asarray(rows[(rows >= span[0]) & (rows < span[1])])


def _targets(arrays: dict[str, Array]) -> Targets:
    return Targets(**{name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in arrays.items()})


def _arrays(tensors: dict[str, Tensor]) -> dict[str, Array]:
    return {name: value.detach().numpy() for name, value in tensors.items()}
