"""The replay certificate: what it says, and that every change of it, of the log and of the code is told."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.topics import BOOKINGS
from tests.support import Books, booked
from topology.replaying import certificate as certificates
from topology.replaying.certificate import (
    CertificateFault,
    Manifest,
    certify,
    check_certificate,
    hash_of,
    read_certificate,
    write_certificate,
)
from topology.replaying.outcome import Span
from topology.replaying.replay import replay_whole

PARTITIONS = 2


@pytest.fixture
def books(tmp_path: Path):
    with Books(tmp_path / "data", partitions=PARTITIONS) as found:
        for number in range(20):
            found.bookings(
                booked(
                    f"t{number}", 5 - number % 3 * 4 or 1, 100 + number, book=f"BOOK{number % 5}", at=number
                )
            )
        found.bookings(booked("t3", 1, 1, book="BOOK3"))
        found.run()
        yield found


def _spans(books: Books) -> list[Span]:
    return [
        Span(partition, 0, books.log.end_offset(BOOKINGS.name, partition)) for partition in range(PARTITIONS)
    ]


@pytest.fixture
def manifest(books: Books) -> Manifest:
    spans = _spans(books)
    return certify(books.log, spans, replay_whole(books.log, PARTITIONS, spans))


def _check(books: Books, manifest: Manifest) -> dict[str, str]:
    """The checks that do not hold, with what they found."""
    checks = check_certificate(books.log, manifest, lambda spans: replay_whole(books.log, PARTITIONS, spans))
    assert [check.name for check in checks] == ["code", "settings", "inputs", "book hash", "counts"]
    return {check.name: " ".join(check.findings) for check in checks if not check.ok}


def test_what_was_replayed_holds_also_after_the_log_has_grown(
    books: Books, manifest: Manifest, tmp_path: Path
):
    write_certificate(tmp_path / "one.json", manifest)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "one.json"]
    read = read_certificate(tmp_path / "one.json")
    assert read == manifest
    assert (read.book_hash, read.positions, read.rejected) == (books.hash(), 5, 1)
    assert read.events == read.applied + read.duplicates + read.rejected == 21
    assert _check(books, read) == {}
    books.bookings(booked("later", 1, 1), booked("late", 1, 1, at=-100))
    books.run()
    assert books.hash() != read.book_hash and _check(books, read) == {}


@pytest.mark.parametrize("name", list(Manifest.__struct_fields__))
def test_a_change_of_any_field_shows(name: str, manifest: Manifest, tmp_path: Path):
    path = tmp_path / "certificate.json"
    fields = msgspec.to_builtins(manifest)
    old = fields[name]
    if isinstance(old, dict):
        place = next(iter(old))
        inner = old[place]
        fields[name] = {**old, place: {**inner, "0": 1} if isinstance(inner, dict) else type(inner)(0) or "x"}
        fields[name] = fields[name] if fields[name] != old else {}
    else:
        fields[name] = old + 1 if isinstance(old, int) else old[:-1] + ("0" if old[-1:] != "0" else "1")
    assert fields[name] != old
    path.write_text(json.dumps(fields))
    with pytest.raises(CertificateFault, match=r"expected .*found"):
        read_certificate(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"kind": "pks replay certificate"}',
    ],
)
def test_what_is_no_certificate_is_refused(content: bytes, tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(CertificateFault, match="expected a replay certificate, found"):
        read_certificate(path)
    with pytest.raises(CertificateFault, match="expected a replay certificate, found"):
        read_certificate(tmp_path / "missing")


def test_an_added_field_and_another_format_are_refused(manifest: Manifest, tmp_path: Path):
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps({**msgspec.to_builtins(manifest), "more": 1}))
    with pytest.raises(CertificateFault, match="more"):
        read_certificate(path)
    write_certificate(path, _signed(manifest, format=2))
    with pytest.raises(CertificateFault, match="of format 1, found"):
        read_certificate(path)


def _signed(manifest: Manifest, **changes: Any) -> Manifest:
    """A manifest changed by somebody who knows how to hash it again."""
    changed = msgspec.structs.replace(manifest, **changes)
    changed.manifest_hash = hash_of(changed)
    return changed


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"book_hash": "0" * 64}, {"book hash"}),
        ({"code": "0" * 64}, {"code"}),
        ({"stage": "capture"}, {"settings"}),
        ({"settings": {"partitions": 3}}, {"settings"}),
        ({"events": 20}, {"counts"}),
        ({"applied": 1, "duplicates": 0, "rejected": 0}, {"counts"}),
        ({"positions": 1}, {"counts"}),
        ({"inputs": {}}, {"inputs", "book hash", "counts"}),
        ({"inputs": {BOOKINGS.name: {"0": 1}}}, {"inputs", "book hash", "counts"}),
        ({"inputs": {BOOKINGS.name: {"0": 1, "1": 10**6}}}, {"inputs", "book hash", "counts"}),
        ({"inputs": {BOOKINGS.name: {"0": -1, "1": 1}}}, {"inputs", "book hash", "counts"}),
        ({"inputs": {BOOKINGS.name: {"0": 1, "1": 1}}}, {"inputs", "book hash", "counts"}),
        ({"last_inputs": {}}, {"inputs"}),
    ],
)
def test_each_field_that_is_hashed_again_is_held_against_this_log(
    books: Books, manifest: Manifest, tmp_path: Path, changes: dict, broken: set
):
    path = tmp_path / "certificate.json"
    write_certificate(path, _signed(manifest, **changes))
    found = _check(books, read_certificate(path))
    assert set(found) == broken
    # Where no replay was made, nothing that it would have given is said to hold.
    assert ("not made" in found.get("counts", "")) is ("not made" in found.get("book hash", ""))
    assert all("expected" in text or "not made" in text for text in found.values())


def test_the_code_is_told_by_its_sources(monkeypatch: pytest.MonkeyPatch):
    whole = certificates.code_digest()
    certificates.code_digest.cache_clear()
    monkeypatch.setattr(certificates, "_CODE", ("schemas", "domain"))
    assert certificates.code_digest() != whole
    certificates.code_digest.cache_clear()
