"""`svsim agents`."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

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

        from svsim.agents.registry import agent_class, agent_names, required_options

        listed: list[dict[str, Any]] = []
        for name, target in agent_names().items():
            found = agent_class(target)
            required = required_options(found)
            options = {
                key: parameter.default
                for key, parameter in inspect.signature(found).parameters.items()
                if key not in required
            }
            summary = (inspect.getdoc(found) or "").partition("\n\n")[0].replace("\n", " ")
            listed.append({"name": name, "class": target, "required": required, "options": options, "summary": summary})
        if self.json:
            print_json(listed)
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        for agent in listed:
            needed = "&".join(f"{option}=…" for option in agent["required"])
            table.add_row(f"{agent['name']}?{needed}" if needed else agent["name"], agent["summary"])
        console().print(table)
