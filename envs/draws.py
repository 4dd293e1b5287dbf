"""Everything random of an episode, as hashes of its key: no draw depends on the other rows or on how often one was asked.

| what | key |
|---|---|
| response noise | episode, video, n-th showing of it in the episode |
| leaving, coming back, going on in a slate | episode, step, place in the slate |
| candidates | episode, step at which the request opened, slot |

So two policies that serve the same video to the same user in the same state see the same reaction, whatever else they did.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.randomness import Keys, extended_hash, keyed_hash, uniform_of
from svsim.response import NOISE

__all__ = ["Draws"]

Array = npt.NDArray[Any]

# The rest of a key is one word: video, showing from bit 32, column of noise from bit 60; or place and, from bit 16, step;
# or slot and, from bit 32, step.
_SHOWING, _COLUMN, _STEP, _REQUEST = 32, np.uint64(60), np.uint64(1 << 16), np.uint64(1 << 32)

# What is drawn in an episode; far from the numbers that models key their own draws by.
_STREAMS = np.arange(0xFEED0001, 0xFEED0006, dtype=np.uint64)


class Draws:
    """The draws of B rows' episodes, one hash of a matrix a step: its rows are short, and calls are what costs.

    Args:
        rows: B.
        slots: K candidates that words are drawn for.

    Attributes:
        keys: (B,) hashes of the episodes, for further draws of candidates.
        candidates: (B, K) uint64 hashes for the candidates of requests that open after the step last drawn for.
    """

    def __init__(self, rows: int, slots: int) -> None:
        self.keys = np.zeros(rows, dtype=np.uint64)
        self.candidates = np.zeros((rows, slots), dtype=np.uint64)
        self._slot = np.arange(slots, dtype=np.uint64)
        self._column = np.arange(NOISE - 1, dtype=np.uint64) << _COLUMN
        # Columns: seven of the response, leaving, K of candidates.
        self._key = np.zeros((rows, NOISE + slots), dtype=np.uint64)
        self._word = np.zeros((rows, NOISE + slots), dtype=np.uint64)
        self._response, self._moment = self._word[:, : NOISE - 1], self._word[:, NOISE - 1]
        self._further = np.repeat(np.array([0, _STEP, _REQUEST], dtype=np.uint64), [NOISE - 1, 1, slots])
        self._return, self._continue = np.zeros(rows, dtype=np.uint64), np.zeros(rows, dtype=np.uint64)

    def begin(self, rows: Array, keys: Keys) -> None:
        """Open the episodes `keys` in some rows; their candidates are those of step 0."""
        streams = extended_hash(keyed_hash(keys)[:, None], _STREAMS)
        response, leaving, candidates, back, going_on = streams.T
        self._key[rows, : NOISE - 1] = response[:, None]
        self._key[rows, NOISE - 1] = leaving
        self._key[rows, NOISE:] = candidates[:, None]
        self._return[rows], self._continue[rows], self.keys[rows] = back, going_on, candidates
        self._moment[rows] = 0
        self._word[rows, NOISE:] = self._slot + _REQUEST
        self.candidates[rows] = extended_hash(candidates[:, None], self._slot)

    def noise(self, video: Array, showing: Array | int, place: int) -> npt.NDArray[np.float64]:
        """(B, 8) uniforms of a reaction, the last one for leaving.

        Args:
            video: (B,) int64 dense ids.
            showing: (B,) how often each was shown before in its episode.
            place: Place in the slate; the draws of candidates come with the first.
        """
        shown = (video + (showing << _SHOWING)).view(np.uint64)
        np.bitwise_or(shown[:, None], self._column, out=self._response)
        if place:
            word = self._word[:, :NOISE].copy()
            word[:, -1] += np.uint64(place)
            return uniform_of(extended_hash(self._key[:, :NOISE], word))
        drawn = extended_hash(self._key, self._word)
        self.candidates = drawn[:, NOISE:]
        return uniform_of(drawn[:, :NOISE])

    def goes_on(self, place: int) -> npt.NDArray[np.float64]:
        """(B,) uniforms that decide whether the place after this one is reached."""
        return uniform_of(extended_hash(self._continue, self._moment + np.uint64(place)))

    def comes_back(self) -> npt.NDArray[np.float64]:
        """(B,) uniforms of the gaps after this step."""
        return uniform_of(extended_hash(self._return, self._moment))

    def next_step(self) -> None:
        """Go on to the next step."""
        self._word += self._further
