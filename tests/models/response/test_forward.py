"""The numpy network equals the torch one; losses are likelihoods; what repetition costs is what the prior says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from svsim.models.response.config import ResponseConfig
from svsim.models.response.forward import (
    AFTER_LIKE,
    FLAG_OUTPUTS,
    LARGEST_INPUT,
    N_OUTPUTS,
    N_PLAY_FEATURES,
    PRIOR_REPEATS,
    REPEAT_SHARES,
    Forward,
    play_features,
    standardised,
)
from svsim.models.response.inputs import N_MOMENT, N_NUMBERS, Scales
from svsim.models.response.network import ResponseNetwork, Targets
from svsim.models.response.outcomes import click_limit_ms, long_limit_ms
from svsim.models.response.watch import N_PHASES, N_SEGMENTS, PlayBaseline

WIDTHS = (N_MOMENT + 20, N_NUMBERS + 12, 4)
N = 60


def network(members: int = 3, seed: int = 0) -> ResponseNetwork:
    """Weights everywhere, also where a fresh network has noughts."""
    torch.manual_seed(seed)
    made = ResponseNetwork(ResponseConfig(members=members, hidden=6), WIDTHS)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made.eval()


def inputs(seed: int = 1) -> tuple[Scales, list[np.ndarray], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scales = Scales(
        *(
            values.astype(np.float32)
            for width in WIDTHS
            for values in (rng.normal(size=width), rng.uniform(0.5, 2, width))
        )
    )
    blocks = [rng.normal(0, 4, (N, width)).astype(np.float32) for width in WIDTHS]
    return scales, blocks, rng.integers(0, 4, (N, 3)).astype(np.float32), rng.random(N) < 0.5


def of_torch(
    made: ResponseNetwork, scales: Scales, blocks: list[np.ndarray], repeats: np.ndarray, chance: np.ndarray
) -> np.ndarray:
    measured = [
        torch.from_numpy(standardised(block, getattr(scales, f"{name}_mean"), getattr(scales, f"{name}_scale")))
        for name, block in zip(("user", "video", "both"), blocks, strict=True)
    ]
    with torch.inference_mode():
        return made(
            (measured[0], measured[1], measured[2]), torch.from_numpy(repeats), torch.from_numpy(chance)
        ).numpy()


@pytest.mark.parametrize("members", [1, 3])
def test_numpy_equals_torch(members: int) -> None:
    made = network(members)
    scales, (user, video, both), repeats, chance = inputs()
    forward = Forward(made.arrays(), scales)
    found = forward(forward.user_part(user), forward.video_part(video, chance), both, repeats)
    expected = of_torch(made, scales, [user, video, both], repeats, chance)
    assert found.shape == expected.shape == (members, N, N_OUTPUTS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    # Of the same rows chance and a policy say something else.
    other = of_torch(made, scales, [user, video, both], repeats, ~chance)
    assert np.abs(other - expected).max() > 0.1


def test_the_users_part_is_the_moments_and_the_standing_one() -> None:
    scales, (user, _, _), _, _ = inputs()
    forward = Forward(network().arrays(), scales)
    whole = forward.user_part(user)
    parts = forward.moment_part(user[:, :N_MOMENT]) + forward.standing_part(user[:, N_MOMENT:])
    assert whole.shape == (N, forward.columns)
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-5)


def test_inputs_far_out_are_cut() -> None:
    found = standardised(np.array([[1e9, -1e9, 3.0]]), np.zeros(3), np.full(3, 2.0))
    assert found.tolist() == [[LARGEST_INPUT, -LARGEST_INPUT, 1.5]]
    assert found.dtype == np.float32


def test_a_repeated_video_is_stopped_earlier_by_what_the_prior_says() -> None:
    """A fresh network: log-hazards rise by .7, .1 and .02 a repeat, the later phases by six tenths of it; nothing else."""
    torch.manual_seed(0)
    made = ResponseNetwork(ResponseConfig(members=2, hidden=6), WIDTHS).eval()
    scales, (user, video, both), _, chance = inputs()
    forward = Forward(made.arrays(), scales)
    parts = forward.user_part(user), forward.video_part(video, chance), both
    before = forward(*parts, np.zeros((N, 3), dtype=np.float32))
    after = forward(*parts, np.tile(np.array([2, 3, 5], dtype=np.float32), (N, 1)))
    rise = 2 * 0.7 + 3 * 0.1 + 5 * 0.02
    np.testing.assert_allclose((after - before)[..., :3], rise, rtol=1e-4)
    np.testing.assert_allclose((after - before)[..., 3:N_PHASES], 0.6 * rise, rtol=1e-4)
    assert (after[..., N_PHASES:] == before[..., N_PHASES:]).all()
    assert (PRIOR_REPEATS, REPEAT_SHARES[:3]) == ((0.7, 0.1, 0.02), (1, 1, 1))


def test_the_prior_costs_what_it_is_told() -> None:
    made = network()
    with torch.no_grad():
        made.repeats.copy_(torch.tensor([0.9, 0.1, -0.28]))
    assert float(made.prior_loss().detach()) == pytest.approx(400 * (0.2**2 + 0.3**2), rel=1e-5)


def test_play_features_by_hand() -> None:
    """Eight seconds of ten; twenty of ten; nothing of a picture post."""
    found = play_features(np.array([8_000.0, 20_000.0, 0.0]), np.array([10_000, 10_000, 0]))
    log = np.log([8.0, 20.0, 0.3])
    hinges = np.maximum(log[:, None] - np.array([0.7, 1.4, 2.1, 2.9, 4.0]), 0)
    ratio = np.array([0.8, 2.0, 0.0])
    bends = np.maximum(ratio[:, None] - np.array([0.3, 0.9, 1.1, 2.0]), 0)
    expected = np.column_stack([log, hinges, ratio, bends, [0, 0, 1]])
    assert found.shape == (3, N_PLAY_FEATURES)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


# --- losses -----------------------------------------------------------------------------------------------------------


def targets(rng: np.random.Generator, baseline: PlayBaseline) -> tuple[Targets, np.ndarray, np.ndarray, np.ndarray]:
    duration = rng.choice([3_000, 12_000, 80_000], N)
    play = np.floor(rng.exponential(9_000, N)) * (rng.random(N) > 0.2)
    flags = (rng.random((N, len(FLAG_OUTPUTS))) < 0.4).astype(np.float32)
    lived, ended = baseline.exposure(play, duration)
    limits = click_limit_ms(duration), long_limit_ms(duration)
    made = Targets(
        lived=torch.from_numpy(lived),
        ended=torch.from_numpy(ended),
        flags=torch.from_numpy(flags),
        play=torch.from_numpy(play_features(play, duration)),
        limits=torch.from_numpy(np.stack([baseline.exposure(limit, duration)[0] for limit in limits])),
        reached=torch.from_numpy(np.stack([play >= limit for limit in limits]).astype(np.float32)),
    )
    return made, play, duration, flags


def test_losses_are_the_negative_log_likelihood() -> None:
    """Against the distribution's own survival and density, with a fixed rate under all hazards."""
    rng = np.random.default_rng(3)
    rate = np.full((2, N_SEGMENTS), 1e-4)
    baseline = PlayBaseline(np.array([-1, 0]), rate)
    made = network(2)
    told, play, duration, flags = targets(rng, baseline)
    outputs = rng.uniform(-1, 1, (2, N, N_OUTPUTS)).astype(np.float32)
    with torch.inference_mode():
        found = {name: values.numpy() for name, values in made.losses(torch.from_numpy(outputs), told).items()}
    table = baseline.table(duration)
    played = play > 0
    for member in range(2):
        hazards = table.hazards(outputs[member, :, :N_PHASES])
        # −ln density = −ln S − ln h; h is the rate times e^η, whose first factor is left out.
        survival = table.survival(hazards, play)
        eta = outputs[member][np.arange(N), np.maximum(told.ended.numpy(), 0)]
        np.testing.assert_allclose(
            found["watch"][member][played], (-np.log(survival) - eta)[played], rtol=1e-4, atol=1e-5
        )
        assert (found["watch"][member][~played] == 0).all()
        quiet = 1 / (1 + np.exp(-outputs[member, :, N_PHASES].astype(float)))
        np.testing.assert_allclose(found["no_play"][member], -np.log(np.where(played, 1 - quiet, quiet)), rtol=1e-4)
        expected = np.zeros(N)
        for limit in (click_limit_ms(duration), long_limit_ms(duration)):
            reach = (1 - quiet) * table.survival(hazards, limit)
            expected -= np.where(play >= limit, np.log(reach), np.log1p(-reach))
        np.testing.assert_allclose(found["limits"][member], made.config.limits_weight * expected, rtol=1e-4, atol=1e-5)
        weights = made.arrays()
        extra = play_features(play, duration) @ weights["flag_play"].T
        logit = outputs[member, :, N_PHASES + 1 :] + extra + flags[:, :1] * weights["flag_like"] * np.array(AFTER_LIKE)
        yes = 1 / (1 + np.exp(-logit))
        likelihood = np.where(flags > 0, np.log(yes), np.log(1 - yes)).sum(axis=1)
        np.testing.assert_allclose(found["flags"][member], -likelihood, rtol=1e-4, atol=1e-5)
