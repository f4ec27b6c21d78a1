"""Provenance as W3C PROV: PROV-JSON for programs, PROV-N for people.

Raw films, masters, the reference catalog and archived files are *entities*; mastering and reduction are *activities*;
this package in its version is the software *agent*. Files of a reduction are revisions of those that they replaced. The
names stand in the namespace `NAMESPACE`: ``film-`` and ``refcat-`` with the checksum's digits, the archive's own ids
for all else, so that documents of several archives can be joined.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tomoe_explore.archive.provenance import Origin

#: Of all names in our documents; it does not change with versions.
NAMESPACE = "urn:tomoe-explore:prov#"

_PREFIX = "tomoe"
_XSD = {bool: "xsd:boolean", int: "xsd:long", float: "xsd:double"}

#: The two ends of each relation, in the order of PROV-N.
_ENDS = {
    "used": ("prov:activity", "prov:entity"),
    "wasGeneratedBy": ("prov:entity", "prov:activity"),
    "wasDerivedFrom": ("prov:generatedEntity", "prov:usedEntity"),
    "wasAssociatedWith": ("prov:activity", "prov:agent"),
    "hadMember": ("prov:collection", "prov:entity"),
}

#: How many optional arguments PROV-N leaves blank after the two ends.
_BLANKS = {"used": 1, "wasGeneratedBy": 1, "wasDerivedFrom": 3, "wasAssociatedWith": 1, "hadMember": 0}

Document = dict[str, Any]


def prov_json(origin: Origin) -> Document:
    """A PROV-JSON document (W3C member submission of 2013) of where something comes from.

    Examples
    --------
    >>> from tomoe_explore.archive.provenance import Origin
    >>> film = {"checksum": "xxh3:00", "path": "raw/r.fits"}
    >>> master = {"master_id": "dark-1", "kind": "dark", "code_version": "0.1", "film": film, "dark": {}}
    >>> sorted(prov_json(Origin("master dark-1", product=master, film=film))["entity"])
    ['tomoe:dark-1', 'tomoe:film-00']
    """
    document: Document = {"prefix": {_PREFIX: NAMESPACE}}
    for master in (origin.dark, origin.flat, origin.product if "master_id" in origin.product else {}):
        _add_master(document, master)
    if origin.reduction:
        _add_reduction(document, origin)
    elif "reductions" in origin.product:
        file = {name: value for name, value in origin.product.items() if name != "reductions"}
        name = _entity(document, file["product_id"], file["kind"], file)
        for this in origin.product["reductions"]:
            _relate(document, "wasGeneratedBy", name, _activity(document, f"reduction-{this}", f"reduction {this}", {}))
    return document


def _add_master(document: Document, master: Mapping[str, Any]) -> str | None:
    """A master with what it was made from; its name."""
    if not master:
        return None
    name = _entity(document, master["master_id"], f"master {master['master_id']}", master)
    if not master.get("film"):
        return name
    film = _add_film(document, master["film"])
    made = _activity(document, f"mastering-{master['master_id']}", "mastering", {}, end=master.get("created"))
    inputs = [film, _add_master(document, master.get("dark") or {})]
    _relate(document, "wasGeneratedBy", name, made)
    for source in filter(None, inputs):
        _relate(document, "used", made, source)
        _relate(document, "wasDerivedFrom", name, source)
    _relate(document, "wasAssociatedWith", made, _add_code(document, master.get("code_version", ""), None))
    return name


def _add_film(document: Document, film: Mapping[str, Any]) -> str:
    return _entity(document, f"film-{_digits(film['checksum'])}", "raw film", film)


def _add_code(document: Document, version: str, dirty: bool | None) -> str:
    name = _name(f"code-{version or 'unknown'}" + ("-dirty" if dirty else ""))
    values = {"prov:label": f"tomoe_explore {version}", **_attributes({"version": version, "dirty": dirty})}
    values["prov:type"] = {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"}
    document.setdefault("agent", {})[name] = values
    return name


def _add_reduction(document: Document, origin: Origin) -> None:
    run = origin.reduction
    told = {k: v for k, v in run.items() if k not in ("parameters", "environment", "started", "finished")}
    for group in ("parameters", "environment"):
        told |= {f"{group}.{key}": value for key, value in run[group].items()}
    label = f"reduction {run['reduction_id']}"
    this = _activity(
        document, f"reduction-{run['reduction_id']}", label, told, start=run["started"], end=run["finished"]
    )
    _relate(document, "wasAssociatedWith", this, _add_code(document, run["code_version"], run["code_dirty"]))
    inputs = [_add_film(document, origin.film)]
    inputs += [_name(master["master_id"]) for master in (origin.dark, origin.flat) if master]
    if origin.refcat:
        catalog = f"refcat-{_digits(origin.refcat['checksum'])}"
        inputs.append(_entity(document, catalog, f"reference catalog {origin.refcat['name']}", origin.refcat))
    for source in inputs:
        _relate(document, "used", this, source)
    for product in origin.products:
        name = _entity(document, product["product_id"], product["kind"], product)
        _relate(document, "wasGeneratedBy", name, this)
        _relate(document, "wasDerivedFrom", name, inputs[0])
    for step in origin.revisions:
        new, old = (_known(document, step[key]) for key in ("product_id", "revision_of"))
        _relate(document, "wasDerivedFrom", new, old, kind="prov:Revision")
    if origin.row:
        _add_row(document, origin)


def _add_row(document: Document, origin: Origin) -> None:
    """A row is a member of the table that holds it."""
    named = re.sub(r", frame ", "-frame-", origin.asked).replace(" ", "-")
    row = _entity(document, named, origin.asked, origin.row)
    table = _name(origin.product["product_id"])
    document["entity"][table]["prov:type"] = {"$": "prov:Collection", "type": "prov:QUALIFIED_NAME"}
    _relate(document, "hadMember", table, row)


def _known(document: Document, product_id: str) -> str:
    """A file of another reduction, of which only the name is told."""
    name = _name(product_id)
    document["entity"].setdefault(name, {"prov:label": product_id})
    return name


def _entity(document: Document, id: str, label: str, values: Mapping[str, Any]) -> str:
    name = _name(id)
    document.setdefault("entity", {})[name] = {"prov:label": label, **_attributes(values)}
    return name


def _activity(
    document: Document, id: str, label: str, values: Mapping[str, Any], *, start: str | None = None,
    end: str | None = None,
) -> str:  # fmt: skip
    name = _name(id)
    times = {key: time for key, time in (("prov:startTime", start), ("prov:endTime", end)) if time}
    document.setdefault("activity", {})[name] = {**times, "prov:label": label, **_attributes(values)}
    return name


def _relate(document: Document, relation: str, source: str, target: str, *, kind: str = "") -> None:
    """A relation, told once however often it is met."""
    ends = dict(zip(_ENDS[relation], (source, target), strict=True))
    entry: dict[str, Any] = dict(ends)
    if kind:
        entry["prov:type"] = {"$": kind, "type": "prov:QUALIFIED_NAME"}
    told = document.setdefault(relation, {})
    if entry not in told.values():
        told[f"_:{relation}{len(told) + 1}"] = entry


def _attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values as attributes of ours; what is nested has an entity of its own, what is empty is left out."""
    told: dict[str, Any] = {}
    for key, value in values.items():
        if value is None or value == "" or isinstance(value, Mapping):
            continue
        several = [_literal(one) for one in value] if isinstance(value, list | tuple) else [_literal(value)]
        if several:
            told[f"{_PREFIX}:{_local(key)}"] = several if len(several) > 1 else several[0]
    return told


def _literal(value: Any) -> Any:
    form = _XSD.get(type(value))
    if form is None:
        return str(value)
    return {"$": str(value).lower() if form == "xsd:boolean" else repr(value), "type": form}


def _digits(checksum: str) -> str:
    return checksum.rpartition(":")[2]


def _name(id: str) -> str:
    return f"{_PREFIX}:{_local(id)}"


def _local(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", text)


def prov_n(origin: Origin) -> str:
    """The same document in PROV-N (W3C recommendation of 2013).

    Examples
    --------
    >>> from tomoe_explore.archive.provenance import Origin
    >>> film = {"checksum": "xxh3:00"}
    >>> print(prov_n(Origin("master dark-1", product={"master_id": "dark-1", "film": film}, film=film)).splitlines()[2])
      entity(tomoe:dark-1, [prov:label="master dark-1", tomoe:master_id="dark-1"])
    """
    document = prov_json(origin)
    lines = [f"  prefix {prefix} <{uri}>" for prefix, uri in document["prefix"].items()]
    for kind in ("entity", "activity", "agent"):
        lines += [f"  {kind}({_arguments(kind, name, values)})" for name, values in document.get(kind, {}).items()]
    for relation, ends in _ENDS.items():
        for entry in document.get(relation, {}).values():
            blanks = ", -" * _BLANKS[relation]
            extra = {key: value for key, value in entry.items() if key not in ends}
            attributes = f", [{_listed(extra)}]" if extra else ""
            lines.append(f"  {relation}({entry[ends[0]]}, {entry[ends[1]]}{blanks}{attributes})")
    return "\n".join(["document", *lines, "endDocument", ""])


def _arguments(kind: str, name: str, values: Mapping[str, Any]) -> str:
    times = [values.get(key, "-") for key in ("prov:startTime", "prov:endTime")] if kind == "activity" else []
    told = _listed({key: value for key, value in values.items() if key not in ("prov:startTime", "prov:endTime")})
    return ", ".join([name, *times, f"[{told}]"])


def _listed(values: Mapping[str, Any]) -> str:
    several = [(key, one) for key, value in values.items() for one in (value if isinstance(value, list) else [value])]
    return ", ".join(f"{key}={_written(value)}" for key, value in several)


def _written(value: Any) -> str:
    if isinstance(value, dict):
        name = value["type"] == "prov:QUALIFIED_NAME"
        return f"'{value['$']}'" if name else f'"{value["$"]}" %% {value["type"]}'
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
