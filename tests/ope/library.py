"""Logs and estimates of an independent library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

FIXTURES = Path(__file__).parents[1] / "fixtures" / "ope"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text())
"""Values of Open Bandit Pipeline 0.5.7."""
LOGS = [name for name in EXPECTED if name != "meta"]
RTOL = 1e-10


def fixture_log(name: str) -> dict[str, Any]:
    with np.load(FIXTURES / f"{name}.npz") as held:
        log = {key: held[key] for key in ("action", "reward", "pscore", "action_dist", "q_hat")}
    row = np.arange(len(log["action"]))
    chosen = log["action_dist"][row, log["action"]]
    return {
        "reward": log["reward"],
        "weight": chosen / log["pscore"],
        "q_logged": log["q_hat"][row, log["action"]],
        "q_expected": (log["action_dist"] * log["q_hat"]).sum(axis=1),
        "match": chosen == 1,
    }
