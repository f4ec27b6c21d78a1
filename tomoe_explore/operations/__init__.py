"""What runs and when: a night of films, the checks of an archive.

=================================  ==========================
question                           file
=================================  ==========================
what runs in which order?          ``reduce.py``
what happens to one film?          ``film.py``
what came of a run?                ``run.py``
in which processes?                ``executors.py``
which code, which libraries?       ``environment.py``
is all well?                       ``doctor.py``
=================================  ==========================
"""
