"""Effects of interventions by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from svsim.benchmark.effects import effects
from svsim.errors import OptionError
from svsim.names import INFLUENCER, NORMAL


@pytest.fixture
def episodes() -> pd.DataFrame:
    """Two influencers (users 1, 2) and three others, an episode each under two seeds; user 5 has two."""
    users, groups = [1, 2, 3, 4, 5, 5], [INFLUENCER] * 2 + [NORMAL] * 4
    rewards = {"plain": [1, 2, 4, 5, 5, 7], "lifting": [3, 4, 4, 5, 5, 7], "lowering": [1, 2, 1, 2, 2, 4]}
    return pd.concat(
        pd.DataFrame({"agent": agent, "seed": seed, "user_id": users, "group": groups, "reward": own})
        for agent, own in rewards.items()
        for seed in (0, 1)
    )


def test_effects_by_hand(episodes: pd.DataFrame) -> None:
    """Utilities are means over users of their means: plain 1.5 and 5 (4, 5 and 6)."""
    found = effects(episodes, "plain")
    plain, lifting, lowering = (found[name] for name in ("plain", "lifting", "lowering"))
    assert (plain.groups[INFLUENCER].value, plain.groups[NORMAL].value) == (1.5, 5.0)
    assert (plain.gap.value, plain.worst.value) == (3.5, 1.5)
    assert plain.everybody.value == 4.0
    assert lifting.of_groups[INFLUENCER].value == 2.0
    assert lifting.of_groups[NORMAL].value == 0.0
    assert (lifting.of_gap.value, lifting.of_worst.value) == (-2.0, 2.0)
    assert lifting.of_everybody.value == pytest.approx(4 / 6)
    assert (lowering.of_gap.value, lowering.of_worst.value) == (-3.0, 0.0)
    assert lowering.of_everybody.value == pytest.approx(-12 / 6)


def test_what_changes_nobody_differently_has_no_width(episodes: pd.DataFrame) -> None:
    """Everyone in a group gains the same, so the paired gain is sure though utilities are not."""
    lifting = effects(episodes, "plain")["lifting"]
    assert lifting.of_groups[INFLUENCER].record() == {"mean": 2.0, "low": 2.0, "high": 2.0}
    told = lifting.groups[INFLUENCER].record()
    assert told["high"] > told["low"]


def test_the_base_must_be_there(episodes: pd.DataFrame) -> None:
    with pytest.raises(OptionError, match="expected one of plain, lifting, lowering, found 'none'"):
        effects(episodes, "none")
