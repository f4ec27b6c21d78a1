"""Raw films with known truth, made from real or synthetic stars.

========================  =====================================================================
question                  file
========================  =====================================================================
what is in a night?       ``night.py`` (`simulate`): files and truth; ``plan.py``: exposures, stars
in what conditions?       ``conditions.py``: seeing, moon, cloud, and observers' mistakes
which stars are there?    ``stars.py``: a table's, or a synthetic sky; ``bright.py``: a planet, a cluster
what does one know?       ``observer.py``: the observer's catalog
what varies?              ``variables.py``: pulsators, flares and eclipses
what moves?               ``movers.py`` and ``streaks.py``; there are glints too; ``trail_snr.py``: how bright
where does it fall?       ``projection.py``: sky to pixels; ``optics.py``: distortion, images over the field
how is a search tried?    ``injection.py``: many movers of known signal over noise a film
what does the air do?     ``atmosphere.py``: seeing, sky, scintillation; ``cloud.py``; ``motion.py``: shaking
what does the chip do?    ``sensor.py``: gain, sensitivity; ``defects.py``; ``charge.py``; ``readout.py``
how is light laid down?   ``psf.py``: stars in stamps, trails row by row
what is on a film?        ``exposure.py``: one detector in one exposure; ``place.py``: things on it, their truth
what is in its file?      ``make.py``: film after film; ``film.py``: its frames; ``header.py``
========================  =====================================================================

Nothing here is imported by the reduction, and nothing here knows the reduction: the truth is worked out apart.
"""

from tomoe_explore import compiled as compiled
from tomoe_explore.simulate.conditions import MISTAKES
from tomoe_explore.simulate.injection import simulate_movers
from tomoe_explore.simulate.night import Simulation, simulate

__all__ = ["MISTAKES", "Simulation", "simulate", "simulate_movers"]
