"""Off-policy evaluation: what a policy is worth, from a log of another one, with an interval."""

from svsim.ope.audit import Audit, propensity_audit
from svsim.ope.differences import Difference, compare
from svsim.ope.estimates import Estimate, OPEWarning, estimate
from svsim.ope.estimators import ESTIMATORS, Estimator
from svsim.ope.evaluation import Evaluated, evaluate
from svsim.ope.logs.logged import LoggedBandit, random_log, standard_log
from svsim.ope.logs.rewards import Reward
from svsim.ope.sequences.fqe import Trajectories, fit_q
from svsim.ope.sequences.rollout import collect
from svsim.ope.sequences.sessions import estimate_sessions
from svsim.ope.sequences.slates import estimate_slate
from svsim.ope.spec import OPESpec
from svsim.ope.streaming import LowRank, softmax_expectations
from svsim.ope.sums import Terms
from svsim.ope.top_k import TopK
from svsim.ope.truth.judgement import Judgement, judge

__all__ = [
    "ESTIMATORS",
    "Audit",
    "Difference",
    "Estimate",
    "Estimator",
    "Evaluated",
    "Judgement",
    "LoggedBandit",
    "LowRank",
    "OPESpec",
    "OPEWarning",
    "Reward",
    "Terms",
    "TopK",
    "Trajectories",
    "collect",
    "compare",
    "estimate",
    "estimate_sessions",
    "estimate_slate",
    "evaluate",
    "fit_q",
    "judge",
    "propensity_audit",
    "random_log",
    "softmax_expectations",
    "standard_log",
]
