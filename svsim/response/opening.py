"""From what an argument names to a model of the users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.data.truth import TRUTH_FILE
from svsim.errors import OptionError
from svsim.response.protocol import ResponseModel

__all__ = ["TRUTH", "open_response"]

TRUTH = "truth"


def open_response(
    response: str | Path | ResponseModel | None, store: FeedStore, pool: npt.NDArray[Any] | None = None
) -> ResponseModel:
    """The model that an argument means.

    Args:
        response: `truth`, the folder of a response model, a model itself; None: the truth where the store has one.
        store: Whose users answer.
        pool: (P,) dense ids of the videos that may be served; None: any of the store.

    Raises:
        OptionError: The store knows no truth.
        RunError: The folder holds no response model, one of another store, or one whose card is missing or failed.
    """
    known = (store.path / TRUTH_FILE).is_file()
    if (response is None and not known) or (response == TRUTH and not known):
        raise OptionError(
            "expected a response model, since this store is of no synthetic world whose truth is known",
            where=f"response of {store.path}",
            remedy="train one by `svsim train response` and name its folder",
        )
    if response is None or response == TRUTH:
        from svsim.response.truth import TruthResponse

        return TruthResponse(store, None if pool is None else np.asarray(pool, dtype=np.int64))
    if isinstance(response, str | Path):
        from svsim.response.learned import open_learned

        return open_learned(response, store, None if pool is None else np.asarray(pool, dtype=np.int64))
    return response
