"""KuaiRand's files and the store made of them.

`prepare` turns the official files into a `FeedStore`, `open_store` opens one.
"""

from svsim.data.conversion import PrepareOptions, prepare
from svsim.data.store import FeedStore, open_store

__all__ = ["FeedStore", "PrepareOptions", "open_store", "prepare"]
