"""A Flex statement's XML as records: each element that carries attributes, with its line, one after the other.

Assumes: nothing of the file. Document types, entities and references to other files are refused (defusedxml), so
a small file cannot grow in memory.
Guarantees: the document is never held as a whole; XML that cannot be read is a fault with its line.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.parsers.expat import ExpatError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, XMLParser

from connectors.files.faults import FaultCollector
from connectors.files.source import open_source

ROOT = "FlexQueryResponse"
_WRAPPERS = ("FlexQueryResponse", "FlexStatements", "FlexStatement")
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """An element with attributes: its name, its attributes, and the line where it begins."""

    line: int
    tag: str
    values: Mapping[str, str]


class _WrongRootError(ValueError):
    """The document is XML and no Flex statement."""


class _Target:
    """What the parser tells: gathers records until they are taken."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.parser: Any = None
        self._root_seen = False

    def start(self, tag: str, values: dict[str, str]) -> None:
        if not self._root_seen:
            self._root_seen = True
            if tag != ROOT:
                raise _WrongRootError(f"<{tag}>")
        elif values and tag not in _WRAPPERS:
            self.records.append(Record(self.parser.CurrentLineNumber, tag, values))

    def end(self, tag: str) -> None:
        """Elements are told by their start alone."""

    def close(self) -> None:
        """Nothing is built."""


def read_records(path: str, faults: FaultCollector) -> Iterator[Record]:
    """The records of a statement, in its order; ends early, with a fault noted, where it cannot be read on."""
    target = _Target()
    parser = XMLParser(target=target, forbid_dtd=True)
    target.parser = parser.parser
    with open_source(path).open() as stream:
        try:
            while chunk := stream.read(_CHUNK_BYTES):
                parser.feed(chunk)
                yield from target.records
                target.records.clear()
            parser.close()
        except ParseError as error:
            line = getattr(error, "position", (0, 0))[0]
            faults.add(f"line {line}", "", "well-formed XML", str(error))
        except _WrongRootError as error:
            faults.add("line 1", "", f"a Flex statement (<{ROOT}>)", str(error))
        except DefusedXmlException as error:
            faults.add("", "", "XML without document type and entities", type(error).__name__)
        except (ExpatError, ValueError, LookupError, RecursionError) as error:
            # An encoding that the parser does not know, or bytes that are none of it.
            faults.add("", "", "XML in a known encoding", str(error))
