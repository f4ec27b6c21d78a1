"""Known objects: their orbits from a file, where they are, and which of them a mover is.

=============================================  ==================
question                                       file
=============================================  ==================
what does a line of MPCORB.DAT say?            ``mpcorb.py``
where is an object, seen from Kiso?            ``ephemeris.py``
which of them is this mover?                   ``identify.py``
=============================================  ==================
"""
