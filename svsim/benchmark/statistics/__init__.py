"""What a benchmark's numbers say, and how surely: intervals, slices, comparisons."""

from svsim.benchmark.statistics.comparison import Comparison, compare_agents
from svsim.benchmark.statistics.estimates import Estimate, interval, p_value, ratio_score, weighted_mean
from svsim.benchmark.statistics.panel import Panel
from svsim.benchmark.statistics.slices import Slices, SliceScores, interquartile_mean

__all__ = [
    "Comparison",
    "Estimate",
    "Panel",
    "SliceScores",
    "Slices",
    "compare_agents",
    "interquartile_mean",
    "interval",
    "p_value",
    "ratio_score",
    "weighted_mean",
]
