"""A hint to the processor to fetch a pixel that is needed soon: stars lie scattered over a film of 80 MB."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def prefetch(typing_context, array, i, j, k):  # type: ignore[no-untyped-def]
    """Fetch the cache line of ``array[i, j, k]``; the index may lie outside, for a hint never faults."""
    signature = types.void(array, types.intp, types.intp, types.intp)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        array_type = signature.args[0]
        view = context.make_array(array_type)(context, builder, args[0])
        item = cgutils.get_item_pointer(context, builder, array_type, view, list(args[1:]), wraparound=False)
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, keep, data = ir.Constant(word, 0), ir.Constant(word, 3), ir.Constant(word, 1)
        builder.call(hint, [builder.bitcast(item, byte), read, keep, data])
        return context.get_dummy_value()

    return signature, codegen
