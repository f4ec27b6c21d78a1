"""Raw films with known truth, made from real or synthetic stars.

========================  =====================================================================
question                  file
========================  =====================================================================
what is in a night?       ``night.py`` (`simulate`): exposures, order, files, truth
which stars are there?    ``stars.py``: a table's, or a synthetic sky; the observer's catalog
what varies?              ``variables.py``: pulsators and flares
what moves?               ``movers.py`` and ``streaks.py``
where does it fall?       ``projection.py``: sky to pixels, with the true pointing and rotation
what does the air do?     ``atmosphere.py``: seeing, jitter, transparency, scintillation, sky
what does the chip do?    ``sensor.py``: hidden gain, noise, flat, dark; ``readout.py``: electrons to ADU
how is light laid down?   ``psf.py``: stars in stamps, trails row by row
what is in a film?        ``film.py``: the frames one by one; ``header.py``: its FITS header
========================  =====================================================================

Nothing here is imported by the reduction, and nothing here knows the reduction: the truth is worked out apart.
"""

from tomoe_explore.simulate.night import Simulation, simulate

__all__ = ["Simulation", "simulate"]
