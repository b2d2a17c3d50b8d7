"""XMP packets: the properties of one picture as RDF (ISO 16684-1), written and read.

Written by hand and not with ElementTree, whose prefixes are the state of the whole process. Read
with it, but no packet that has a document type, which is where entities are made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.sax.saxutils import escape

#: Prefix -> namespace. The last is this package's own.
NAMESPACES: Mapping[str, str] = {
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "rmbg": "https://github.com/rmbg-nodes/rmbg-nodes/ns/1.0/",
}
# Text in any language: the value stands in a list of alternatives.
_ALTERNATIVES = frozenset({"dc:rights", "xmpRights:UsageTerms"})
# People, the first of whom comes first.
_SEQUENCES = frozenset({"dc:creator"})

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
# Read-only: there is no room in the packet, and PNG's checksum would not follow an edit in place.
_END = '<?xpacket end="r"?>'
_LARGEST = 1 << 20
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: str) -> str:
    """Replace every character that XML 1.0 cannot hold by U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", text)


def write_xmp(properties: Mapping[str, str]) -> bytes:
    """Return one packet, UTF-8, always the same for the same properties.

    properties: "prefix:Name" -> text, the prefixes those of NAMESPACES; empty texts are left out.
    """
    rows = [_row(name, printable(text)) for name, text in properties.items() if text]
    used = [prefix for prefix in NAMESPACES if any(row.startswith(f"<{prefix}:") for row in rows)]
    declared = "".join(f' xmlns:{prefix}="{NAMESPACES[prefix]}"' for prefix in used)
    lines = [
        _BEGIN,
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">',
        f'<rdf:RDF xmlns:rdf="{_RDF[1:-1]}">',
        f'<rdf:Description rdf:about=""{declared}>',
        *rows,
        "</rdf:Description>",
        "</rdf:RDF>",
        "</x:xmpmeta>",
        _END,
    ]
    return "\n".join(lines).encode()


def read_xmp(packet: bytes) -> dict[str, str]:
    """Return "prefix:Name" -> text of every property in the namespaces above; {} for no packet.

    Of alternatives the first, of another list all, joined by "; ", in whichever of RDF's forms
    other programs write it. What a packet says of another picture, further down, is left out.
    """
    try:
        # As text, which sets aside what the packet says of its encoding: XMP in these files is
        # UTF-8, and a document type could hide in another.
        text = packet.decode("utf-8-sig").rstrip("\0") if len(packet) <= _LARGEST else ""
        root = ElementTree.fromstring("" if "<!DOCTYPE" in text else text)
    except (UnicodeDecodeError, ElementTree.ParseError):
        return {}
    found: dict[str, str] = {}
    descriptions = (one for rdf in root.iter(f"{_RDF}RDF") for one in rdf)
    for description in descriptions:
        values = [
            *description.attrib.items(),
            *((child.tag, _text(child)) for child in description),
        ]
        for tag, text in values:
            name = _short(tag)
            if name and text.strip():
                found.setdefault(name, text.strip())
    return found


def _row(name: str, text: str) -> str:
    content = escape(text)
    if name in _ALTERNATIVES:
        content = f'<rdf:Alt><rdf:li xml:lang="x-default">{content}</rdf:li></rdf:Alt>'
    elif name in _SEQUENCES:
        content = f"<rdf:Seq><rdf:li>{content}</rdf:li></rdf:Seq>"
    return f"<{name}>{content}</{name}>"


def _short(tag: str) -> str:
    namespace, _, name = tag.removeprefix("{").partition("}")
    prefix = next((key for key, value in NAMESPACES.items() if value == namespace), "")
    return f"{prefix}:{name}" if prefix and name else ""


def _text(element: ElementTree.Element) -> str:
    entries = list(element.iter(f"{_RDF}li")) or [element]
    if element.find(f"{_RDF}Alt") is not None:
        entries = entries[:1]
    texts = (entry.get(f"{_RDF}resource") or entry.text or "" for entry in entries)
    return "; ".join(text.strip() for text in texts if text.strip())
