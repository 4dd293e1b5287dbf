"""Off-policy evaluation: what a policy is worth, from a log of another one, with an interval."""

from svsim.ope.audit import Audit, propensity_audit
from svsim.ope.estimate import Estimate, OPEWarning, estimate
from svsim.ope.evaluation import Evaluated, evaluate
from svsim.ope.logged import LoggedBandit, random_log, standard_log
from svsim.ope.rewards import Reward
from svsim.ope.spec import OPESpec

__all__ = [
    "Audit",
    "Estimate",
    "Evaluated",
    "LoggedBandit",
    "OPESpec",
    "OPEWarning",
    "Reward",
    "estimate",
    "evaluate",
    "propensity_audit",
    "random_log",
    "standard_log",
]
