"""Which file system a path lies on: SQLite's locks cannot be trusted over a network."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from tomoe_explore.errors import ArchiveError

#: File systems whose locks do not hold between machines, by the name that the mount table gives them.
NETWORK = (
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "ceph", "beegfs", "afs", "9p", "fuse.sshfs",
    "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.s3fs", "fuse.rclone", "fuse.juicefs", "fuse.gcsfuse",
)  # fmt: skip


def mount_table() -> str:
    """The system's mount table; empty where it has none to read."""
    try:
        return Path("/proc/mounts").read_text()
    except OSError:
        return ""


def file_system(path: Path, table: str) -> str:
    r"""Type of the file system that a path lies on.

    Parameters
    ----------
    path : Path
        Absolute, without links.
    table : str
        As in ``/proc/mounts``: device, place, type, options; a blank in a place is written ``\040``.

    Returns
    -------
    str
        Such as ``ext4`` or ``nfs4``; empty if the table does not say.

    Examples
    --------
    >>> table = "/dev/sda / ext4 rw 0 0\nserver:/data /data nfs4 rw 0 0"
    >>> file_system(Path("/data/archive"), table), file_system(Path("/database"), table)
    ('nfs4', 'ext4')
    """
    holding = [(0, "")]
    for line in table.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        place = fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if path.is_relative_to(place):
            holding.append((len(place), fields[2]))
    # of mounts on one place the last one counts: it hides those before
    longest = max(length for length, _ in holding)
    return [kind for length, kind in holding if length == longest][-1]


def network_file_system(url: str) -> str:
    """The network file system that a SQLite registry lies on; empty where it lies on none, or is on a server."""
    try:
        parts = sa.make_url(url)
    except sa.exc.ArgumentError:  # whoever connects to it says so
        return ""
    if parts.get_backend_name() != "sqlite" or not parts.database or parts.database.startswith((":", "file:")):
        return ""
    found = file_system(Path(parts.database).resolve(), mount_table())
    return found if found in NETWORK else ""


def refuse_network(url: str) -> None:
    """Refuse to write a SQLite registry over a network; to read it does no harm.

    Raises
    ------
    ArchiveError
        If it lies on a network file system; the message says the way out.
    """
    found = network_file_system(url)
    if found:
        raise ArchiveError(
            f"registry {sa.make_url(url).render_as_string(hide_password=True)} lies on {found}, a network file system "
            "whose locks do not hold: it can be read but not written. Set $TOMOE_DATABASE to an SQLite file on a local "
            "disk (sqlite:////var/lib/tomoe/registry.sqlite) or to PostgreSQL; the archive's files may stay"
        )
