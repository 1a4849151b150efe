"""The replay certificate: which code, settings and input gave which book hash, in one file that shows if it was changed.

Owns: the manifest, its hash, and what is checked against a log.
Guarantees: whoever has the log and the code can recompute every figure of it; a certificate that was changed after it
was made is told from one that does not hold. The hash is no signature: to know who made it, publish or sign the
manifest hash elsewhere.
"""

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from connectors.embedded.log import EmbeddedLog
from schemas import topics
from schemas.times import format_time
from topology.log_reading import POSITIONS_TABLE, partition_count
from topology.replaying.outcome import Outcome, Span
from topology.verifying.checks import Check

KIND = "pks replay certificate"
FORMAT = 1

_CODE = ("schemas", "domain", "tables", "agents")
"""The packages that decide what a replay of bookings comes to; the others only bring it its input."""

_INPUT = topics.BOOKINGS.name


class CertificateFault(ValueError):
    """A file that is no certificate, or one that was changed after it was made."""


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a certificate says. `inputs` are next offsets by topic and partition; `last_inputs` say by partition which
    record stands before them: its sequence in the log and the SHA-256 of its value."""

    kind: str
    format: int
    made_at: str
    version: str
    code: str
    stage: str
    settings: dict[str, int]
    inputs: dict[str, dict[str, int]]
    last_inputs: dict[str, str]
    events: int
    applied: int
    duplicates: int
    rejected: int
    positions: int
    book_hash: str
    manifest_hash: str = ""


def hash_of(manifest: Manifest) -> str:
    """SHA-256 over the canonical JSON of all fields but the hash itself: sorted keys, no blanks, UTF-8."""
    fields = msgspec.to_builtins(manifest)
    del fields["manifest_hash"]
    return hashlib.sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()


@cache
def code_digest() -> str:
    """SHA-256 over the sources that make the books, by path."""
    found = hashlib.sha256()
    for package in _CODE:
        spec = find_spec(package)
        assert spec is not None and spec.origin is not None, "it is a package of this project"
        folder = Path(spec.origin).parent
        for path in sorted(folder.rglob("*.py")):
            found.update(f"{package}/{path.relative_to(folder).as_posix()}\0".encode())
            found.update(path.read_bytes() + b"\0")
    return found.hexdigest()


def certify(log: EmbeddedLog, spans: Sequence[Span], outcome: Outcome) -> Manifest:
    """The certificate of a replay of bookings from the first on."""
    manifest = Manifest(
        kind=KIND,
        format=FORMAT,
        made_at=format_time(time.time_ns()),
        version=version("pks"),
        code=code_digest(),
        stage=POSITIONS_TABLE,
        settings={"partitions": partition_count(log)},
        inputs={_INPUT: {str(span.partition): span.end for span in spans}},
        last_inputs={str(span.partition): _last_input(log, span.partition, span.end) for span in spans},
        events=outcome.events,
        applied=outcome.applied,
        duplicates=outcome.duplicates,
        rejected=outcome.rejected,
        positions=outcome.positions,
        book_hash=outcome.book_hash.hexadecimal,
    )
    manifest.manifest_hash = hash_of(manifest)
    return manifest


def _last_input(log: EmbeddedLog, partition: int, end: int) -> str:
    found = log.read(_INPUT, partition, end - 1, 1, 1) if end else []
    if not found or found[0].offset != end - 1:
        return ""
    return f"{found[0].sequence} {hashlib.sha256(found[0].value or b'').hexdigest()}"


def write_certificate(path: Path, manifest: Manifest) -> None:
    """Write a certificate, whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_certificate(path: Path) -> Manifest:
    """The certificate of a file. Raises CertificateFault."""
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise CertificateFault(f"{path}: expected a replay certificate, found: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CertificateFault(f"{path}: expected a replay certificate, found: {error}") from error
    if (manifest.kind, manifest.format) != (KIND, FORMAT):
        raise CertificateFault(
            f"{path}: expected a {KIND} of format {FORMAT}, found {manifest.kind!r:.80} of format {manifest.format}"
        )
    found = hash_of(manifest)
    if found != manifest.manifest_hash:
        raise CertificateFault(
            f"{path}: manifest_hash: expected {found}, as the other fields give it, found "
            f"{manifest.manifest_hash!r:.80}: the certificate was changed after it was made"
        )
    return manifest


def check_certificate(
    log: EmbeddedLog, manifest: Manifest, replayed: Callable[[Sequence[Span]], Outcome]
) -> list[Check]:
    """What a certificate says, held against this code, this log, and a replay of its input from the first booking."""
    code = Check("code", "the code that makes the books = the code of the certificate")
    _hold(code, "code", manifest.code, code_digest())
    settings = Check("settings", "settings that matter = those of the certificate")
    _hold(settings, "stage", manifest.stage, POSITIONS_TABLE)
    _hold(settings, "settings", manifest.settings, {"partitions": partition_count(log)})
    inputs = Check(
        "inputs", "the log reaches the offsets of the certificate, with the same records before them"
    )
    spans = _check_inputs(log, manifest, inputs)
    books = Check("book hash", "book hash of a replay up to these offsets = book hash of the certificate")
    counts = Check("counts", "events, applied, duplicates, rejected and positions = those of the certificate")
    if spans is None:
        reason = "not made: this log does not reach the offsets of the certificate"
        books.broken("replay", reason)
        counts.broken("replay", reason)
        return [code, settings, inputs, books, counts]
    outcome = replayed(spans)
    _hold(books, "book hash", manifest.book_hash, outcome.book_hash.hexadecimal)
    for name in ("events", "applied", "duplicates", "rejected", "positions"):
        counts.expect(name, getattr(manifest, name), getattr(outcome, name))
    return [code, settings, inputs, books, counts]


def _hold(check: Check, where: str, expected: object, found: object) -> None:
    check.checked += 1
    if expected != found:
        check.broken(where, f"expected {expected}, found {found}")


def _check_inputs(log: EmbeddedLog, manifest: Manifest, check: Check) -> list[Span] | None:
    """The spans of a certificate's input; None where this log has not all of it."""
    offsets: Mapping[str, Any] = manifest.inputs.get(_INPUT, {})
    partitions = [str(partition) for partition in range(partition_count(log))]
    if set(manifest.inputs) != {_INPUT} or set(offsets) != set(partitions):
        there = f"{_INPUT} with partitions {', '.join(partitions) or 'none'}"
        check.broken("inputs", f"expected {manifest.inputs}, found {there}")
        return None
    whole = True
    for partition in map(int, partitions):
        end, place = offsets[str(partition)], f"{_INPUT}:{partition}"
        reached = log.end_offset(_INPUT, partition)
        check.checked += 1
        if not 0 <= end <= reached:
            check.broken(place, f"expected a log up to offset {end}, found one up to {reached}")
            whole = False
        else:
            _hold(check, place, manifest.last_inputs.get(str(partition)), _last_input(log, partition, end))
    return (
        [Span(partition, 0, offsets[str(partition)]) for partition in map(int, partitions)] if whole else None
    )
