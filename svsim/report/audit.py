"""An audit of a random log as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from svsim.report.tables import plain_table

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["audit_table"]

Told = dict[str, Any]
SOURCES = {"truth": "by the world's truth", "kuairand": "KuaiRand's ids 0 to 7,582", "seen": "those that were drawn"}


def audit_table(record: Told) -> list[Table | str]:
    """Gates, pool, uniformity of videos, repeats, insertion, propensities, and what comes of it.

    Args:
        record: `Audit.record()`.
    """
    parts: list[Table | str] = [_gates(record), _pool(record), _uniformity(record), _repeats(record)]
    if record["insertion"] is not None:
        parts += [_insertion(record["insertion"]), _tests(record["insertion"])]
    parts += [_propensities(record), _outcome(record)]
    return parts


def _gates(record: Told) -> Table:
    dates = record["dates"]
    title = f"Audit of the random log, {dates[0]} to {dates[-1]}"
    table = plain_table(title, "gate", "value", "limit", "n", "verdict", left=(0, 4))
    for gate in record["gates"]:
        table.add_row(gate["name"], _short(gate["value"]), _short(gate["limit"]), f"{gate['n']:,}", gate["verdict"])
    return table


def _pool(record: Told) -> Table:
    pool = record["pool"]
    table = plain_table(f"Pool: {SOURCES[pool['source']]}", "", "videos")
    kept = "" if pool["zero_durations_kept"] else ", without those of no duration"
    table.add_row(f"K, as the store keeps it{kept}", f"{pool['videos']:,}")
    if pool["world"] is not None:
        table.add_row("of the world, all", f"{pool['world']:,}")
    table.add_row("drawn", f"{pool['seen']:,}")
    table.add_row(f"never drawn, at least (Chao1; {pool['unseen_share']:.1%} of all)", f"{pool['unseen']:,.0f}")
    even = "" if pool["even_pool"] is None else f"{pool['even_pool']:,.0f}"
    table.add_row("all, if they are alike", even)
    return table


def _uniformity(record: Told) -> Table:
    columns = ("", "n", "seen", "uniform", "z", "pairs", "uniform", "z", "p", "τ² ± se")
    table = plain_table("Videos against uniform draws: distinct ones seen, pairs of draws of one", *columns)
    for part in record["uniformity"]:
        distinct = ("", "")
        if part["distinct_expected"] is not None:
            uniform = f"{part['distinct_expected']:,.0f} ± {part['distinct_sd']:.0f}"
            distinct = (uniform, f"{part['distinct_z']:+.1f}")
        uneven = ""
        if part["unevenness"] is not None:
            uneven = f"{part['unevenness']:+.3f} ± {part['unevenness_error']:.3f}"
        pairs = (f"{part['pairs']:,}", f"{part['pairs_expected']:,.0f}", f"{part['pairs_z']:+.1f}")
        n = (f"{part['rows']:,}", f"{part['distinct']:,}")
        table.add_row(_day(part["where"].removeprefix("day ")), *n, *distinct, *pairs, _chance(part["pairs_p"]), uneven)
    return table


def _repeats(record: Told) -> Table:
    repeats = record["repeats"]
    columns = ("", "pairs", "as between users", "as uniform", "ratio", "z", "p")
    table = plain_table("Repeats: pairs of draws of one video for one user", *columns)
    table.add_row(
        f"{record['users']:,} users",
        f"{repeats['pairs']:,}",
        f"{repeats['expected']:,.1f}",
        f"{repeats['expected_uniform']:,.1f}",
        "" if repeats["ratio"] is None else f"{repeats['ratio']:.2f}",
        f"{repeats['z']:+.1f}",
        _chance(repeats["p"]),
    )
    return table


def _insertion(insertion: Told) -> Table:
    table = plain_table("Insertion: share of random among all exposures", "", "exposures", "random", "share")
    table.add_row("all", f"{insertion['rows']:,}", f"{insertion['random']:,}", f"{insertion['share']:.2%}")
    for name, cells in insertion["by"].items():
        for cell in cells:
            # Of tabs that chance never takes there is one row, below.
            if cell["random"] or name != "tab":
                numbers = (f"{cell['rows']:,}", f"{cell['random']:,}", f"{cell['share']:.2%}")
                table.add_row(f"{name} {_day(cell['value'])}", *numbers)
        rest = [cell for cell in cells if not cell["random"]]
        if name == "tab" and rest:
            table.add_row("other tabs", f"{sum(cell['rows'] for cell in rest):,}", "0", "")
    return table


def _tests(insertion: Told) -> Table:
    columns = ("", "exposures", "random", "by chance", "ratio", "χ² (p)")
    table = plain_table("Does the share depend on the context?", *columns)
    for test in insertion["tests"]:
        statistic = f"{test['statistic']:.1f}, {test['degrees']} df ({_chance(test['p'])})" if test["degrees"] else ""
        table.add_row(f"{test['name']}, within {test['within']}", "", "", "", "", statistic)
        for group in test["groups"]:
            if test["name"] == "tab" and not group["random"]:
                continue
            ratio = "" if group["ratio"] is None else f"{group['ratio']:.3f}"
            numbers = (f"{group['rows']:,}", f"{group['random']:,}", f"{group['expected']:,.0f}", ratio)
            table.add_row(f"  {group['name']}", *numbers, "")
    return table


def _propensities(record: Told) -> Table:
    told = record["propensities"]
    title = (
        f"Propensities × K, estimated by day (variance of rates {told['variance']:.4f}); 1/K = {told['uniform']:.4g}"
    )
    table = plain_table(title, "", "n", "videos there", "mean")
    for day in told["days"]:
        mean = day["mean"] / told["uniform"]
        table.add_row(_day(day["date"]), f"{day['rows']:,}", f"{day['videos']:,}", f"{mean:.3f}")
    return table


def _outcome(record: Told) -> str:
    told, gates = record["propensities"], record["gates"]
    judged = [gate for gate in gates if gate["verdict"].split(":")[0] in ("passed", "failed", "warned")]
    counts = {name: sum(gate["verdict"].startswith(name) for gate in gates) for name in ("failed", "warned", "noted")}
    extra = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    passed = len(judged) - counts["failed"] - counts["warned"]
    low, high = (told[name] / told["uniform"] for name in ("lowest", "highest"))
    return (
        f"{passed} of {len(judged)} judged gates passed{f' ({extra})' if extra else ''}; 1/K = {told['uniform']:.4g};"
        f" variance of rates {told['variance']:.4f}; estimated propensities {low:.3f} to {high:.3f} / K, mean weight of a"
        f" uniform target {told['mean_weight']:.3f}, effective share of rows {told['effective_share']:.3f}"
    )


def _day(value: int | str) -> str:
    """A date as 04-22; anything else as it is."""
    text = str(value)
    return f"{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text


def _chance(p: float) -> str:
    return "< .0001" if p < 1e-4 else f"{p:.4f}"


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
