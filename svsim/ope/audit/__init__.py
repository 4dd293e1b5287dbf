"""The audit of the random log: is it what off-policy evaluation takes it for, and with which propensities."""

from svsim.ope.audit.audit import Audit, propensity_audit

__all__ = ["Audit", "propensity_audit"]
