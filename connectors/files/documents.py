"""A YAML or JSON document with the line of each of its values, so that a fault can be told where it stands.

Guarantees: scalars are text, digit by digit as they stand; a key that stands twice is a fault; no tag makes an object; what
is nested too deeply, or refers to other parts of itself, is refused before it is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from connectors.files.faults import FaultCollector
from connectors.files.source import Source

BYTES_MAX = 8 * 1024**2
_DEPTH_MAX = 20
_VALUES_MAX = 200_000

Path = tuple[str | int, ...]

_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says, and on which line (from 1) each value of it stands, by its path."""

    content: Any
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """The line of a value, or of what holds it where there is no such value."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(source: Source) -> Document:
    """The document of a file. Raises InputFaults where it is none."""
    faults = FaultCollector(source.name)
    with source.open() as stream:
        text = stream.read(BYTES_MAX + 1)
    if len(text) > BYTES_MAX:
        faults.add("", "", f"at most {BYTES_MAX} bytes", "more")
    faults.raise_if_any()
    lines: dict[Path, int] = {}
    content: Any = None
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            faults.add("", "", "a YAML or JSON document", "an empty file")
        else:
            content = _build(node, (), lines, faults)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f"line {mark.line + 1}"
        faults.add(place, "", "a YAML or JSON document", str(getattr(error, "problem", None) or error))
    faults.raise_if_any()
    return Document(content, lines)


def _build(node: Any, path: Path, lines: dict[Path, int], faults: FaultCollector) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    # A document may name a part of itself again and again, and be endless in a few lines.
    if len(path) > _DEPTH_MAX or len(lines) > _VALUES_MAX:
        expected = f"at most {_DEPTH_MAX} levels and {_VALUES_MAX} values"
        faults.add(_place(node), _field(path[:4]), expected, "more")
        faults.raise_if_any()
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            inner = (*path, name)
            if not isinstance(key, yaml.ScalarNode) or name in found:
                faults.add(_place(key), _field(path), "each key once, as text", name[:80])
            # A line of a pair is that of its key.
            lines[inner] = key.start_mark.line + 1
            found[name] = _build(value, inner, lines, faults)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, place), lines, faults) for place, item in enumerate(node.value)]
    return node.value


def _place(node: Any) -> str:
    return f"line {node.start_mark.line + 1}"


def _field(path: Path) -> str:
    return ".".join(map(str, path))
