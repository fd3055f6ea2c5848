"""What a session runs: a computation in units, which can stop after any of them and go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import nn


class Work(Protocol):
    """A computation that a session starts, saves, resumes and records.

    Attributes:
        epoch, epochs: units done, and units of the whole computation.
        batches: steps done of the unit that follows.
        pause: called where the state is whole, also within a unit; may save, or raise to end.
        stage: called with what is done after the last unit, for people.
        finished: nothing is left to do but `record`.
        interruptible: no state changes at this moment, so an exception may end the work here.
        weights_finite: all weights are numbers; other weights are no state to go on from.
        history: what `history.json` holds, lists with an entry a unit.
    """

    epoch: int
    epochs: int
    pause: Callable[[], None]
    stage: Callable[[str], None]

    @property
    def batches(self) -> int: ...
    @property
    def finished(self) -> bool: ...
    @property
    def interruptible(self) -> bool: ...
    @property
    def weights_finite(self) -> bool: ...
    @property
    def history(self) -> dict[str, Any]: ...
    @property
    def described(self) -> str:
        """The last unit in a few words, for people."""
        ...

    def advance(self) -> None:
        """Compute one unit, or the rest of it."""

    def state_dict(self) -> dict[str, Any]:
        """The whole state, as plain numbers and tensors, which `weights_only=True` loads."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly from where `state_dict` was taken."""

    def record(self) -> dict[str, Any]:
        """Rows, decisions, seconds: see `aswa.training.record`. Reads the test split, once.

        `words`, if there are any, are told to the user: what the numbers do not say.
        """

    def snapshot(self) -> nn.Module:
        """The running model after the last unit, with all that its evaluation needs."""

    def weights(self) -> dict[str, list[nn.Module]]:
        """What each method offers, as `record` evaluated it."""
