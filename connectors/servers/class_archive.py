"""The classes that a Java program loads, kept on this machine for its next start (class data sharing of the JVM).

Guarantees: an archive stands in the cache whole or not at all; one that does not fit (another JVM, other jars) is passed over by
the JVM, which then starts as it would without.
"""

import hashlib
from pathlib import Path
from uuid import uuid4

from connectors.servers.maven import cached


class ClassArchive:
    """The archive of a program by its name, for a `java` of this machine."""

    def __init__(self, name: str, java: str) -> None:
        digest = hashlib.sha256(str(Path(java).resolve()).encode()).hexdigest()[:8]
        self._file = cached(f"{name}-{digest}.jsa")
        self._making: Path | None = None

    def options(self) -> list[str]:
        """What the JVM is told: to use it, or, where there is none, to write it when the program ends in order."""
        if self._file.is_file():
            return [f"-XX:SharedArchiveFile={self._file}"]
        self._making = self._file.with_name(f"{self._file.name}.{uuid4().hex}")
        return [f"-XX:ArchiveClassesAtExit={self._making}"]

    def keep(self) -> None:
        """The program has ended: what it wrote is there for the next."""
        making, self._making = self._making, None
        if making is not None and making.is_file():
            making.replace(self._file)
