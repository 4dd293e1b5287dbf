"""What a store holds: counts, rates, watch-time gain by duration, sessions, what was dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from svsim.data.splits import SPLIT_CODES
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.names import FLAGS, GROUPS, INFLUENCER, LOG_COLUMN_OF, NORMAL, PROFILE_ENTER, SPLITS
from svsim.signals import GainAccumulator, wtr
from svsim.signals.gain import PRESETS

__all__ = ["DURATION_EDGES_S", "Description", "describe"]

Array = npt.NDArray[Any]

DURATION_EDGES_S = (7, 10, 18, 30, 45, 60, 90, 120, 180, 240, 300, 420)
"""Upper edges of the duration buckets, in seconds; the last bucket has none."""

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
SESSION_GAPS = (30.0, None)
SESSION_SIZES = (5, 10, 20)
SIGNALS = (*FLAGS, PROFILE_ENTER)

_CHUNK = 1 << 20
_TABS = 256


@dataclass(frozen=True)
class Description:
    """A store in figures.

    Attributes:
        store: Fingerprint, variant, format version, sources with their rows, files that were missing.
        counts: Events, days with events, users, influencers, normal users, videos, authors.
        rows: Log rows read, kept, and dropped by reason.
        splits: By split its dates, events, users and videos.
        rates: `all`, and by `splits`, `tabs` and `groups`: events, share of each feedback signal, mean play time in
            seconds, mean watch-time ratio (over rows with a duration).
        quantiles: Of play time and duration in seconds and of the unclipped watch-time ratio (the last two over rows with
            a duration).
        quantiles_by: The same by `splits`, `tabs` and `groups`.
        wtg: Rows that the gains were fitted on, and by duration bucket the plays and the share that each preset calls
            relevant.
        sessions: By split and gap (minutes or `none`): number, mean and quantiles of their length in events (0 where there
            is none), how many have at least 5, 10 and 20 events.
    """

    store: dict[str, Any]
    counts: dict[str, int]
    rows: dict[str, Any]
    splits: dict[str, dict[str, int]]
    rates: dict[str, Any]
    quantiles: dict[str, dict[str, float]]
    quantiles_by: dict[str, dict[str, dict[str, dict[str, float]]]]
    wtg: dict[str, Any]
    sessions: dict[str, dict[str, dict[str, float]]]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, texts, lists and dictionaries, fit for JSON."""
        return asdict(self)


def describe(store: FeedStore, *, wtg_fit: Literal["train", "all"] = "train") -> Description:
    """Describe a store, reading its events once or twice in chunks.

    Args:
        store: Which.
        wtg_fit: Rows that the gains of the table by duration are fitted on.

    Raises:
        OptionError: Another `wtg_fit`.
    """
    if wtg_fit not in ("train", "all"):
        raise OptionError(f"expected train or all, found {wtg_fit!r}", where="wtg_fit")
    manifest = store.manifest
    return Description(
        store={
            "fingerprint": store.fingerprint,
            "variant": manifest["variant"],
            "version": manifest["version"],
            "sources": manifest["sources"],
            "missing": manifest["missing"],
        },
        counts={
            "events": store.n_events,
            "days": len(_days(store)),
            "users": store.n_users,
            INFLUENCER: int(store.influencer[1:].sum()),
            NORMAL: int((~store.influencer[1:]).sum()),
            "videos": store.n_videos,
            "authors": store.n_authors,
        },
        rows=manifest["rows"],
        splits={name: _split(store, name) for name in SPLITS},
        rates=_rates(store),
        quantiles=_quantiles(store, slice(None)),
        quantiles_by=_quantiles_by(store),
        wtg={"fitted_on": wtg_fit, "buckets": _relevance_by_duration(store, wtg_fit)},
        sessions={name: {_gap_name(gap): _sessions(store, name, gap) for gap in SESSION_GAPS} for name in SPLITS},
    )


def _chunks(store: FeedStore) -> Iterator[slice]:
    for start in range(0, store.n_events, _CHUNK):
        yield slice(start, min(start + _CHUNK, store.n_events))


def _days(store: FeedStore) -> set[int]:
    days: set[int] = set()
    for part in _chunks(store):
        days.update(np.unique(store.events["date"][part]).tolist())
    return days


def _split(store: FeedStore, name: str) -> dict[str, int]:
    rows = store.split_rows(name)
    dates = store.manifest["splits"][name]
    return {
        "from": dates["from"],
        "until": dates["until"],
        "events": len(rows),
        "users": _distinct(store.events["user"][rows], store.n_users),
        "videos": _distinct(store.events["video"][rows], store.n_videos),
    }


def _distinct(ids: Array, largest: int) -> int:
    return int(np.count_nonzero(np.bincount(ids, minlength=largest + 1)))


# --- rates -----------------------------------------------------------------------------------------------------------


def _rates(store: FeedStore) -> dict[str, Any]:
    """Sums by (split, tab, group), added up as asked for."""
    cells = (len(SPLITS) + 1, _TABS, len(GROUPS))
    sums = np.zeros((*cells, len(SIGNALS) + 4))
    for part in _chunks(store):
        normal = ~store.influencer[store.events["user"][part]]
        cell = np.ravel_multi_index((store.events["split"][part], store.events["tab"][part], normal.astype(int)), cells)
        for column, values in enumerate(_summed(store, part)):
            sums[..., column] += np.bincount(cell, weights=values, minlength=int(np.prod(cells))).reshape(cells)
    by_split, by_tab, by_group = sums.sum(axis=(1, 2)), sums.sum(axis=(0, 2)), sums.sum(axis=(0, 1))
    tabs = sorted(np.flatnonzero(by_tab[:, 0]).tolist(), key=lambda tab: -by_tab[tab, 0])
    return {
        "all": _shares(by_tab.sum(axis=0)),
        "splits": {name: _shares(by_split[SPLIT_CODES[name]]) for name in SPLITS},
        "tabs": {str(tab): _shares(by_tab[tab]) for tab in tabs},
        "groups": {name: _shares(by_group[number]) for number, name in enumerate((INFLUENCER, NORMAL))},
    }


def _summed(store: FeedStore, part: slice) -> Iterator[Array]:
    """What is summed: events, each signal, play seconds, rows with a duration, their watch-time ratios."""
    play, duration = store.events["play_time_ms"][part], store.events["duration_ms"][part]
    yield np.ones(len(play))
    for name in SIGNALS:
        yield store.events[LOG_COLUMN_OF[name]][part]
    yield play / 1_000.0
    yield (duration > 0).astype(float)
    yield np.nan_to_num(wtr(play, duration)).astype(float)


def _shares(sums: Array) -> dict[str, float | int]:
    events = max(float(sums[0]), 1.0)
    shares: dict[str, float | int] = {"events": int(sums[0])}
    shares.update({name: float(total) / events for name, total in zip(SIGNALS, sums[1:], strict=False)})
    play, with_duration, ratios = sums[-3:].tolist()
    return shares | {"play_s": play / events, "wtr": ratios / max(with_duration, 1.0)}


def _quantiles_by(store: FeedStore) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    split, tab = store.events["split"], store.events["tab"]
    tabs = np.flatnonzero(np.bincount(tab, minlength=_TABS)).tolist()
    influencer = store.influencer[store.events["user"]]
    return {
        "splits": {name: _quantiles(store, split == SPLIT_CODES[name]) for name in SPLITS},
        "tabs": {str(number): _quantiles(store, tab == number) for number in tabs},
        "groups": {INFLUENCER: _quantiles(store, influencer), NORMAL: _quantiles(store, ~influencer)},
    }


def _quantiles(store: FeedStore, rows: Array | slice) -> dict[str, dict[str, float]]:
    play, duration = store.events["play_time_ms"][rows], store.events["duration_ms"][rows]
    keep = duration > 0
    quantities: dict[str, Array] = {
        "play_s": play / np.float32(1_000),
        "duration_s": duration[keep] / np.float32(1_000),
        "wtr": wtr(play[keep], duration[keep], clip=None),
    }
    return {
        name: _named_quantiles(np.quantile(values, QUANTILES)) for name, values in quantities.items() if len(values)
    }


def _named_quantiles(values: Array) -> dict[str, float]:
    return {f"p{q * 100:g}": float(value) for q, value in zip(QUANTILES, values, strict=True)}


# --- watch-time gain -------------------------------------------------------------------------------------------------


def _relevance_by_duration(store: FeedStore, fit: str) -> list[dict[str, float | int | None]]:
    accumulators = {preset: GainAccumulator(preset) for preset in PRESETS}
    for part in _chunks(store):
        chosen = slice(None) if fit == "all" else store.events["split"][part] == SPLIT_CODES["train"]
        play, duration = store.events["play_time_ms"][part][chosen], store.events["duration_ms"][part][chosen]
        for accumulator in accumulators.values():
            accumulator.update(play, duration)
    gains = {preset: accumulator.fit() for preset, accumulator in accumulators.items()}
    size = len(DURATION_EDGES_S) + 1
    plays = np.zeros(size, dtype=np.int64)
    relevant = {preset: np.zeros(size) for preset in PRESETS}
    for part in _chunks(store):
        play, duration = store.events["play_time_ms"][part], store.events["duration_ms"][part]
        keep = duration > 0
        play, duration = play[keep], duration[keep]
        bucket = np.searchsorted(np.array(DURATION_EDGES_S) * 1_000, duration)
        plays += np.bincount(bucket, minlength=size)
        for preset, gain in gains.items():
            relevant[preset] += np.bincount(bucket, weights=gain.relevance(play, duration), minlength=size)
    rows: list[dict[str, float | int | None]] = []
    for number, edge in enumerate((*DURATION_EDGES_S, None)):
        row: dict[str, float | int | None] = {"up_to_s": edge, "plays": int(plays[number])}
        for preset in PRESETS:
            row[preset] = float(relevant[preset][number] / plays[number]) if plays[number] else None
        rows.append(row)
    return rows


# --- sessions --------------------------------------------------------------------------------------------------------


def _gap_name(gap: float | None) -> str:
    return "none" if gap is None else f"{gap:g}"


def _sessions(store: FeedStore, split: str, gap: float | None) -> dict[str, float]:
    length = store.sessions(split, gap).length
    figures: dict[str, float] = {"sessions": len(length), "mean_length": float(length.mean()) if len(length) else 0.0}
    figures |= _named_quantiles(np.quantile(length, QUANTILES) if len(length) else np.zeros(len(QUANTILES)))
    for size in SESSION_SIZES:
        figures[f"at_least_{size}"] = int((length >= size).sum())
    return figures
