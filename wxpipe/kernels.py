"""How every room compiles its loops: once a machine, cached on disk, without holding the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compiles at the first call; the function's type stays visible, which numba's decorator hides.

    With ``NUMBA_DISABLE_JIT=1`` the function stays plain Python, with the same results: kernels widen small
    integers themselves.
    """
    return cast(Function, njit(cache=True, nogil=True)(function))
