"""Loops over pixels and rows, compiled by numba, on plain arrays only.

Frames come as ``(frame, y, x)`` arrays, C-contiguous, either native float32 or int16 *whose bytes are big-endian*
as they stand in the film; `decode.decode` swaps them on the fly. ``x0, y0`` is the first light-sensitive pixel.
"""

from tomoe_explore import compiled as compiled
