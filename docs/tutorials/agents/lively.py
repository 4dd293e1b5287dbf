"""A plug-in: served is what others watched of its author and tags."""

from svsim.agents import ScoringAgent
from svsim.names import CANDIDATE_FEATURES

COLUMNS = [CANDIDATE_FEATURES.index(name) for name in ("author_wtr", "tag_wtr")]


class Lively(ScoringAgent):
    """Serves the video whose author and tags are watched most."""

    def score(self, observation):
        """(B, K) sums of the two rates."""
        return observation["candidates"][..., COLUMNS].sum(axis=-1)
