"""The log's part of the page: what it holds, watch time by duration, fans of users."""

from __future__ import annotations

from svsim.data.distributions import fans_histogram, watch_by_minute
from svsim.data.store import FeedStore
from svsim.data.truth import TRUTH_FILE
from svsim.report.figures.data import fans, grouping
from svsim.report.figures.theme import themed, to_svg
from svsim.report.page.contents import Figure, Section, Table, Words, data_sheet
from svsim.report.tables import Sheet

__all__ = ["data_section"]


def data_section(store: FeedStore, name: str) -> Section:
    """A store's part.

    Args:
        store: Its training split and its users are read.
        name: Of the section.
    """
    of_world = (store.path / TRUTH_FILE).is_file()
    world = " It is a synthetic world's: its figures are not KuaiRand's." if of_world else ""
    intro = f"The log that all of this is about, as svsim data describe {store.path.name} tells at length.{world}"
    return Section(name, f"Data: {store.path.name}", [Words(intro), Table(_facts(store, name)), *_figures(store, name)])


def _facts(store: FeedStore, name: str) -> Sheet:
    told = store.manifest
    rows = [("log rows read", f"{told['rows']['read']:,}"), ("kept", f"{told['rows']['kept']:,}")]
    rows += [(f"dropped: {reason}", f"{count:,}") for reason, count in told["rows"]["dropped"].items()]
    for split in ("train", "valid", "test"):
        dates = told["splits"].get(split)
        if dates:
            rows.append((f"{split} split", f"{dates['from']} to {dates['until']}"))
    rows += [(f"users: {group}", f"{told['groups'][group]:,}") for group in ("influencer", "normal")]
    rows += [
        ("watch-time gain", f"preset {told['wtg']['preset']}, {told['wtg']['groups']} groups of durations"),
        ("made by svsim", told["svsim"]),
        ("fingerprint", store.fingerprint),
    ]
    return Sheet(f"{name}-facts", "", ("", ""), rows, (0, 1))


def _figures(store: FeedStore, name: str) -> list[Figure]:
    by_minute, histogram = watch_by_minute(store), fans_histogram(store)
    groups = store.manifest["groups"]
    with themed():
        watch = grouping(by_minute, store.wtg.threshold)
        users = fans(histogram, groups["influencer"] / max(groups["influencer"] + groups["normal"], 1))
    titles = ("Watch time, grouped by duration (figure 4)", "Fans of the users (figure 5)")
    label = "{}. The data stand below."
    return [
        Figure(
            titles[0], to_svg(watch, f"{name}-grouping", label.format(titles[0])), data_sheet(f"{name}-watch", by_minute),
            "Training split: median, quarters, and from the 5th to the 95th percentile. A gain compares a play with other"
            " plays of videos as long; the groups of the gain are finer than the minutes shown.",
        ),
        Figure(
            titles[1], to_svg(users, f"{name}-fans", label.format(titles[1])), data_sheet(f"{name}-users", histogram),
            "Right of the line: influencers.",
        ),
    ]  # fmt: skip
