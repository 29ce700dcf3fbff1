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
TILE = 16


def _lane_product(typing_context: Any, codes: Any, first: Any, numbers: Any, place: Any) -> Any:  # noqa: ARG001
    """Written in LLVM's own words, since loops this short are not made into wide instructions: a fifth of the time."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        here = _pointers(context, builder, signature, arguments)
        products = builder.fmul(
            _small(builder, here(0, arguments[1]), LANE), _wide(builder, here(2, arguments[3]), LANE)
        )
        function = ir.FunctionType(ir.FloatType(), [ir.FloatType(), products.type])
        total = builder.module.declare_intrinsic(f"llvm.vector.reduce.fadd.v{LANE}f32", fnty=function)
        return builder.call(total, [ir.Constant(ir.FloatType(), 0.0), products], fastmath=("reassoc", "nsz"))

    return types.float32(codes, types.int64, numbers, types.int64), generate


def _tile_products(
    typing_context: Any, codes: Any, first: Any, numbers: Any, into: Any, to: Any  # noqa: ARG001
) -> Any:  # fmt: skip
    """TILE sums at a time, each in a place of one wide register; in four chains, so that few additions wait."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        here = _pointers(context, builder, signature, arguments)
        wide, mixed = ir.VectorType(ir.FloatType(), TILE), ir.VectorType(ir.IntType(32), TILE)
        empty, everywhere = ir.Constant(wide, ir.Undefined), ir.Constant(mixed, [0] * TILE)
        sums = [ir.Constant(wide, [0.0] * TILE)] * 4
        for n in range(LANE):
            place = builder.add(arguments[1], ir.Constant(ir.IntType(64), n * TILE))
            number = builder.load(here(2, ir.Constant(ir.IntType(64), n)))
            spread = builder.shuffle_vector(builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0)),
                                            empty, everywhere)  # fmt: skip
            product = builder.fmul(_small(builder, here(0, place), TILE), spread, flags=("contract",))
            sums[n % 4] = builder.fadd(sums[n % 4], product, flags=("contract",))
        total = builder.fadd(builder.fadd(sums[0], sums[1]), builder.fadd(sums[2], sums[3]))
        out = builder.bitcast(here(3, arguments[4]), wide.as_pointer())
        builder.store(total, out, align=4)
        return context.get_dummy_value()

    return types.void(codes, types.int64, numbers, into, types.int64), generate


def _tile_least(typing_context: Any, numbers: Any, first: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        here = _pointers(context, builder, signature, arguments)
        loaded = _wide(builder, here(0, arguments[1]), TILE)
        function = ir.FunctionType(ir.FloatType(), [loaded.type])
        least = builder.module.declare_intrinsic(f"llvm.vector.reduce.fmin.v{TILE}f32", fnty=function)
        return builder.call(least, [loaded], fastmath=("nnan", "nsz"))

    return types.float32(numbers, types.int64), generate


def _pointers(context: Any, builder: Any, signature: Any, arguments: Any) -> Callable[[int, Any], Any]:
    """The address of an element of the array that is the argument of a number."""
    return lambda which, place: builder.gep(
        context.make_array(signature.args[which])(context, builder, arguments[which]).data, [place]
    )


def _small(builder: Any, pointer: Any, count: int) -> Any:
    """So many int8 from an address on, as floats."""
    loaded = builder.load(builder.bitcast(pointer, ir.VectorType(ir.IntType(8), count).as_pointer()))
    loaded.align = 1
    return builder.sitofp(loaded, ir.VectorType(ir.FloatType(), count))


def _wide(builder: Any, pointer: Any, count: int) -> Any:
    loaded = builder.load(builder.bitcast(pointer, ir.VectorType(ir.FloatType(), count).as_pointer()))
    loaded.align = 4
    return loaded


def _plain_lane_product(codes: Any, first: int, numbers: Any, place: int) -> Any:
    return np.dot(codes[first : first + LANE].astype(np.float32), numbers[place : place + LANE])


def _plain_tile_least(numbers: Any, first: int) -> Any:
    return numbers[first : first + TILE].min()


def _plain_tile_products(codes: Any, first: int, numbers: Any, into: Any, to: int) -> None:
    into[to : to + TILE] = numbers[:LANE] @ codes[first : first + LANE * TILE].reshape(LANE, TILE).astype(np.float32)


lane_product = _plain_lane_product if config.DISABLE_JIT else intrinsic(_lane_product)
"""Sum of the products of LANE numbers, of an int8 array (n,) from one place on, of a float32 array (m,) from another.

Both arrays are contiguous and long enough, which nothing checks.
"""

tile_products = _plain_tile_products if config.DISABLE_JIT else intrinsic(_tile_products)
"""TILE sums of LANE products each, into a float32 array from a place on: of int8 (LANE, TILE) from a place of an array
(n,) on, and the first LANE numbers of a float32 array (m,), along the first axis.

All arrays are contiguous and long enough, which nothing checks.
"""

tile_least = _plain_tile_least if config.DISABLE_JIT else intrinsic(_tile_least)
"""The least of TILE numbers, none of them no number, of a float32 array from one place on; nothing is checked."""
