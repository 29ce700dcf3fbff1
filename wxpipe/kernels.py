"""How every room compiles its loops: once a machine, cached on disk, without holding the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compiles at the first call; the function's type stays visible, which numba's decorator hides.

    With ``NUMBA_DISABLE_JIT=1`` the function stays plain Python, with the same results: kernels widen small
    integers themselves.
    """
    return cast(Function, njit(cache=True, nogil=True)(function))


def fast_kernel(function: Function) -> Function:
    """As `kernel`, for sums of floats whose order may change: the compiler then works on many numbers at once.

    Results may differ in the last digits from machine to machine; infinities and what is no number are treated as ever.
    """
    return cast(Function, njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})(function))


LANE = 32


def _lane_product(typing_context: Any, codes: Any, first: Any, query: Any, place: Any) -> Any:  # noqa: ARG001
    """Written in LLVM's own words, since loops this short are not made into wide instructions: a fifth of the time."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.VectorType(ir.IntType(32), LANE)

        def numbers(which: int, bits: int) -> Any:
            data = context.make_array(signature.args[which])(context, builder, arguments[which]).data
            pointer = builder.gep(data, [arguments[which + 1]])
            loaded = builder.load(builder.bitcast(pointer, ir.VectorType(ir.IntType(bits), LANE).as_pointer()))
            loaded.align = 1
            return builder.sext(loaded, wide)

        total = builder.module.declare_intrinsic(
            f"llvm.vector.reduce.add.v{LANE}i32", fnty=ir.FunctionType(ir.IntType(32), [wide])
        )
        return builder.call(total, [builder.mul(numbers(0, 8), numbers(2, 16))])

    return types.int32(codes, types.int64, query, types.int64), generate


def _plain_lane_product(codes: Any, first: int, query: Any, place: int) -> Any:
    return np.dot(codes[first : first + LANE].astype(np.int32), query[place : place + LANE].astype(np.int32))


lane_product = _plain_lane_product if config.DISABLE_JIT else intrinsic(_lane_product)
"""Sum of the products of LANE numbers of an int8 array (n,) from one place on, and of an int16 array (m,) from another.

Both arrays are contiguous and long enough, which nothing checks; the sum must be an int32's.
"""
