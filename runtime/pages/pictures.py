"""Figures as parts of a page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ..figures import INK, PAPER, RULE

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
COLOURS = {INK: "var(--ink)", RULE: "var(--rule)", PAPER: "var(--paper)"}
REFERENCE = re.compile(r"#([\w.:-]+)")
KEPT = {"svg", "g", "path", "defs", "use", "text", "tspan", "image", "clipPath", "rect"}
KEPT |= {"linearGradient", "stop", "title"}


def inline(text: str, prefix: str, title: str) -> str:
    """An SVG file as an element of a page: in the colours of the page, with its title for those who
    hear it, and with names that no other figure has. Raises ValueError.

    Only what draws is kept; nothing that runs or loads is.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"it is no SVG: {error}") from None
    if root.tag != f"{{{SVG}}}svg":
        raise ValueError("it is no SVG")
    _strip(root)
    used = {name for value in _values(root) for name in REFERENCE.findall(value)}
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id" and value not in used:
                del element.attrib[key]
            elif key == "id":
                element.set(key, f"{prefix}-{value}")
            else:
                element.set(key, _value(value, prefix, used))
    root.attrib |= {"role": "img", "aria-label": title}
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _strip(element: ElementTree.Element) -> None:
    """Take out what does not draw."""
    for child in list(element):
        name = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
        if name not in KEPT:
            element.remove(child)
        else:
            _strip(child)
    for key, value in list(element.attrib.items()):
        name = key.rpartition("}")[2].lower()
        far = name == "href" and not value.startswith(("#", "data:image/png;base64,"))
        if far or name.startswith("on"):
            del element.attrib[key]


def _values(root: ElementTree.Element) -> list[str]:
    return [v for e in root.iter() for k, v in e.attrib.items() if k != "id" and "#" in v]


def _value(value: str, prefix: str, used: set[str]) -> str:
    """An attribute in the colours of the page, with names as they are now."""
    for colour, variable in COLOURS.items():
        value = value.replace(colour, variable)
    if "url(#" in value:
        return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", value)
    return f"#{prefix}-{value[1:]}" if value.startswith("#") and value[1:] in used else value
