"""Off-policy evaluation: what a policy is worth, from a log of another one, with an interval."""

from svsim.ope.estimate import Estimate, OPEWarning, estimate

__all__ = ["Estimate", "OPEWarning", "estimate"]
