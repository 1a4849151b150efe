"""The note of what was synced: it finds what is missing, and claims nothing else."""

from pathlib import Path

import pytest

from connectors.embedded.errors import StateError
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.watermark import Watermark
from tests.support import eventually


def committed(folder: Path, number: int, sync: str = "group") -> None:
    with EmbeddedLog.owner(folder, sync=sync) as log:
        log.create_topic("a", 1)
        for _ in range(number):
            transaction = log.transaction()
            transaction.append("a", 0, b"k", b"v")
            transaction.commit()


@pytest.mark.parametrize("sync", ["always", "group", "os"])
def test_a_close_notes_all_that_was_committed(tmp_path: Path, sync: str):
    for runs in (1, 2, 3):
        committed(tmp_path / "data", 3, sync)
        assert (tmp_path / "data" / "watermark").read_text().split()[0] == str(3 * runs)


def test_a_log_that_has_less_than_was_synced_is_refused(tmp_path: Path):
    folder = tmp_path / "data"
    committed(folder, 3)
    note = folder / "watermark"
    sequence, manifest, size = note.read_text().split()
    note.write_text(f"{sequence} {manifest} {int(size) + 1}")
    with pytest.raises(StateError, match=manifest):
        EmbeddedLog.owner(folder)
    note.write_text(f"{int(sequence) + 1} {manifest} {size}")
    for _ in range(2):
        with pytest.raises(StateError, match=r"expected a log up to sequence 4.*found it up to 3"):
            EmbeddedLog.owner(folder)
    note.write_text(f"{sequence} {manifest} {size}")
    committed(folder, 1)


@pytest.mark.parametrize("text", ["", "garbage", "1 2", "x y z", "\x00" * 96, "9 MANIFEST-000001 x", "é 1 2"])
def test_a_note_that_cannot_be_read_claims_nothing(tmp_path: Path, text: str):
    folder = tmp_path / "data"
    committed(folder, 3)
    (folder / "watermark").write_text(text, encoding="utf-8")
    committed(folder, 1)
    assert (folder / "watermark").read_text().split()[0] == "4"


def test_a_folder_of_before_the_note_is_opened(tmp_path: Path):
    folder = tmp_path / "data"
    committed(folder, 3)
    (folder / "watermark").unlink()
    committed(folder, 1)
    assert (folder / "watermark").read_text().split()[0] == "4"


def test_what_a_manifest_gained_is_noted(tmp_path: Path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "CURRENT").write_text("MANIFEST-000001\n")
    (tmp_path / "log" / "MANIFEST-000001").write_bytes(b"x" * 10)
    watermark = Watermark(tmp_path, tmp_path / "log")
    watermark.note(1, settled=True)
    (tmp_path / "log" / "MANIFEST-000001").write_bytes(b"x" * 20)
    watermark.note(2)
    assert (tmp_path / "watermark").read_text().split() == ["2", "MANIFEST-000001", "20"]
    (tmp_path / "log" / "MANIFEST-000002").write_bytes(b"x" * 5)
    (tmp_path / "log" / "CURRENT").write_text("MANIFEST-000002\n")
    watermark.note(2, settled=True)
    watermark.close()
    assert (tmp_path / "watermark").read_text().split() == ["2", "MANIFEST-000002", "5"]


def test_what_a_manifest_gains_while_nothing_is_committed_is_noted(tmp_path: Path):
    with EmbeddedLog.owner(tmp_path / "data", sync="group") as log:
        log.create_topic("a", 1)
        transaction = log.transaction()
        transaction.append("a", 0, b"k", b"v")
        assert log.wait_durable(transaction.commit())
        (manifest,) = (tmp_path / "data" / "log").glob("MANIFEST-*")
        before = manifest.stat().st_size
        log._database.flush()
        assert manifest.stat().st_size > before
        expected = ["1", manifest.name, str(manifest.stat().st_size)]
        eventually(lambda: (tmp_path / "data" / "watermark").read_text().split() == expected)


def test_a_reader_finds_what_is_missing_as_the_owner_does(tmp_path: Path):
    folder = tmp_path / "data"
    committed(folder, 3)
    note = folder / "watermark"
    sequence, manifest, size = note.read_text().split()
    for wrong in (f"{sequence} {manifest} {int(size) + 1}", f"{int(sequence) + 1} {manifest} {size}"):
        note.write_text(wrong)
        with pytest.raises(StateError, match="the end of the log is missing"):
            EmbeddedLog.reader(folder)
        assert note.read_text() == wrong
    note.unlink()
    EmbeddedLog.reader(folder).close()
    assert not note.exists()
