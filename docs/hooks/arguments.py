"""Arguments that a class hands on to a function, `**arguments: Unpack[…]`, are shown as if they were its own."""

from __future__ import annotations

from typing import Any

import griffe

__all__ = ["Arguments"]

MADE_BY = "_set_up"
"""The function that the arguments are handed to, which knows their defaults."""


class Arguments(griffe.UnpackTypedDictExtension):
    """Griffe's own extension, which writes … for every default and a second table of parameters below the first."""

    def on_function(self, *, func: griffe.Function, **kwargs: Any) -> None:
        """Unpack the arguments, with the defaults of the function that they go to."""
        said, own = func.docstring, {parameter.name for parameter in func.parameters}
        super().on_function(func=func, **kwargs)
        added = [parameter for parameter in func.parameters if parameter.name not in own]
        if not added:
            return
        func.docstring = said
        source = func.module.members.get(MADE_BY)
        if isinstance(source, griffe.Function):
            for parameter in added:
                parameter.default = source.parameters[parameter.name].default
