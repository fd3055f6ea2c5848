"""What parts and master send each other: moved by a carrier, counted to the byte.

A message is counted in two forms: sparse, 4 bytes an index and 8 a value, and dense, 8 bytes for
each of the d values (1 bit for a support). The master is a place of its own: what the first part
sends is counted too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from aswa.merging.rows import Rows, SparseVector

INDEX, VALUE, LABEL = 4, 8, 1  # bytes


@dataclass(frozen=True)
class Entry:
    """Messages of one kind in one round.

    Attributes:
        round: from 0, which comes before the first local solve.
        what: is sent.
        up: to the master, else from it.
        messages: how many.
        sparse, dense: bytes of all of them.
    """

    round: int
    what: str
    up: bool
    messages: int
    sparse: int
    dense: int


@dataclass
class Ledger:
    """Entries in the order of sending."""

    entries: list[Entry] = field(default_factory=list)

    def total(self, form: str = "sparse", **where: Any) -> int:
        """Bytes in a form, of the entries with these values, such as `up=True`."""
        chosen = (e for e in self.entries if all(getattr(e, k) == v for k, v in where.items()))
        return sum(getattr(entry, form) for entry in chosen)

    @property
    def synchronisations(self) -> int:
        """Rounds of messages to the master."""
        return sum(entry.up for entry in self.entries)

    def plain(self) -> list[dict[str, Any]]:
        """The entries as plain data."""
        return [asdict(entry) for entry in self.entries]

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger([*self.entries, *other.entries])


@dataclass(frozen=True)
class Support:
    """Which weights are not 0: indices, or d bits."""

    indices: NDArray[np.int32]
    size: int


@dataclass(frozen=True)
class Centroids:
    """Mean row and count of each class of a part, the class −1 first.

    Attributes:
        means: [2, d]; a class without rows has an empty row.
        counts: [2].
    """

    means: csr_matrix
    counts: NDArray[np.float64]


Message = SparseVector | Support | Centroids | Rows | NDArray[np.float64] | tuple[SparseVector, ...]


def size_in_bytes(message: Message) -> tuple[int, int]:
    """Sparse and dense size. An array has one."""
    match message:
        case SparseVector():
            return (INDEX + VALUE) * len(message.indices), VALUE * message.size
        case Support():
            return INDEX * len(message.indices), -(-message.size // 8)
        case Centroids():
            means, counts = message.means, message.counts
            beside = VALUE * counts.size
            return (INDEX + VALUE) * means.nnz + beside, VALUE * int(np.prod(means.shape)) + beside
        case Rows():
            labels = LABEL * message.X.shape[0]
            dense = VALUE * int(np.prod(message.X.shape))
            return (INDEX + VALUE) * message.X.nnz + labels, dense + labels
        case tuple():
            sizes = [size_in_bytes(each) for each in message]
            return sum(sparse for sparse, _ in sizes), sum(dense for _, dense in sizes)
        case _:
            return VALUE * message.size, VALUE * message.size


class Exchange(Protocol):
    """A carrier. All processes call the methods together and in the same order.

    Attributes:
        mine: parts that this process computes.
        master: whether it is the process of the master.
    """

    mine: Sequence[int]
    master: bool

    def gather(
        self, ledger: Ledger, round: int, what: str, sent: Mapping[int, Message]
    ) -> list[Message]:
        """A message of each part, in the order of the parts; empty where the master is not."""
        ...

    def broadcast(self, ledger: Ledger, round: int, what: str, sent: Message | None) -> Message:
        """A message of the master to each part."""
        ...

    def all_gather(
        self, ledger: Ledger, round: int, what: str, sent: Mapping[int, Message]
    ) -> list[Message]:
        """A message of each part to the master, and all of them to each part."""
        ...

    def deliver(self, value: Any) -> Any:
        """A result of the master's process in every process: no message of a method."""
        ...

    def share(self, value: Any) -> list[Any]:
        """The values of all processes in every process: no message of a method."""
        ...


def count(
    ledger: Ledger, round: int, what: str, up: bool, messages: Sequence[Message], copies: int = 1
) -> None:
    """Note messages, each sent `copies` times."""
    sizes = [size_in_bytes(message) for message in messages]
    sparse, dense = (copies * sum(column) for column in zip(*sizes, strict=True))
    ledger.entries.append(Entry(round, what, up, copies * len(messages), sparse, dense))


class InProcess:
    """All parts in this process, one after another: nothing moves, everything is counted."""

    def __init__(self, parts: int) -> None:
        self.mine: Sequence[int] = range(parts)
        self.master = True

    def gather(
        self, ledger: Ledger, round: int, what: str, sent: Mapping[int, Message]
    ) -> list[Message]:
        found = [sent[part] for part in self.mine]
        count(ledger, round, what, True, found)
        return found

    def broadcast(self, ledger: Ledger, round: int, what: str, sent: Message | None) -> Message:
        assert sent is not None
        count(ledger, round, what, False, [sent], len(self.mine))
        return sent

    def all_gather(
        self, ledger: Ledger, round: int, what: str, sent: Mapping[int, Message]
    ) -> list[Message]:
        found = self.gather(ledger, round, what, sent)
        count(ledger, round, what, False, found, len(self.mine))
        return found

    def deliver(self, value: Any) -> Any:
        return value

    def share(self, value: Any) -> list[Any]:
        return [value]
