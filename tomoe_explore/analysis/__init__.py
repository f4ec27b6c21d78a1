"""One astronomer's question per file.

=====================================  =================================
question                               file
=====================================  =================================
which periods are in a light curve?    ``periodogram.py``, ``peaks.py``
which peaks are aliases?               ``window.py``
how is a light curve kept as a file?   ``light_curve_file.py``
which rows are one streak?             ``streaks.py``
which detections are one object's?     ``link.py``, ``motion.py``
which movers should a person look at?  ``review.py``
how faint may a mover be?              ``depth.py``
how many of the movers are found?      ``completeness.py``
=====================================  =================================
"""
