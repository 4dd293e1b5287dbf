"""Objectives that care for groups: worked out by hand, equal in parts, and they serve whom the mean leaves behind."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from svsim.data import FeedStore
from svsim.data.groups import UserGroups
from svsim.errors import OptionError, SvsimError
from svsim.models.checkpoints import read_config
from svsim.models.config import TrainingConfig
from svsim.models.objectives import (
    CVaR,
    GroupDRO,
    Objective,
    Reweight,
    balancing_weights,
    cvar_weights,
    next_shares,
    sums_by_code,
)
from svsim.models.training import train
from tests.cli.test_commands import run
from tests.models.test_training import MODEL, TRAINING, assert_same

# Users 1, 2, 3 are normal (code 1), user 4 is an influencer (code 0); user 0 is nobody.
GROUPS = UserGroups("influencer", ("influencer", "normal"), np.array([0, 1, 1, 1, 0]))


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def codes(*values: int) -> Tensor:
    return torch.tensor(values)


def value(objective: Objective, loss: Tensor, user: Tensor) -> float:
    return float((objective.weigh(loss, user, len(loss)) * loss).sum())


losses_of_users = st.lists(st.floats(0, 10), min_size=1, max_size=30)


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_weights_of_groups_of_three_and_one() -> None:
    assert balancing_weights(codes(3, 1)).tolist() == pytest.approx([2 / 3, 2])
    assert balancing_weights(codes(3, 0, 1)).tolist() == pytest.approx([2 / 3, 0, 2])
    # Queries of the normal users 1, 2, 3 and of the influencer 4: (2/3 · (1 + 2 + 3) + 2 · 8) / 4.
    by_group = Reweight(GROUPS, codes(1, 3))
    assert value(by_group, tensor(1, 2, 3, 8), codes(1, 2, 3, 4)) == pytest.approx(5)
    # Weights are of the training split: a batch that happens to hold no influencer is no batch of equals.
    assert value(by_group, tensor(1, 2, 3), codes(1, 2, 3)) == pytest.approx(4 / 3)


def test_two_steps_of_group_dro() -> None:
    step = np.log(2)
    dro = GroupDRO(GROUPS, codes(10, 90), step)
    assert dro.shares == {"influencer": 0.5, "normal": 0.5}
    # Mean losses 2 and 1: q ∝ (.5 · 4, .5 · 2), so that the loss is 2/3 · 2 + 1/3 · 1.
    assert value(dro, tensor(2, 0, 2, 1), codes(4, 1, 2, 3)) == pytest.approx(5 / 3)
    assert dro.shares == pytest.approx({"influencer": 2 / 3, "normal": 1 / 3})
    # Mean losses 0 and 3: q ∝ (2/3 · 1, 1/3 · 8) = (1, 4).
    assert value(dro, tensor(0, 3), codes(4, 1)) == pytest.approx(0.8 * 3)
    assert dro.shares == pytest.approx({"influencer": 0.2, "normal": 0.8})


def test_who_is_absent_keeps_the_share() -> None:
    shares = tensor(0.2, 0.3, 0.5)
    # Of the .7 that groups 0 and 2 have between them, with odds of .2 · e : .5.
    moved = next_shares(shares, codes(0, 2), tensor(2, 1), 1.0)
    first = 0.7 * 0.2 * np.e / (0.2 * np.e + 0.5)
    assert moved.tolist() == pytest.approx([first, 0.3, 0.7 - first])
    assert next_shares(shares, codes(1), tensor(9), 1.0).tolist() == pytest.approx(shares.tolist())
    assert next_shares(shares, codes(), tensor(), 1.0).tolist() == shares.tolist()
    # Large losses do not overflow, and a share that has gone is no division by nought.
    assert next_shares(tensor(1, 0), codes(1), tensor(5_000), 1.0).tolist() == [1, 0]
    assert next_shares(tensor(1, 0), codes(0, 1), tensor(0, 5_000), 1.0).tolist() == pytest.approx([0, 1])
    assert next_shares(shares, codes(0, 2), tensor(5_000, 0), 1.0).tolist() == pytest.approx([0.7, 0.3, 0])


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.2, 9.0),  # one of five
        (0.4, (9 + 7) / 2),
        (0.5, (9 + 7 + 4 / 2) / 2.5),  # two and a half: the third one counts by half
        (0.3, (9 + 7 / 2) / 1.5),
        (0.05, 9.0),  # a quarter of a user is that user
        (1.0, 23 / 5),
    ],
)
def test_the_worst_of_five_users(share: float, expected: float) -> None:
    loss = tensor(4, 9, 1, 7, 2)
    assert float((cvar_weights(loss, share) * loss).sum()) == pytest.approx(expected)


def test_a_user_counts_once_however_many_queries() -> None:
    # User 1's mean is 3 over three queries, user 2's is 5 over one.
    loss, user = tensor(1, 3, 5, 5), codes(1, 1, 1, 2)
    for share, expected in ((0.5, 5.0), (0.75, (5 + 3 / 2) / 1.5), (1.0, 4.0)):
        assert value(CVaR(share), loss, user) == pytest.approx(expected)
        assert CVaR(share).criterion(loss, user) == pytest.approx(expected)


def test_what_a_split_is_judged_by() -> None:
    loss, user = tensor(1, 2, 3, 8), codes(1, 2, 3, 4)
    assert Reweight(GROUPS, codes(1, 3)).criterion(loss, user) == pytest.approx((2 + 8) / 2)
    assert GroupDRO(GROUPS, codes(1, 3), 1.0).criterion(loss, user) == pytest.approx(8)
    assert GroupDRO(GROUPS, codes(1, 3), 1.0).by_group(loss, user) == {"influencer": 8, "normal": 2}
    assert GroupDRO(GROUPS, codes(1, 3), 1.0).by_group(loss[:3], user[:3]) == {"normal": 2}


# --- what holds for any losses ----------------------------------------------------------------------------------------


@given(losses_of_users.filter(lambda losses: len(losses) % 2 == 0))
def test_groups_of_one_size_are_weighed_as_the_mean_does(losses: list[float]) -> None:
    user = codes(*[1, 4] * (len(losses) // 2))
    half = len(losses) // 2
    assert value(Reweight(GROUPS, codes(half, half)), tensor(*losses), user) == pytest.approx(np.mean(losses))


@given(losses_of_users)
def test_the_worst_of_all_are_all(losses: list[float]) -> None:
    assert value(CVaR(1.0), tensor(*losses), torch.arange(len(losses))) == pytest.approx(np.mean(losses))


@given(losses_of_users, st.floats(0.01, 1))
def test_cvar_is_its_dual(losses: list[float], share: float) -> None:
    """CVaR_α = min over λ of λ + E[(l − λ)+] / α, and the best λ is one of the losses."""
    loss = np.array(losses)
    dual = min(at + np.maximum(loss - at, 0).mean() / share for at in loss)
    weights = cvar_weights(tensor(*losses), share)
    assert float(weights.sum()) == pytest.approx(1)
    assert float(weights.max()) <= (1 + 1e-9) / max(share * len(losses), 1)
    assert float((weights * tensor(*losses)).sum()) == pytest.approx(dual, abs=1e-9)


def test_the_gradient_is_the_objectives_own() -> None:
    generator = torch.Generator().manual_seed(0)
    user = torch.randint(0, 20, (100,), generator=generator)
    target = torch.rand(100, dtype=torch.float64, generator=generator)
    for share in (0.1, 0.33, 1.0):

        def learnt(at: Tensor, share: float = share) -> Tensor:
            loss = (at - target).square()
            return (CVaR(share).weigh(loss.detach(), user, 100) * loss).sum()

        assert torch.autograd.gradcheck(learnt, tensor(0.3).requires_grad_())


@pytest.mark.parametrize("name", ["reweight", "group-dro", "cvar"])
def test_parts_of_a_batch_make_the_whole(name: str) -> None:
    def made() -> Objective:
        if name == "cvar":
            return CVaR(0.3)
        return Reweight(GROUPS, codes(20, 80)) if name == "reweight" else GroupDRO(GROUPS, codes(20, 80), 0.5)

    generator = torch.Generator().manual_seed(1)
    loss = torch.rand(50, dtype=torch.float64, generator=generator)
    user = torch.randint(1, 5, (50,), generator=generator)
    whole = made()
    expected = whole.weigh(loss, user, 50)
    # The last part is empty: processes may be more than windows.
    places = [torch.arange(50)[rank:49:3] for rank in range(3)] + [torch.tensor([49]), torch.arange(0)]
    key = user if name == "cvar" else torch.from_numpy(GROUPS.code)[user]
    parts = [sums_by_code(loss[place], key[place]) for place in places]
    everywhere = torch.unique(torch.cat([found for found, _ in parts]))
    total = torch.zeros(len(everywhere), 2, dtype=torch.float64)
    for found, sums in parts:
        total[torch.searchsorted(everywhere, found)] += sums
    for place in places:
        part = made()
        weights = part.weigh(loss[place], user[place], 50, lambda *_: (everywhere, total))
        torch.testing.assert_close(weights, expected[place])
        assert part.shares == pytest.approx(whole.shares)


# --- a world whose answer is known ------------------------------------------------------------------------------------


def fitted(objective: Objective | None, *, minority: int = 10, users: int = 100, steps: int = 2_000) -> float:
    """The w that gradient descent ends at where the majority want w = 1 and the minority w = −1, by squares."""
    user = torch.arange(users)
    target = torch.where(user < minority, -1.0, 1.0).double()
    w = tensor(0.5).requires_grad_()
    mean = torch.zeros(())
    for step in range(steps):
        loss = (w - target).square()
        weights = torch.full_like(loss, 1 / users) if objective is None else objective.weigh(loss.detach(), user, users)
        (slope,) = torch.autograd.grad((weights * loss).sum(), w)
        with torch.no_grad():
            w -= 0.02 * slope
        # The second half's mean: what goes to and fro about its end is told by it.
        if step >= steps // 2:
            mean = mean + w.detach() / (steps - steps // 2)
    return float(mean)


def groups_of(minority: int, users: int) -> UserGroups:
    return UserGroups("influencer", ("influencer", "normal"), np.where(np.arange(users) < minority, 0, 1))


def test_the_mean_leaves_the_minority_behind_and_the_others_do_not() -> None:
    # Mean: .9 − .1. The rest in closed form: equal weights meet in the middle, where the worst group is served best.
    assert fitted(None) == pytest.approx(0.8, abs=1e-3)
    groups = groups_of(10, 100)
    assert fitted(Reweight(groups, codes(10, 90))) == pytest.approx(0, abs=1e-3)
    assert fitted(GroupDRO(groups, codes(10, 90), 0.01)) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.8, 1.0])
def test_cvar_serves_a_minority_that_nobody_named(share: float) -> None:
    # Of the worst α the minority are .1 / α, as long as they fit in: w = (α − .1 − .1) / α.
    assert fitted(CVaR(share)) == pytest.approx(1 - 0.2 / share, abs=0.02)


def test_group_dro_finds_the_worst_of_three_where_equal_weights_do_not() -> None:
    """Two groups want 1, one wants −1: equal weights end at 1/3, worst loss 16/9; the best worst loss is 1, at 0."""
    users = torch.arange(90)
    groups = UserGroups("history", ("a", "b", "c"), np.repeat([0, 1, 2], 30))
    assert fitted(Reweight(groups, codes(30, 30, 30)), minority=30, users=len(users)) == pytest.approx(1 / 3, abs=1e-3)
    assert fitted(GroupDRO(groups, codes(30, 30, 30), 0.01), minority=30, users=90) == pytest.approx(0, abs=0.02)


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["reweight", "group-dro", "cvar"])
def test_trained_by_it(store: FeedStore, tmp_path: Path, objective: str) -> None:
    training = dataclasses.replace(TRAINING, objective=objective, batch_events=1_000)
    found = train(store, tmp_path / "run", MODEL, training)
    history = pd.read_csv(found.path / "history.csv")
    assert history.valid_mean.iloc[-1] < history.train_mean.iloc[0]
    assert history.valid_loss.iloc[-1] < history.valid_loss.iloc[0]
    assert np.isfinite(history.to_numpy()).all()
    by_group = history.filter(regex="^valid_loss_")
    if objective == "cvar":
        assert by_group.empty
        assert (history.valid_loss > history.valid_mean).all(), "the worst are worse than all"
        return
    judged = by_group.mean(axis=1) if objective == "reweight" else by_group.max(axis=1)
    np.testing.assert_allclose(history.valid_loss, judged)
    assert list(by_group) == ["valid_loss_influencer", "valid_loss_normal"]
    rows = store.split_rows("valid")
    share = store.influencer[store.events["user"][rows]].mean()
    np.testing.assert_allclose(by_group.to_numpy() @ [share, 1 - share], history.valid_mean)
    if objective == "group-dro":
        np.testing.assert_allclose(history.share_influencer + history.share_normal, 1)


@pytest.mark.parametrize("stop", [2, 4])
def test_interrupted_it_goes_on_with_its_shares(
    store: FeedStore, tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = dataclasses.replace(TRAINING, objective="group-dro", groups="activity", group_step=0.5)
    train(store, tmp_path / "whole", MODEL, training)
    steps = 0

    def killed(task: str, done: int, whole: int | None) -> None:
        nonlocal steps
        steps += task.startswith("epoch")
        if steps == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr("svsim.models.training.SAVE_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(store, tmp_path / "run", MODEL, training, progress=killed)
    train(store, tmp_path / "run", MODEL, training)
    assert_same(tmp_path / "whole", tmp_path / "run")
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert history.share_new.eq(0).all(), "nobody new is in the training split"
    assert history.share_less_active.ne(1 / 3).all()


def test_runs_of_before_there_was_a_choice_are_the_same_runs(store: FeedStore, tmp_path: Path) -> None:
    run = train(store, tmp_path / "run", MODEL, TRAINING)
    told = read_config(run.path)["training"]
    assert not {"objective", "groups", "group_step", "worst_share"} & told.keys()
    assert "valid_mean" not in json.loads((run.path / "metrics.json").read_text())
    with pytest.raises(OSError, match="another training"):
        train(store, tmp_path / "run", MODEL, dataclasses.replace(TRAINING, objective="cvar"))


def test_a_run_says_what_its_objective_read() -> None:
    def told(**options: object) -> dict[str, object]:
        found = dataclasses.replace(TrainingConfig(), **options).as_dict()  # type: ignore[arg-type]
        return {name: found[name] for name in ("objective", "groups", "group_step", "worst_share") if name in found}

    assert told(objective="reweight") == {"objective": "reweight", "groups": "influencer"}
    assert told(objective="group-dro", group_step=0.1).keys() == {"objective", "groups", "group_step"}
    assert told(objective="cvar", worst_share=0.5) == {"objective": "cvar", "worst_share": 0.5}


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"objective": "best"}, "group-dro"),
        ({"objective": "reweight", "groups": "shoe size"}, "influencer, activity"),
        ({"objective": "cvar", "worst_share": 0.0}, r"\(0, 1\]"),
        ({"objective": "cvar", "worst_share": 1.1}, r"\(0, 1\]"),
        ({"objective": "cvar", "worst_share": float("nan")}, r"\(0, 1\]"),
        ({"objective": "group-dro", "group_step": 0.0}, "above 0"),
        ({"objective": "group-dro", "group_step": float("inf")}, "above 0"),
        ({"groups": "activity"}, "objective reweight or group-dro alone, found it with mean"),
        ({"group_step": 0.5}, "objective group-dro alone, found it with mean"),
        ({"objective": "reweight", "worst_share": 0.5}, "objective cvar alone, found it with reweight"),
        ({"objective": "cvar", "groups": "activity"}, "found it with cvar"),
    ],
)
def test_impossible_options_are_refused(bad: dict[str, object], words: str) -> None:
    with pytest.raises(SvsimError, match=words):
        dataclasses.replace(TrainingConfig(), **bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("objective", ["reweight", "group-dro"])
def test_one_group_is_no_choice(
    store: FeedStore, tmp_path: Path, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(store), "influencer", np.zeros(store.n_users + 1, dtype=bool))
    training = dataclasses.replace(TRAINING, objective=objective)
    with pytest.raises(OptionError, match="expected training rows of at least two groups, found normal"):
        train(store, tmp_path / "run", MODEL, training)
    assert not (tmp_path / "run").exists()


def test_from_the_command_line(capsys: pytest.CaptureFixture[str], store: FeedStore, tmp_path: Path) -> None:
    command = ("train", "sasrec4sv", "--store", store.path, "--preset", "small", "--epochs", 1, "--threads", 1)
    more = ("--objective", "group-dro", "--groups", "author", "--group-step", 0.05)
    status, out, err = run(capsys, *command, "--out", tmp_path / "run", *more)
    assert (status, err) == (0, "")
    assert "objective group-dro" in out
    told = read_config(tmp_path / "run")["training"]
    assert (told["objective"], told["groups"], told["group_step"]) == ("group-dro", "author", 0.05)
    status, out, err = run(capsys, *command, "--out", tmp_path / "other", "--worst-share", 0.5)
    assert (status, out) == (2, "")
    assert err.startswith("svsim: worst_share: expected it with the objective cvar alone, found it with mean")
    assert err.count("\n") == 1
