"""The training loop: validates every epoch, stops early, resumes bit for bit, runs under torchrun."""

from __future__ import annotations

import contextlib
import io
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from svsim.data.atomic import as_output_error, locked, write_file
from svsim.data.run_folder import CONFIG, FINISHED, history_csv, is_finished
from svsim.data.store import FeedStore
from svsim.errors import OptionError, RunError, TrainingError
from svsim.models.checkpoints import (
    Run,
    load_run,
    make_network,
    read_config,
    save_inputs,
    save_weights,
    write_config,
)
from svsim.models.config import ModelConfig, TrainingConfig
from svsim.models.embedding import Table
from svsim.models.inputs import Inputs
from svsim.models.losses import add_heads, losses, query_losses
from svsim.models.network import SASRec4SV
from svsim.models.objectives import make_objective
from svsim.models.parallel import Processes
from svsim.models.windows import Batch, Material, batches, count_batches, make_windows
from svsim.randomness import keyed_hash

__all__ = ["Progress", "Trainer", "train"]

Progress = Callable[[str, int, int | None], None]
STATE_FILE = "state.pt"
SAVE_SECONDS = 60.0
"""Between two saved states within an epoch."""


def train(
    store: FeedStore,
    out: str | Path,
    model: ModelConfig,
    training: TrainingConfig,
    *,
    progress: Progress | None = None,
    device: str = "cpu",
) -> Run:
    """Train SASRec4SV on a store's training split; the validation split says when to stop.

    The run grows in its folder. Interrupted, the same call goes on where it was and ends with the same weights; finished,
    it returns at once. Under `torchrun` each process takes its part of every batch, and the first one writes.

    Args:
        store: Its training and validation splits.
        out: Folder of the run.
        model: Sizes and forms.
        training: How.
        progress: Told of steps.
        device: Of torch.

    Raises:
        OptionError: The store has no validation rows, or training rows of one group where groups are told apart.
        OutputError: The folder holds something else.
        TrainingError: The loss is not finite.
    """
    return Trainer(store, Path(out), model, training, progress=progress, device=device).run()


class Trainer:
    """One run of training; see `train`."""

    def __init__(
        self,
        store: FeedStore,
        out: Path,
        model: ModelConfig,
        training: TrainingConfig,
        *,
        progress: Progress | None = None,
        device: str = "cpu",
    ) -> None:
        self.store, self.out, self.config, self.training = store, out, model, training
        self.tell = progress or (lambda *_: None)
        self.device = torch.device(device)
        self.processes = Processes.joined()
        if not len(store.split_rows("valid")):
            raise OptionError(
                "expected validation rows, found none", where=str(store.path), remedy="prepare with --split"
            )
        self.objective = make_objective(training, store)

    # --- set-up -------------------------------------------------------------------------------------------------------

    def run(self) -> Run:
        """Train to the end."""
        if self.processes.decide(self._claim):
            return load_run(self.out)
        # Two processes of one run know of each other; two runs in one folder must not.
        with locked(self.out) if self.processes.is_first else contextlib.nullcontext():
            return self._go_on()

    def _go_on(self) -> Run:
        self._set_up()
        self._resume()
        writer = self._writer()
        try:
            while self.epoch < self.training.epochs and not self._is_over():
                self._run_epoch(writer)
        finally:
            if writer is not None:
                writer.close()
        self._finish()
        return load_run(self.out)

    def _claim(self) -> bool:
        """Make the folder this run's; whether it is finished already."""
        if is_finished(self.out, self._manifest(), read_config):
            return True
        with as_output_error(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
        return False

    def _manifest(self) -> dict[str, Any]:
        return {"model": self.config.as_dict(), "training": self.training.as_dict(), "store": self.store.fingerprint}

    def _set_up(self) -> None:
        self.tell("features", 0, None)
        self.inputs = Inputs.fit(self.store, self.config)
        self.material = Material(self.store, self.inputs)
        torch.manual_seed(self.training.seed)
        self.network: SASRec4SV = make_network(self.config, self.inputs)
        self.tables = [part for part in self.network.modules() if isinstance(part, Table)]
        for table in self.tables:
            if len(table.weight) >= self.training.dense_rows:
                table.by_rows()
        self.network.to(self.device)
        self.tables = [table for table in self.tables if table.is_by_rows]
        self.optimizer = torch.optim.AdamW(_groups(self.network, self.training), fused=True)
        # Tables that are updated by rows stay out of the mean: a step would touch all of their rows.
        self.mean = _copies(self.network) if self.training.average else None
        length = self.config.length
        within = self.config.positions == "learned"
        self.valid = make_windows(self.store, "valid", length, "running", within=within)
        self.places = self.training.batch_events or int(np.clip(len(self.store.split_rows("train")) // 256, 512, 8_192))
        self.epoch = self.step = self.total_steps = self.worse = 0
        self.best = math.inf
        self.sums: dict[str, float] = {}
        self.history: list[dict[str, float]] = []
        if self.processes.is_first and not (self.out / CONFIG).exists():
            with as_output_error(self.out):
                save_inputs(self.out, self.inputs)
                write_config(
                    self.out, {**self._manifest(), "parameters": sum(p.numel() for p in self.network.parameters())}
                )

    def _writer(self) -> Any:
        if not self.processes.is_first:
            return None
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.utils.tensorboard import SummaryWriter
        return SummaryWriter(str(self.out / "tensorboard"), purge_step=self.total_steps)

    # --- epochs -------------------------------------------------------------------------------------------------------

    def _is_over(self) -> bool:
        return bool(self.training.patience) and self.worse >= self.training.patience

    def _run_epoch(self, writer: Any) -> None:
        self.network.train()
        order = np.random.default_rng(np.random.SeedSequence([self.training.seed, self.epoch]))
        within = self.config.positions == "learned"
        windows = make_windows(self.store, "train", self.config.length, "running", training=order, within=within)
        steps = count_batches(windows, self.places)
        saved = time.monotonic()
        for batch in batches(
            self.material,
            windows,
            "train",
            "running",
            places=self.places,
            order=order,
            part=(self.processes.rank, self.processes.count),
            skip=self.step,
        ):
            found = self._learn(batch)
            for name, value in found.items():
                self.sums[name] = self.sums.get(name, 0.0) + value
            self.step += 1
            self.total_steps += 1
            self.tell(f"epoch {self.epoch + 1}", self.step, steps)
            if writer is not None:
                writer.add_scalar("step/loss", found["loss"], self.total_steps)
            if time.monotonic() - saved >= SAVE_SECONDS:
                self._save_state()
                saved = time.monotonic()
        self._close_epoch(writer)

    def _close_epoch(self, writer: Any) -> None:
        """Validate, keep the weights if they are the best, write the history."""
        told = {"epoch": float(self.epoch + 1), "steps": float(self.total_steps)}
        told.update({f"train_{name}": value / max(self.step, 1) for name, value in self.sums.items()})
        kept = _copies(self.network) if self.mean is not None else {}
        _put(self.network, self.mean)
        told.update({f"valid_{name}": value for name, value in self.validate().items()})
        if self.objective is not None:
            told.update({_column("share", name): value for name, value in self.objective.shares.items()})
        better = told["valid_loss"] < self.best
        if better:
            self.best, self.worse = told["valid_loss"], 0
            if self.processes.is_first:
                with as_output_error(self.out):
                    save_weights(self.out, self.network.state_dict())
        else:
            self.worse += 1
        _put(self.network, kept)
        self.history.append(told)
        self.epoch, self.step, self.sums = self.epoch + 1, 0, {}
        if self.processes.is_first:
            with as_output_error(self.out):
                write_file(self.out / "history.csv", history_csv(self.history))
        if writer is not None:
            for name, value in told.items():
                writer.add_scalar(f"epoch/{name}", value, self.epoch)
        self._save_state()

    def validate(self) -> dict[str, float]:
        """Losses on the validation split: by head, and as `loss` what the objective is judged by.

        With an objective other than the mean, `mean` is the plain mean, and groups have their own.
        """
        self.network.eval()
        sums: dict[str, float] = {}
        kept: list[tuple[Tensor, Tensor]] = []
        total = 0
        with torch.no_grad():
            for batch in batches(self.material, self.valid, "valid", "running", places=2 * self.places):
                each = self._query_losses(batch)
                for name, value in losses(each, batch).items():
                    sums[name] = sums.get(name, 0.0) + float(value) * batch.total
                if self.objective is not None:
                    kept.append((add_heads(each).cpu(), self._users(batch)))
                total += batch.total
        found = {name: value / max(total, 1) for name, value in sums.items()}
        if self.objective is None:
            return found
        loss, user = (torch.cat(parts) for parts in zip(*kept, strict=True))
        groups = {_column("loss", name): value for name, value in self.objective.by_group(loss, user).items()}
        return {**found, "mean": found["loss"], "loss": self.objective.criterion(loss, user), **groups}

    def _query_losses(self, batch: Batch) -> dict[str, Tensor]:
        half = self.device.type == "cuda"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half):
            outputs = self.network(
                _to(batch.history, self.device), _to(batch.queries, self.device), batch.visible.to(self.device)
            )
        return query_losses(outputs, batch, self.material)

    def _users(self, batch: Batch) -> Tensor:
        """(n,) dense users of a part's queries."""
        rows = batch.rows[batch.asked]
        return torch.from_numpy(np.asarray(self.store.events["user"][rows]).astype(np.int64))

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        """Losses to learn from, of this process's part of a batch."""
        each = self._query_losses(batch)
        found = losses(each, batch)
        if self.objective is None:
            return found
        loss = add_heads(each)
        weights = self.objective.weigh(loss, self._users(batch), batch.total, self.processes.sum_rows)
        return {**found, "mean": found["loss"], "loss": (weights * loss).sum()}

    def _learn(self, batch: Batch) -> dict[str, float]:
        """One step of the optimiser."""
        key = keyed_hash(self.training.seed, self.epoch, self.step, self.processes.rank)
        torch.manual_seed(int(key & np.uint64(0x7FFF_FFFF)))
        rate = self.training.learning_rate * min(1.0, (self.total_steps + 1) / max(self.training.warm_up, 1))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._begin_batch(batch)
        self.optimizer.zero_grad(set_to_none=True)
        found = self._losses(batch)
        found["loss"].backward()  # type: ignore[no-untyped-call]
        told = self.processes.sum_values({name: float(value.detach()) for name, value in found.items()})
        if not math.isfinite(told["loss"]):
            raise TrainingError(
                f"the loss is {told['loss']} at step {self.total_steps + 1}, learning rate {rate:g}",
                where=str(self.out),
                remedy="lower the learning rate; the weights of the last good epoch are kept",
            )
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.processes.sum_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, self.training.clip)
        self.optimizer.step()
        for table in self.tables:
            table.rows_step(*self.processes.sum_rows(*table.touched), self.training.table_learning_rate)
            table.end_batch()
        if self.mean is not None:
            # A young mean is mostly its beginning: it warms up as Adam's do.
            decay = min(self.training.average, (1 + self.total_steps) / (10 + self.total_steps))
            with torch.no_grad():
                for name, value in self.network.named_parameters():
                    self.mean[name].lerp_(value, 1 - decay)
        return told

    def _begin_batch(self, batch: Batch) -> None:
        network = self.network
        pairs = [(network.video_table, "video"), (network.author_table, "author"), (network.user_table, "user")]
        for table, name in pairs:
            if table is not None:
                table.begin_batch(getattr(batch.history, name), getattr(batch.queries, name))

    # --- interruption -------------------------------------------------------------------------------------------------

    def _save_state(self) -> None:
        """Keep everything that the rest of the run depends on."""
        if not self.processes.is_first:
            return
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "squares": [table.sum_of_squares for table in self.tables],
            "mean": self.mean,
            "sums": self.sums,
            "history": self.history,
            "counters": [self.epoch, self.step, self.total_steps, self.worse],
            "best": self.best,
            "objective": self.objective.state() if self.objective is not None else {},
        }
        content = io.BytesIO()
        torch.save(state, content)
        with as_output_error(self.out):
            write_file(self.out / STATE_FILE, content.getvalue())

    def _resume(self) -> None:
        file = self.out / STATE_FILE
        if not file.exists():
            return
        try:
            state = torch.load(file, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            for table, squares in zip(self.tables, state["squares"], strict=True):
                table.sum_of_squares = squares
            self.mean, self.sums, self.history = state["mean"], state["sums"], state["history"]
            self.epoch, self.step, self.total_steps, self.worse = state["counters"]
            self.best = state["best"]
            if self.objective is not None:
                self.objective.restore(state["objective"])
        except Exception as error:
            raise RunError(
                f"expected the state of an interrupted run, found {type(error).__name__}: {str(error).splitlines()[0]}",
                where=str(file),
                remedy="remove the run's folder and train again",
            ) from error

    def _finish(self) -> None:
        self.processes.decide(self._close)

    def _close(self) -> None:
        chosen = min(self.history, key=lambda row: row["valid_loss"])
        with as_output_error(self.out):
            write_file(self.out / FINISHED, (json.dumps(chosen, indent=1) + "\n").encode())
            # What is finished is never gone on with.
            (self.out / STATE_FILE).unlink(missing_ok=True)


def _groups(network: SASRec4SV, training: TrainingConfig) -> list[dict[str, Any]]:
    """Parameters with and without weight decay."""
    decayed: list[Tensor] = []
    free: list[Tensor] = []
    for name, parameter in network.named_parameters():
        matrix = parameter.dim() > 1 and "table" not in name
        (decayed if matrix or training.decayed == "all" else free).append(parameter)
    return [
        {"params": decayed, "weight_decay": training.weight_decay, "lr": training.learning_rate},
        {"params": free, "weight_decay": 0.0, "lr": training.learning_rate},
    ]


def _column(kind: str, level: str) -> str:
    """A group's column: TensorBoard wants no spaces."""
    return f"{kind}_{level}".replace(" ", "_")


def _copies(network: SASRec4SV) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


@torch.no_grad()
def _put(network: SASRec4SV, values: dict[str, Tensor] | None) -> None:
    if values:
        for name, parameter in network.named_parameters():
            parameter.copy_(values[name])


def _to(tokens: Any, device: torch.device) -> Any:
    if device.type == "cpu":
        return tokens
    return type(tokens)(**{name: value.to(device, non_blocking=True) for name, value in vars(tokens).items()})
