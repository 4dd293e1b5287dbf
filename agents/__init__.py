"""Agents: those that come with svsim, and the contract for others.

A plug-in subclasses `Agent`, or `ScoringAgent` if all it does is to score slots, and is named by
`register(name, "module:Class")`, by an entry point of the group `svsim.agents`, or by `path/to/file.py:Class`.
"""

if __name__ != "svsim.agents":
    raise ImportError("import this package as svsim.agents: `agents/` is the folder of svsim.agents")

from svsim.agents.base import Agent, ScoringAgent
from svsim.agents.registry import agent_names, make_agent, register
from svsim.agents.truth import agent_policy

__all__ = ["Agent", "ScoringAgent", "agent_names", "agent_policy", "make_agent", "register"]
