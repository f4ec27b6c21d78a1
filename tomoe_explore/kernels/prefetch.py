"""A hint to the processor to fetch a pixel that is needed soon: stars lie scattered over a film of 80 MB."""

from __future__ import annotations

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


@intrinsic
def prefetch(typing_context, array, i, j, k):  # type: ignore[no-untyped-def]
    """Fetch the cache line of ``array[i, j, k]``; the index may lie outside, for a hint never faults."""
    signature = types.void(array, types.intp, types.intp, types.intp)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _fetch(context, builder, signature.args[0], args[0], list(args[1:]))

    return signature, codegen


@intrinsic
def prefetch_image(typing_context, array, i, j):  # type: ignore[no-untyped-def]
    """The same of ``array[i, j]``."""
    signature = types.void(array, types.intp, types.intp)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _fetch(context, builder, signature.args[0], args[0], list(args[1:]))

    return signature, codegen
