"""`svsim agents`."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from svsim.cli.output import console, print_json

__all__ = ["Agents"]


@dataclass(frozen=True, kw_only=True)
class Agents:
    """List the agents that can be named, one line each."""

    json: bool = False
    """Print one JSON document."""

    def run(self) -> None:
        """Print name, options and summary of each agent."""
        from rich.table import Table

        from svsim.agents.registry import agent_class, agent_names

        listed = []
        for name, target in agent_names().items():
            found = agent_class(target)
            options = {key: parameter.default for key, parameter in inspect.signature(found).parameters.items()}
            summary = (inspect.getdoc(found) or "").partition("\n\n")[0].replace("\n", " ")
            listed.append({"name": name, "class": target, "options": options, "summary": summary})
        if self.json:
            print_json(listed)
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        for agent in listed:
            table.add_row(str(agent["name"]), str(agent["summary"]))
        console().print(table)
