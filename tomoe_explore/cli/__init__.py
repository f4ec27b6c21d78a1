"""The command line ``tomoe``: one thin command a verb, in seven files.

=======================================  ================
verbs                                    file
=======================================  ================
simulate, refcat, masters, reduce        ``films.py``
watch                                    ``watching.py``
search, table, lightcurve, periodogram   ``questions.py``
provenance, replay                       ``origins.py``
init, summary, jobs, doctor              ``keeping.py``
backup, restore                          ``keeping.py``
consolidate                              ``consolidating.py``
movers known                             ``movers.py``
=======================================  ================

Exit status: 0 done; 1 something failed and is named; 2 wrong usage. With ``--json`` standard output is one JSON
document; messages and progress go to standard error.
"""

from __future__ import annotations

from typing import Annotated

import typer

from tomoe_explore.cli import consolidating, films, keeping, movers, origins, questions, watching
from tomoe_explore.cli.options import ArchiveOption, JsonOption, set_common
from tomoe_explore.cli.output import guarded

_HELP = """
Reduce, search and explore the 2 Hz films of Tomo-e Gozen.

A first night, from nothing:

    tomoe simulate raw --detectors 112 --exposures 3

    tomoe init

    tomoe reduce raw --refcat raw/refcat.parquet

    tomoe search --product stack

--archive DIR ($TOMOE_ARCHIVE, else ./archive) and --json work with every command, before or after its name.
Exit status: 0 done, 1 something failed and is named, 2 wrong usage.
"""

# rich's markup and tracebacks would cost more time than `--help` may take
app = typer.Typer(
    name="tomoe", help=_HELP, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)  # fmt: skip


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"tomoe {version('tomoe-explore')}")
        raise typer.Exit


@app.callback()
def _common(
    archive: ArchiveOption = None,
    json: JsonOption = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    set_common(archive, json)


for _verb in (
    keeping.init, films.simulate, films.masters, films.reduce, watching.watch, questions.search, questions.table,
    questions.lightcurve, questions.periodogram, origins.provenance, origins.replay, keeping.summary, keeping.jobs,
    keeping.doctor, keeping.backup, keeping.restore, consolidating.consolidate,
):  # fmt: skip
    app.command(_verb.__name__)(guarded(_verb))
refcat_app = typer.Typer(help="Reference catalogs: the stars that films are tied to.", no_args_is_help=True)
refcat_app.command("import")(guarded(films.refcat_import))
app.add_typer(refcat_app, name="refcat")
movers_app = typer.Typer(help="Moving objects of the archive.", no_args_is_help=True)
movers_app.command("known")(guarded(movers.known))
app.add_typer(movers_app, name="movers")


def main() -> None:
    """Entry point of the command ``tomoe``."""
    app()
