import numpy as np

from tomoe_explore import memory

N = 3 << 20


def test_memory_is_used_again_only_when_nobody_looks_at_it():
    first = memory.empty((3, N // 3), np.uint8)
    first[:] = 7
    view = first[1, 5:9]
    second = memory.empty(N, np.uint8)
    second[:] = 8
    assert (first == 7).all()
    assert not np.shares_memory(first, second)
    address = first.ctypes.data
    del first
    third = memory.empty(N, np.uint8)
    third[:] = 9
    assert third.ctypes.data != address  # a view still looks at it
    assert (view == 7).all()
    del view
    assert memory.empty(N, np.uint8).ctypes.data == address


def test_small_arrays_do_not_take_big_memory():
    big = memory.empty(64 << 20, np.uint8)
    address = big.ctypes.data
    del big
    assert memory.empty(N, np.uint8).ctypes.data != address
    assert memory.empty(63 << 20, np.uint8).ctypes.data == address


def test_shape_and_type():
    array = memory.empty((3, 5, 7), np.float32)
    assert array.shape == (3, 5, 7)
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    assert memory.empty(0, np.float32).size == 0
