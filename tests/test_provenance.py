"""What is said of a cut-out, and the XMP it is said in."""

# Pins the inside of pictures.xmp

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from rmbg_nodes.catalogue.licences import LICENCES, OwnWeights
from rmbg_nodes.core.errors import BadOption
from rmbg_nodes.core.report import Report
from rmbg_nodes.core.types import Facts
from rmbg_nodes.pictures.metadata import Metadata
from rmbg_nodes.pictures.provenance import (
    ALTERED,
    GENERATED,
    KEYWORD,
    Provenance,
    of_cutout,
    provenance_of,
    read_provenance,
)
from rmbg_nodes.pictures.xmp import NAMESPACES, read_xmp, write_xmp

NOW = datetime(2026, 3, 1, 13, 30, tzinfo=timezone(timedelta(hours=1)))
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
TERM = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def report(licence: str = "bria-rmbg-2.0", usage: str = "non-commercial", **changed: object):
    facts = {
        "backend": "local/rmbg-2.0",
        "model": "rmbg-2.0",
        "licence": licence,
        "device": "cpu",
        "seconds": 1.5,
    } | changed
    return Report(
        name="/home/anna/secret shoot/shoe.jpg",
        width=4,
        height=3,
        usage=usage,  # type: ignore[arg-type]
        ground="commercial use under your agreement BRIA-4711 with BRIA AI",
        licence_name=LICENCES[str(facts["licence"])].name,
        facts=Facts(**facts),  # type: ignore[arg-type]
        receipt="R-0123456789ab",
    )


def said_of(one: Report, **more: object) -> Provenance:
    return provenance_of(one.data(), {}, now=NOW, **more)  # type: ignore[arg-type]


def test_a_report_becomes_provenance() -> None:
    said = said_of(report(), source_type=ALTERED)
    row = LICENCES["bria-rmbg-2.0"]
    assert said.software.startswith("rmbg-nodes ")
    assert said.date == "2026-03-01T12:30:00Z"
    assert (said.backend, said.model, said.usage) == (
        "local/rmbg-2.0",
        "rmbg-2.0",
        "non-commercial",
    )
    assert (said.licence, said.attribution, said.web_statement) == (
        row.name,
        row.attribution,
        row.licence_page,
    )
    assert said.usage_terms == (
        "Background removed for non-commercial use under bria-rmbg-2.0 / CC BY-NC 4.0."
    )
    assert (said.left_machine, said.request_id, said.receipt) == ("no", "", "R-0123456789ab")


def test_a_hosted_report_names_its_request_and_that_it_left() -> None:
    hosted = report(
        "bria-api", "commercial", left_machine=True, request_id="req-9", cost=Decimal(1)
    )
    said = said_of(hosted)
    assert (said.left_machine, said.request_id) == ("yes", "req-9")


@pytest.mark.parametrize("licence", LICENCES)
def test_every_licence_can_be_said(licence: str) -> None:
    said = said_of(report(licence))
    assert read_provenance(said.metadata()) == said


def test_neither_the_file_nor_the_agreements_number_is_told() -> None:
    said = said_of(report(usage="commercial"))
    assert said.usage_terms == (
        "Background removed for commercial use under an agreement with BRIA AI."
    )
    metadata = said.metadata()
    text = metadata.xmp.decode() + json.dumps(dict(metadata.texts))
    for private in ("anna", "shoe", "4711"):
        assert private not in text


def test_the_licence_of_the_users_own_weights_is_theirs() -> None:
    own = {"ab" * 32: OwnWeights("ab" * 32, "hair-net", "MIT", "https://example.org/net", True)}
    one = report("not-established", "commercial", weights_sha256="ab" * 32)
    said = provenance_of(one.data(), own, now=NOW)
    assert said.licence == "MIT"
    assert said.usage_terms == "Background removed for commercial use under MIT."
    assert "not established" not in said.attribution


def test_a_licence_that_is_not_established_is_said_in_a_sentence() -> None:
    assert said_of(report("not-established")).usage_terms == (
        "Background removed for non-commercial use; the licence is not established."
    )


@pytest.mark.parametrize(
    "data", [{}, {"outcome": "failed", "licence": "keyer"}, {"outcome": "delivered", "licence": 3}]
)
def test_what_is_no_report_is_refused(data) -> None:
    with pytest.raises(BadOption, match="not the report of a delivered picture"):
        provenance_of(data, {})


# ---------------------------------------------------------------- XMP


def test_the_packet_holds_the_registered_properties() -> None:
    packet = said_of(report(), source_type=ALTERED).metadata().xmp
    assert packet.startswith('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'.encode())
    assert packet.endswith(b'<?xpacket end="r"?>')
    root = ElementTree.fromstring(packet)
    (description,) = root.iter(f"{RDF}Description")
    assert description.get(f"{RDF}about") == ""

    def value(prefix: str, name: str) -> str | None:
        element = description.find(f"{{{NAMESPACES[prefix]}}}{name}")
        assert element is not None, name
        entry = element.find(f"{RDF}Alt/{RDF}li")
        if entry is None:
            return element.text
        assert entry.get("{http://www.w3.org/XML/1998/namespace}lang") == "x-default"
        return entry.text

    row = LICENCES["bria-rmbg-2.0"]
    assert str(value("xmp", "CreatorTool")).startswith("rmbg-nodes ")
    assert value("xmp", "ModifyDate") == "2026-03-01T12:30:00Z"
    assert value("Iptc4xmpExt", "DigitalSourceType") == f"{TERM}algorithmicallyEnhanced"
    assert value("dc", "rights") == row.attribution
    assert value("xmpRights", "WebStatement") == row.licence_page
    assert "non-commercial" in str(value("xmpRights", "UsageTerms"))
    assert value("rmbg", "Receipt") == "R-0123456789ab"
    assert description.find(f"{{{NAMESPACES['rmbg']}}}RequestId") is None


def test_the_same_provenance_gives_the_same_bytes() -> None:
    assert said_of(report()).metadata() == said_of(report()).metadata()


def test_hostile_texts_stay_texts() -> None:
    evil = '</rdf:Description>&amp;<x a="\'">\u0000\ud800\uffff]]> 猫.safetensors'
    said = said_of(report(model=evil))
    assert "猫" in said.model
    assert read_provenance(said.metadata()) == said
    (description,) = ElementTree.fromstring(said.metadata().xmp).iter(f"{RDF}Description")
    assert description.find(f"{{{NAMESPACES['rmbg']}}}Model") is not None


@pytest.mark.parametrize(
    "inside",
    [
        f'<rdf:Description rdf:about="" e:DigitalSourceType="{TERM}print"/>',
        f'<rdf:Description><e:DigitalSourceType rdf:resource="{TERM}print"/></rdf:Description>',
        f"<rdf:Description><e:DigitalSourceType> {TERM}print\n</e:DigitalSourceType>"
        "</rdf:Description>",
    ],
)
def test_other_programs_forms_are_read(inside: str) -> None:
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        f'xmlns:rdf="{RDF[1:-1]}" xmlns:e="{NAMESPACES["Iptc4xmpExt"]}">{inside}'
        "</rdf:RDF></x:xmpmeta>"
    )
    assert read_xmp(packet.encode()) == {"Iptc4xmpExt:DigitalSourceType": f"{TERM}print"}


def test_packets_that_are_none_say_nothing() -> None:
    good = write_xmp({"xmp:CreatorTool": "x"})
    assert read_xmp(good) == {"xmp:CreatorTool": "x"}
    bomb = b'<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>' + good
    wide = good.decode().encode("utf-16")  # in which a document type would not be seen
    for packet in (b"", b"<x", b"\xff\xfe\xff", bomb, wide, good[: len(good) // 2], good * 5000):
        assert read_xmp(packet) == {}


def test_a_png_whose_xmp_was_taken_out_still_speaks() -> None:
    said = said_of(report())
    assert read_provenance(Metadata(texts=said.metadata().texts)) == said
    assert read_provenance(Metadata(texts={KEYWORD: "[]"})) is None
    assert read_provenance(Metadata(texts={KEYWORD: "[" * 100_000})) is None
    assert read_provenance(Metadata(xmp=write_xmp({"xmp:CreatorTool": "GIMP"}))) is None


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("", ALTERED),
        (f"{TERM}digitalCapture", ALTERED),
        (f"{TERM}minorHumanEdits", ALTERED),
        (GENERATED, GENERATED),
        (GENERATED.replace("http:", "https:"), GENERATED),
        (f"{TERM}compositeWithTrainedAlgorithmicMedia",) * 2,
        ("https://example.org/whatever", ALTERED),
        (f"{TERM}../../evil", ALTERED),
    ],
)
def test_what_was_generated_stays_generated(declared: str, expected: str) -> None:
    assert of_cutout(declared) == expected
