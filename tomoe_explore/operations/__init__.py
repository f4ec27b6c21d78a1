"""What runs and when: a night of films, the checks of an archive.

=================================  ==========================
question                           file
=================================  ==========================
what runs in which order?          ``reduce.py``
and what would run?                ``plan.py``
what happens to one film?          ``film.py``
what came of a run?                ``run.py``
in which processes?                ``executors.py``
has every record its file?         ``inventory.py``
who watches a run?                 ``progress.py``
and when films arrive by night?    ``watch/``
with which reference catalog?      ``stars.py``
which files become fewer, when?    ``consolidate.py``
how are two parts made one?        ``merging.py``
does a night come out the same?    ``replays.py``
is all well?                       ``doctor.py``
and what is running now?           ``doctor_running.py``
what does one check find?          ``check.py``
what is a job, how is it had?      ``job.py``
which jobs are there?              ``job_list.py``
how far is it?                     ``job_progress.py``
what may jobs use?                 ``job_limits.py``
how is its process started?        ``job_start.py``
what does its process do?          ``job_process.py``
whom does it tell?                 ``job_reporter.py``
what came of its films?            ``job_outcomes.py``
=================================  ==========================
"""
