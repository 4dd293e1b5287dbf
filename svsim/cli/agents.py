"""`svsim agents`."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from svsim.cli.output import console, print_json
from svsim.errors import AgentError

__all__ = ["Agents"]

UNCUT = 1_000


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
            try:
                found = agent_class(target)
            except AgentError as error:
                listed.append(
                    {"name": name, "class": target, "error": str(error), "required": [], "summary": str(error)}
                )
                continue
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
        names = [
            "?".join(filter(None, [agent["name"], "&".join(f"{option}=…" for option in agent["required"])]))
            for agent in listed
        ]
        table.add_column(no_wrap=True, min_width=max(map(len, names)))
        table.add_column(no_wrap=True, overflow="ellipsis")
        for name, agent in zip(names, listed, strict=True):
            table.add_row(name, agent["summary"])
        # Whole lines for other programs; a terminal cuts them at its edge.
        console(piped=UNCUT).print(table)
