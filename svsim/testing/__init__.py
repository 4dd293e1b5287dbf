"""Conformance checks for environments, agents and estimators, svsim's own and others'.

Each raises `CheckFailed`, which says what broke, or `SvsimError`s of the checked code itself.
"""

from svsim.testing.agents import check_agent
from svsim.testing.estimators import check_estimator
from svsim.testing.single import check_env
from svsim.testing.toy import toy_feed
from svsim.testing.vector import check_vector_env

__all__ = ["check_agent", "check_env", "check_estimator", "check_vector_env", "toy_feed"]
