"""A hint to the processor to fetch a pixel that is needed soon: stars lie scattered over a film of 80 MB."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _fetch(context, builder, array_type, array, index):  # type: ignore[no-untyped-def]
    view = context.make_array(array_type)(context, builder, array)
    item = cgutils.get_item_pointer(context, builder, array_type, view, index, wraparound=False)
    byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
    hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    read, keep, data = ir.Constant(word, 0), ir.Constant(word, 3), ir.Constant(word, 1)
    builder.call(hint, [builder.bitcast(item, byte), read, keep, data])
    return context.get_dummy_value()


def _of_frames(typing_context, array, i, j, k):  # type: ignore[no-untyped-def]
    signature = types.void(array, types.intp, types.intp, types.intp)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _fetch(context, builder, signature.args[0], args[0], list(args[1:]))

    return signature, codegen


def _of_image(typing_context, array, i, j):  # type: ignore[no-untyped-def]
    signature = types.void(array, types.intp, types.intp)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _fetch(context, builder, signature.args[0], args[0], list(args[1:]))

    return signature, codegen


#: ``prefetch(array, i, j, k)`` fetches the cache line of ``array[i, j, k]``, `prefetch_image` that of ``array[i, j]``;
#: an index may lie outside, for a hint never faults.
prefetch: Any = intrinsic(_of_frames)
prefetch_image: Any = intrinsic(_of_image)
