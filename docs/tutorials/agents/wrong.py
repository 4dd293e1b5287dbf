"""An agent with a mistake."""

from svsim.agents import ScoringAgent


class Wrong(ScoringAgent):
    """Serves the shortest video, but for the axes."""

    def score(self, observation):
        """One number for all candidates of all episodes."""
        return -observation["candidates"][..., 0].mean()
