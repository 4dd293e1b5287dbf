"""The SASRec4SV paper's tables and figures, in three columns: as printed, as its authors' code reads, and corrected.

    python scripts/reproduce_paper.py --data KuaiRand-1K/data --out reproduction

Without `--data` the world's preset `1k` stands in for KuaiRand-1K. `reproduction` then holds `tables.md`, `tables.json` and
`figure4.png` to `figure7.png`. Finished parts are kept: interrupted, the same command goes on.

The column `code` imitates what stands in the authors' notebook, each trait under a flag of its own: days one earlier, only
the last 500 events of a user and split, no history of earlier days in the days that are evaluated, validation on the test
split, labels cast to whole numbers (so that the binary loss is fed values above 1), padding counted in losses and metrics,
the feedback of the very event among its inputs, learning rate 1e-2. The column `corrected` is `svsim train sasrec4sv
--preset paper` and `svsim evaluate`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from svsim.cli.output import task_progress
from svsim.data import FeedStore, open_store, prepare
from svsim.data.atomic import write_file
from svsim.data.conversion import PrepareOptions
from svsim.names import GROUPS, INFLUENCER, LOG_COLUMN_OF, NORMAL, STATISTIC_COLUMNS, VIDEO_COLUMNS
from svsim.signals import WatchTimeGain, aux_weights
from svsim.world import preset as world_preset
from svsim.world import write_world

PRINTED = {
    "users": 1_000,
    "items": 4_369_953,
    "interactions": 11_713_045,
    "item features": 62,
    "f1": 0.5765,
    "rmse": 2.9390,
    NORMAL: {"accuracy": 0.9099, "f1": 0.5829},
    INFLUENCER: {"accuracy": 0.8323, "f1": 0.5743},
}
"""The paper's figures."""
LENGTH = 500
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Code:
    """Traits of the authors' code; each can be turned off by itself."""

    integer_label: bool = True
    """Cast the watch-time ratio to a whole number before anything else."""
    count_padding: bool = True
    """Count padding as events of label 0, in losses and in metrics."""
    leak: bool = True
    """Give an event its own feedback as an input; otherwise that of the event before."""
    validate_on_test: bool = True
    """Choose the epoch on the split that is reported."""
    a_day_early: bool = True
    """Shift all dates by a day."""
    relu: bool = True
    """Rectify the regression head; otherwise softplus."""
    epochs: int = 75
    """Epochs."""
    users: int = 200
    """Users a batch."""
    learning_rate: float = 1e-2
    """Of Adam."""
    weight_decay: float = 1e-7
    """Of Adam."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is reproduced, on which data."""

    out: Path
    """Folder of the tables and figures."""
    data: Path | None = None
    """Folder of KuaiRand-1K's files; by default a synthetic world stands in."""
    preset: str = "1k"
    """World that stands in: `tiny`, `small` or `1k`."""
    code: Code = field(default_factory=Code)
    """Traits of the authors' code."""
    epochs: int | None = None
    """Of the corrected column, at most; by default the preset's."""
    resamples: int = 200
    """Of the bootstrap over users."""
    seed: int = 0
    """Of everything drawn."""
    threads: int = 2
    """Of torch."""


# --- the reading of the authors' code ------------------------------------------------------------------------------------


class AuthorsCode:
    """One model of the authors' code: a causal stream whose every position predicts its own event.

    Args:
        store: Events.
        kind: `binary` or `wtr`.
        traits: Which of the code's traits are imitated.
        seed: Of weights, order and dropout.
    """

    def __init__(self, store: FeedStore, kind: str, traits: Code, seed: int) -> None:
        import torch

        from svsim.models.checkpoints import make_network
        from svsim.models.config import preset
        from svsim.models.inputs import Inputs
        from svsim.models.windows import Material

        self.store, self.kind, self.traits, self.seed = store, kind, traits, seed
        model, _ = preset("paper", head=kind)
        self.material = Material(store, Inputs.fit(store, model))
        torch.manual_seed(seed)
        self.network = make_network(model, self.material.inputs)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=traits.learning_rate, weight_decay=traits.weight_decay
        )
        ratio = self.material.ratio
        self.label = np.floor(ratio) if traits.integer_label else ratio
        self.yes = self.label > 0.5
        events = store.events
        weights = aux_weights("notebook")
        self.feedback = np.zeros(store.n_events, dtype=np.float32)
        for name, weight in weights.items():
            self.feedback += weight * np.asarray(events[LOG_COLUMN_OF[name]], dtype=np.float32)

    def rows(self, split: str) -> Array:
        """(U, T) rows of each user's last events of a split, oldest first, −1 padding at the end."""
        dates = {"train": (20220409, 20220420), "valid": (20220421, 20220421), "test": (20220422, 20220422)}
        first, last = (day - self.traits.a_day_early for day in dates[split])
        date, user = self.store.events["date"], self.store.events["user"]
        chosen = np.flatnonzero((date >= first) & (date <= last) & self.material.timed)
        owners, begin, count = np.unique(user[chosen], return_index=True, return_counts=True)
        kept = np.minimum(count, LENGTH)
        place = np.arange(LENGTH)[None, :]
        index = (begin + count - kept)[:, None] + place
        there = place < kept[:, None]
        table = np.full((len(owners), LENGTH), -1)
        table[there] = chosen[index[there]]
        return table

    def forward(self, rows: Array) -> Any:
        """(U, T) outputs: logits, or ratios."""
        import torch

        from svsim.models.inputs import FEEDBACK_INPUTS

        padding = rows < 0
        tokens = self.material.tokens(np.maximum(rows, 0), padding)
        known = self.feedback[np.maximum(rows, 0)] * ~padding
        if not self.traits.leak:
            known = np.concatenate([np.zeros((len(rows), 1), dtype=np.float32), known[:, :-1]], axis=1)
        feedback = np.zeros((*rows.shape, len(FEEDBACK_INPUTS)), dtype=np.float32)
        feedback[..., FEEDBACK_INPUTS.index("aux")] = known
        tokens.feedback = torch.from_numpy(feedback)
        trunk = self.network.encode(tokens)
        raw = self.network.heads[self.kind](self.network.shared(torch.cat([trunk, trunk], dim=-1))).squeeze(-1)
        if self.kind == "binary":
            return raw
        return torch.relu(raw) if self.traits.relu else torch.nn.functional.softplus(raw)

    def loss(self, rows: Array) -> Any:
        """Mean loss over the positions that count."""
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits, huber_loss

        padding = rows < 0
        label = torch.from_numpy(np.where(padding, 0, self.label[np.maximum(rows, 0)]).astype(np.float32))
        given = self.forward(rows)
        function = binary_cross_entropy_with_logits if self.kind == "binary" else huber_loss
        if self.kind == "binary" and not self.traits.integer_label:
            label = (label > 0.5).float()
        each = function(given, label, reduction="none")
        counted = torch.ones_like(each) if self.traits.count_padding else torch.from_numpy(~padding).float()
        return (each * counted).sum() / counted.sum().clamp(min=1)

    def train(self, tell: Callable[[str, int, int | None], None]) -> list[dict[str, float]]:
        """Train; the weights of the best epoch stay."""
        import torch

        rows = self.rows("train")
        judged = self.rows("test" if self.traits.validate_on_test else "valid")
        history: list[dict[str, float]] = []
        best: dict[str, Any] = {}
        for epoch in range(self.traits.epochs):
            torch.manual_seed(self.seed * 1_000 + epoch)
            order = np.random.default_rng([self.seed, epoch]).permutation(len(rows))
            self.network.train()
            losses = []
            for start in range(0, len(order), self.traits.users):
                self.optimizer.zero_grad()
                loss = self.loss(rows[order[start : start + self.traits.users]])
                loss.backward()
                self.optimizer.step()
                losses.append(loss.item())
            self.network.eval()
            with torch.inference_mode():
                valid = [float(self.loss(judged[s : s + 100])) for s in range(0, len(judged), 100)]
            history.append({"epoch": epoch + 1, "train": float(np.mean(losses)), "valid": float(np.mean(valid))})
            if history[-1]["valid"] <= min(row["valid"] for row in history):
                best = {name: value.clone() for name, value in self.network.state_dict().items()}
            tell(f"authors' code, {self.kind}", epoch + 1, self.traits.epochs)
        self.network.load_state_dict(best)
        return history

    def evaluate(self) -> dict[str, Any]:
        """Accuracy and F1, or RMSE, on the reported split, overall and by group."""
        import torch

        from svsim.metrics import confusion_scores, root_mean_square_error

        rows = self.rows("test")
        padding = rows < 0
        with torch.inference_mode():
            given = np.concatenate(
                [self.forward(rows[start : start + 100]).numpy() for start in range(0, len(rows), 100)]
            )
        counted = np.ones_like(padding) if self.traits.count_padding else ~padding
        label = np.where(padding, 0, self.label[np.maximum(rows, 0)])
        if self.kind == "wtr":
            return {"rmse": root_mean_square_error(label[counted], given[counted])}
        yes, said = label > 0.5, given > 0
        group = self.store.user_group[self.store.events["user"][rows[:, 0]]]
        told: dict[str, Any] = confusion_scores(yes[counted], said[counted])
        for name in GROUPS:
            own = counted & (group == name)[:, None]
            if not own.any():
                continue
            found = confusion_scores(yes[own], said[own])
            none = confusion_scores(yes[own], np.zeros(own.sum(), dtype=bool))
            told[name] = {**found, "all-negative": none["accuracy"]}
        return told


# --- parts ---------------------------------------------------------------------------------------------------------------


def get_store(options: Options, tell: Callable[..., None]) -> FeedStore:
    """The prepared data, under the paper's split and its watch-time gain."""
    folder = options.out / "store"
    if folder.exists():
        return open_store(folder)
    files = options.data
    if files is None:
        files = options.out / "world"
        if not files.exists():
            write_world(files, dataclasses.replace(world_preset(options.preset), seed=options.seed), progress=tell)
    return prepare(files, folder, PrepareOptions(split="paper", wtg_preset="paper"), progress=tell)


def kept(file: Path, make: Callable[[], Any]) -> Any:
    """What a part found, from its file if that is there."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, (json.dumps(make(), indent=1) + "\n").encode())
    return json.loads(file.read_text(encoding="utf-8"))


def authors_code(store: FeedStore, kind: str, options: Options, tell: Callable[..., None]) -> dict[str, Any]:
    """Loss curve and figures of one of the code's two models."""
    made = AuthorsCode(store, kind, options.code, options.seed)
    return {"traits": dataclasses.asdict(options.code), "history": made.train(tell), "figures": made.evaluate()}


def corrected(store: FeedStore, options: Options, tell: Callable[..., None]) -> dict[str, Any]:
    """Loss curve and figures of `svsim train sasrec4sv --preset paper`."""
    import pandas as pd

    from svsim.models.config import preset
    from svsim.models.evaluation import evaluate
    from svsim.models.training import train

    model, training = preset("paper")
    training = dataclasses.replace(training, seed=options.seed, epochs=options.epochs or training.epochs)
    run = train(store, options.out / "run", model, training, progress=tell)
    found = evaluate(run, store, resamples=options.resamples, baselines=("all-negative",))
    return {
        "history": pd.read_csv(run.path / "history.csv").to_dict("records"),
        "figures": found["running"],
    }


# --- tables --------------------------------------------------------------------------------------------------------------


def implied(accuracy: float, f1: float) -> dict[str, float]:
    """Share of positives and accuracy over always saying no that two printed figures imply.

    With as many false positives as false negatives, e = (1 − accuracy)/2 of each, F1 = TP/(TP + e), so that the share of
    positives is TP + e = e/(1 − F1), and accuracy less that of saying no, TP − e, is what the model adds.
    """
    error = (1 - accuracy) / 2
    positives = error / (1 - f1)
    return {"positives": positives, "gain": positives - 2 * error}


def tables(store: FeedStore, code: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Tables 1 to 3 as rows of printed, code, corrected."""
    binary, linear = code["binary"]["figures"], code["wtr"]["figures"]
    labels, groups = right["figures"]["labels"], right["figures"]["groups"]

    def shown(metric: dict[str, float]) -> str:
        return f"{metric['mean']:.4f} [{metric['low']:.4f}, {metric['high']:.4f}]"

    features = len(VIDEO_COLUMNS) - 1 + len(STATISTIC_COLUMNS) - 1
    one = [
        ("users", PRINTED["users"], store.n_users, store.n_users),
        ("items", PRINTED["items"], store.n_videos, store.n_videos),
        ("interactions kept", PRINTED["interactions"], store.n_events, store.n_events),
        ("item features", PRINTED["item features"], features, features),
    ]
    overall = [
        ("F1 (binary)", PRINTED["f1"], round(binary["f1"], 4), shown(labels["wtr>0.5"]["f1"])),
        ("accuracy (binary)", "", round(binary["accuracy"], 4), shown(labels["wtr>0.5"]["accuracy"])),
        ("RMSE (linear)", PRINTED["rmse"], round(linear["rmse"], 4), shown(labels["wtr"]["rmse"])),
    ]
    two = []
    for name in (NORMAL, INFLUENCER):
        if name not in groups or name not in binary:
            continue
        printed, told, own = PRINTED[name], binary[name], groups[name]["labels"]["wtr>0.5"]
        none = groups[name]["all-negative"]["wtr>0.5"]["accuracy"]["mean"]
        hidden = implied(**printed)
        two += [
            (f"accuracy, {name}", printed["accuracy"], round(told["accuracy"], 4), shown(own["accuracy"])),
            (f"accuracy of saying no, {name}", f"({1 - hidden['positives']:.3f})",
             round(told["all-negative"], 4), f"{none:.4f}"),
            (f"accuracy over saying no, {name}", f"({hidden['gain']:+.3f})",
             f"{told['accuracy'] - told['all-negative']:+.4f}", f"{own['accuracy']['mean'] - none:+.4f}"),
            (f"F1, {name}", printed["f1"], round(told["f1"], 4), shown(own["f1"])),
        ]  # fmt: skip
    return {"Table 1": one, "F1 and RMSE": overall, "Table 2": two}


def table_three(store: FeedStore) -> dict[str, list[dict[str, Any]]]:
    """First and last rows of the validation split: the gain fitted on that split itself, and on the training split."""
    rows = store.split_rows("valid")
    play, duration = store.events["play_time_ms"][rows], store.events["duration_ms"][rows]
    own = WatchTimeGain("paper").fit(play, duration)
    ends = np.r_[0 : min(5, len(rows)), max(len(rows) - 5, 5) : len(rows)]
    told = {}
    for name, gain in (("code", own), ("corrected", store.wtg)):
        z = gain.transform(play[ends], duration[ends])
        told[name] = [
            {
                "user_id": str(store.users["user_id"][store.events["user"][rows[end]]]),
                "video_id": str(store.videos["video_id"][store.events["video"][rows[end]]]),
                "relevance": int(z[place] > gain.threshold),
                "z_score": round(float(z[place]), 6),
                "duration_ms": int(duration[end]),
                "duration_bucket": int(duration[end] // 60_000),
                "play_time_ms": int(play[end]),
            }
            for place, end in enumerate(ends)
        ]
    return told


def as_markdown(title: str, head: list[str], rows: list[Any]) -> list[str]:
    """A table."""

    def cell(value: Any) -> str:
        return f"{value:,}" if isinstance(value, int) else str(value)

    lines = [f"## {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(cell(value) for value in row) + " |" for row in rows), ""]


# --- figures -------------------------------------------------------------------------------------------------------------


def figures(store: FeedStore, code: dict[str, Any], right: dict[str, Any], out: Path) -> None:
    """Figures 4 to 7."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from svsim.data.distributions import fans_histogram, watch_by_minute
    from svsim.report.figures.data import fans, grouping

    grouping(watch_by_minute(store), store.wtg.threshold).savefig(out / "figure4.png", dpi=150)
    users = store.manifest["groups"]
    share = users[INFLUENCER] / (users[INFLUENCER] + users[NORMAL])
    fans(fans_histogram(store), share).savefig(out / "figure5.png", dpi=150)

    for number, kind, title in ((6, "binary", "binary label"), (7, "wtr", "linear label")):
        figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
        curve = code[kind]["history"]
        for part in ("train", "valid"):
            axes[0].plot([row["epoch"] for row in curve], [row[part] for row in curve], label=part)
            axes[1].plot(
                [row["epoch"] for row in right["history"]],
                [row[f"{part}_{kind}"] for row in right["history"]],
                label=part,
                marker="o",
            )
        axes[0].set(xlabel="epoch", ylabel="loss", title=f"{title}: authors' code")
        axes[1].set(xlabel="epoch", ylabel="loss", title=f"{title}: corrected")
        for axis in axes:
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.legend()
        figure.savefig(out / f"figure{number}.png", dpi=150)
        plt.close(figure)


def main(options: Options) -> None:
    """Reproduce."""
    import torch

    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    with task_progress() as tell:
        store = get_store(options, tell)
        code = {
            kind: kept(
                options.out / f"code-{kind}.json", lambda kind=kind: authors_code(store, kind, options, tell)
            )
            for kind in ("binary", "wtr")
        }  # fmt: skip
        right = kept(options.out / "corrected.json", lambda: corrected(store, options, tell))
    figures(store, code, right, options.out)
    told = tables(store, code, right)
    three = table_three(store)
    write_file(options.out / "tables.json", (json.dumps({**told, "Table 3": three}, indent=1) + "\n").encode())
    head = ["", "paper", "authors' code", "corrected"]
    lines = []
    for title, rows in told.items():
        lines += as_markdown(title, head, rows)
    for name, rows in three.items():
        fitted = {"code": "fitted on the validation split itself", "corrected": "fitted on the training split"}[name]
        lines += as_markdown(f"Table 3, {fitted}", list(rows[0]), [tuple(row.values()) for row in rows])
    text = "\n".join(lines)
    write_file(options.out / "tables.md", text.encode())
    print(text)


if __name__ == "__main__":
    main(tyro.cli(Options))
