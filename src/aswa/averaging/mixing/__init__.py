"""Operators on several models that train side by side; unlike an averager they write into them."""

from aswa.averaging.mixing.mixing import Independent, Mixing

__all__ = ["Independent", "Mixing"]
