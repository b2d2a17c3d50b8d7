"""Where a cut-out comes from, as its file says it: model, licence, use, request and receipt.

In every format as XMP, with the properties of XMP, Dublin Core, XMP Rights and IPTC Extension that
fit and names of our own for the rest; in PNG as text chunks too. Never a key, a path, or the number
of a licence agreement.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as parts_of
from datetime import datetime, timezone

from ..catalogue.licences import LICENCES, OwnWeights, licence_of
from ..catalogue.permission import under
from ..core.errors import BadOption
from ..core.report import JsonValue
from ..version import __version__
from .fields import NO_FIELDS, Fields, Origin
from .metadata import Metadata
from .xmp import printable, read_xmp, write_xmp

KEYWORD = "rmbg-nodes"

# IPTC's Digital Source Types. algorithmicallyEnhanced is "Modification or correction by algorithm
# without changing the main content of the media, initiated or configured by a human" (vocabulary of
# 2024-10-23): the subject of a cut-out is the picture's own, and nothing in it is generated.
# humanEdits is work done by people; "composite" and "trainedAlgorithmicMedia" are for several
# sources and for generated pixels.
_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
ALTERED = f"{_VOCABULARY}algorithmicallyEnhanced"
GENERATED = f"{_VOCABULARY}trainedAlgorithmicMedia"
# What a picture may have been before, for its cut-out to be ALTERED. One that says that it was
# generated, or put together, stays what it is: cutting it out makes no photograph of it.
_CAPTURED = frozenset(
    {"digitalCapture", "computationalCapture", "negativeFilm", "positiveFilm", "print"}
    | {"minorHumanEdits", "humanEdits", "algorithmicallyEnhanced"}
)


@dataclass(frozen=True)
class Provenance:
    """Plain texts; empty where there is nothing to say."""

    software: str
    """Such as "rmbg-nodes 0.1.0"."""
    date: str
    """When the file was made, UTC, "2026-03-01T12:00:00Z"."""
    backend: str
    model: str
    licence: str
    """Its name."""
    usage: str
    attribution: str
    web_statement: str
    """The page of the licence's text."""
    left_machine: str
    """Either "yes" or "no"."""
    usage_terms: str
    """What the background was removed for, and under what."""
    request_id: str = ""
    receipt: str = ""
    source_type: str = ""
    """The address of an IPTC term."""
    architecture: str = ""
    """Of the network that a local backend has run."""
    weights_sha256: str = ""

    def metadata(self, fields: Fields = NO_FIELDS) -> Metadata:
        """Return what is written into the file. fields: what the source says of itself; where that
        is a copyright, the attribution of the model stands aside."""
        properties = {name: getattr(self, attribute) for name, attribute in _PROPERTIES.items()}
        if fields.copyright:
            properties[_ASIDE] = self.attribution
        properties |= fields.properties()
        facts = {key: text for key, text in asdict(self).items() if text}
        texts = {"Software": self.software, "Comment": self.attribution}
        return Metadata(write_xmp(properties), {**texts, KEYWORD: json.dumps(facts)}, fields=fields)


# Where the attribution is when the rights are those in the photograph.
_ASIDE = "rmbg:Attribution"
# PNG's registered keywords Source (a device) and Creation Time speak of the photograph, of which
# nothing is known here.
_PROPERTIES = {
    "xmp:CreatorTool": "software",
    "xmp:ModifyDate": "date",
    "Iptc4xmpExt:DigitalSourceType": "source_type",
    "dc:rights": "attribution",
    "xmpRights:WebStatement": "web_statement",
    "xmpRights:UsageTerms": "usage_terms",
    "rmbg:Backend": "backend",
    "rmbg:Model": "model",
    "rmbg:Architecture": "architecture",
    "rmbg:WeightsSha256": "weights_sha256",
    "rmbg:Licence": "licence",
    "rmbg:Usage": "usage",
    "rmbg:LeftMachine": "left_machine",
    "rmbg:RequestId": "request_id",
    "rmbg:Receipt": "receipt",
}


def provenance_of(
    report: Mapping[str, JsonValue],
    own: Mapping[str, OwnWeights],
    *,
    source_type: str = "",
    now: datetime | None = None,
) -> Provenance:
    """Return the provenance of a delivered picture from its Report's data.

    own: what the user's settings say of their own weights, by sha256. now: for tests. Raises
    BadOption for what is no such report.
    """
    row = LICENCES.get(str(report.get("licence")))
    if row is None or report.get("outcome") != "delivered":
        raise BadOption(
            "This is not the report of a delivered picture. Connect the report of Remove "
            "Background (RMBG), or none."
        )
    weights, usage = _text(report, "weights_sha256"), _text(report, "usage")
    licence = licence_of(row.id, weights, own)
    name = row.name if licence == row else own[weights].licence
    # The number of such an agreement is not for the file's readers.
    agreed = usage == "commercial" and licence.commercial == "no"
    use = f"Background removed for {usage} use"
    terms = (
        f"{use} under an agreement with {licence.holder}" if agreed else under(use, name, licence)
    )
    moment = (now or datetime.now(timezone.utc)).astimezone(timezone.utc)
    return Provenance(
        software=f"rmbg-nodes {__version__}",
        date=moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        backend=_text(report, "backend"),
        model=_text(report, "model"),
        licence=name,
        usage=usage,
        attribution=licence.attribution,
        web_statement=licence.licence_page,
        left_machine="yes" if report.get("left_machine") else "no",
        usage_terms=f"{terms}.",
        request_id=_text(report, "request_id"),
        receipt=_text(report, "receipt"),
        source_type=source_type,
        architecture=_text(report, "architecture"),
        weights_sha256=weights,
    )


def metadata_of_result(
    report: Mapping[str, JsonValue], own: Mapping[str, OwnWeights], origin: Origin, *, silent: bool
) -> tuple[Metadata, Metadata]:
    """Return what the file of a picture and that of its mask say, from the data of its Report.

    silent: nothing of where they come from, only what the source says of itself. A mask has no
    source type and no author: it is no photograph.
    """
    if silent:
        return Metadata(fields=origin.fields), Metadata(fields=origin.fields.of_mask())
    said = provenance_of(report, own)
    of_image = replace(said, source_type=of_cutout(origin.source_type))
    return of_image.metadata(origin.fields), said.metadata(origin.fields.of_mask())


def of_cutout(declared: str) -> str:
    """Return the Digital Source Type of a cut-out, as IPTC's address.

    declared: that of its source; empty where it states none, and is taken for a photograph.
    """
    plain = declared.replace("https://", "http://", 1)
    term = plain.removeprefix(_VOCABULARY)
    known = plain.startswith(_VOCABULARY) and term.isalnum()
    return plain if known and term not in _CAPTURED else ALTERED


def read_provenance(metadata: Metadata) -> Provenance | None:
    """Return what this package wrote into a file; None where it wrote nothing."""
    properties = read_xmp(metadata.xmp)
    if _ASIDE in properties:
        properties["dc:rights"] = properties[_ASIDE]
    said = {
        attribute: properties[name] for name, attribute in _PROPERTIES.items() if name in properties
    }
    if "backend" not in said:
        said = _from_json(metadata.texts.get(KEYWORD, ""))
    if "backend" not in said:
        return None
    names = [field.name for field in parts_of(Provenance)]
    nothing = Provenance(*[""] * len(names))
    return replace(nothing, **{name: said[name] for name in names if name in said})


def declared_source_type(metadata: Metadata) -> str:
    """Return the Digital Source Type that any program wrote into a file; empty for none."""
    return read_xmp(metadata.xmp).get("Iptc4xmpExt:DigitalSourceType", "")


def _text(report: Mapping[str, JsonValue], key: str) -> str:
    value = report.get(key)
    return printable(value) if isinstance(value, str) else ""


def _from_json(text: str) -> dict[str, str]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {str(key): value for key, value in said.items() if isinstance(value, str)}
