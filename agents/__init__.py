"""Agents: those that come with svsim, and the contract for others."""

if __name__ != "svsim.agents":
    raise ImportError("import this package as svsim.agents: `agents/` is the folder of svsim.agents")
