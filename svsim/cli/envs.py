"""`svsim envs`."""

from __future__ import annotations

from dataclasses import dataclass

from svsim.cli.output import console, print_json

__all__ = ["Envs"]


@dataclass(frozen=True, kw_only=True)
class Envs:
    """List the environments, one line each."""

    json: bool = False
    """Print one JSON document."""

    def run(self) -> None:
        """Print id and summary of each environment."""
        import inspect

        import gymnasium as gym
        from gymnasium.envs.registration import load_env_creator
        from rich.table import Table

        listed = []
        for name in sorted(gym.registry):
            if name.startswith("svsim/"):
                entry = gym.spec(name).entry_point
                assert isinstance(entry, str), "svsim registers its environments by string"
                summary = (inspect.getdoc(load_env_creator(entry)) or "").partition("\n")[0]
                listed.append({"id": name, "summary": summary})
        if self.json:
            print_json(listed)
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        for env in listed:
            table.add_row(env["id"], env["summary"])
        console().print(table)
