"""An audit as tables: at 80 columns, of a world and of a log that says little."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from svsim.data import FeedStore
from svsim.ope.audit import propensity_audit
from svsim.report.audit import audit_table
from svsim.world import preset_store


def printed(record: dict, width: int) -> str:
    out = io.StringIO()
    screen = Console(width=width, file=out, highlight=False)
    for part in audit_table(record):
        screen.print(part)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 140])
def test_a_world_is_told_whole(width: int) -> None:
    record = propensity_audit(preset_store("tiny")).record()
    text = printed(record, width)
    assert max(map(len, text.splitlines())) <= width
    for expected in ("Audit of the random log", "Chao1", "never drawn", "by the world's truth", "other tabs", "04-22"):
        assert expected in text
    assert f"{record['rows']:,}" in text
    assert "judged gates passed" in text


def test_few_rows_without_a_standard_log_are_told(store: FeedStore) -> None:
    rows = np.flatnonzero(store.events["is_rand"] == 1)[:20]
    text = printed(propensity_audit(store, rows=rows).record(), 100)
    assert "not judged: fewer than 100 rows" in text
    assert "those that were drawn" in text
    assert "Insertion" not in text
    assert "1 failed" in text
