"""Colours of the feed on a screen, the same on a phone and in a terminal."""

from __future__ import annotations

from svsim.names import COMMENT, FOLLOW, FORWARD, HATE, LIKE

__all__ = ["BACKGROUND", "FLAG_COLOURS", "INK", "NO_TAG", "PANEL", "QUIET", "RGB", "TAG_COLOURS", "mixed", "tag_colour"]

RGB = tuple[int, int, int]

TAG_COLOURS: tuple[RGB, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""Okabe and Ito's colours, which readers with any kind of colour vision tell apart; tags go by their number modulo seven."""

NO_TAG: RGB = (122, 130, 144)
BACKGROUND: RGB = (16, 18, 24)
PANEL: RGB = (30, 34, 43)
INK: RGB = (240, 242, 246)
QUIET: RGB = (160, 168, 182)

FLAG_COLOURS: dict[str, RGB] = {
    LIKE: (255, 77, 109),
    COMMENT: (86, 180, 233),
    FORWARD: (0, 190, 140),
    FOLLOW: (240, 190, 40),
    HATE: (176, 60, 200),
}
"""What a user may give a video, in the order in which it is shown."""


def tag_colour(tags: tuple[int, ...]) -> RGB:
    """The colour of a video: that of its first tag, grey where it has none."""
    return TAG_COLOURS[tags[0] % len(TAG_COLOURS)] if tags else NO_TAG


def mixed(one: RGB, other: RGB, share: float) -> RGB:
    """A colour between two, `share` in [0, 1] of the way to the other."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
