"""Who answers a served video: the world's truth or a model learned from logs, by one protocol."""

from svsim.response.protocol import EXPECTED, NOISE, Past, ResponseModel, State

__all__ = ["EXPECTED", "NOISE", "Past", "ResponseModel", "State"]
