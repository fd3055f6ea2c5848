"""One alphabet for all English texts, so that a model of one can read another."""

from __future__ import annotations

import string
import unicodedata

# The 80 symbols of Jane Austen's novels, but for a single pound sign.
ALPHABET = "\n !\"&'()*,-.0123456789:;?" + string.ascii_uppercase + "[]_" + string.ascii_lowercase
UNKNOWN = "\ufffd"  # stands for every other symbol
SYMBOLS = ALPHABET + UNKNOWN

_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")


class _Known(dict[int, str | None]):
    """Code point → symbol, for `str.translate`: combining marks go, unknown symbols are one."""

    def __missing__(self, code: int) -> str | None:
        symbol = chr(code)
        if symbol in ALPHABET:
            self[code] = symbol
        else:
            self[code] = None if unicodedata.combining(symbol) else UNKNOWN
        return self[code]


_KNOWN = _Known()


def fold(text: str) -> str:
    """`text` in `SYMBOLS`: NFKD without combining marks, straight quotes, one unknown symbol."""
    return unicodedata.normalize("NFKD", text).translate(_QUOTES).translate(_KNOWN)
