"""Files of the log cut short or with a bit flipped, through the commands: exit code 3 and what to do, or no harm."""

import json
import random
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.faults import marked_worker, stages_worker
from tests.faults.marked import Worker
from tests.faults.up_support import connect, environment, request_of, settle
from tests.support import Books, eventually, soak_kills
from topology.cli import application
from topology.control.protocol import ControlError

KINDS = (".sst", ".log", "MANIFEST-", "CURRENT", "OPTIONS-", "rocksdict-config.json")
COMMANDS = (["book-hash"], ["positions", "--lots"], ["replay"])
"""What reads the tables, and what reads the log; each as a reader beside an owner does."""


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PKS_PARTITIONS", str(stages_worker.PARTITIONS))


class Sound:
    """A folder whose worker was killed, with sorted files and a write-ahead log; and what the commands say of it."""

    def __init__(self, scratch: Path) -> None:
        self.more = stages_worker.batches(3, 2_500)[-1]
        self.folder = scratch / "data"
        with Worker(scratch / "marks", marked_worker.half_flushed, self.folder, 3, 2_500) as worker:
            worker.until(lambda marks: marks.appended > 0)
            worker.kill()
        shutil.copytree(self.folder, scratch / "clean")
        with Books(scratch / "clean", partitions=stages_worker.PARTITIONS, waiting_max=100_000) as books:
            self.hash = books.hash()
            books.book(*self.more)
            self.hash_after = books.hash()

    def files(self, kind: str) -> list[str]:
        return sorted(
            file.name
            for file in (self.folder / "log").iterdir()
            if file.stat().st_size and (file.suffix == kind or file.name.startswith(kind))
        )


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    return Sound(tmp_path_factory.mktemp("sound"))


def flip(target: Path, choose: random.Random) -> None:
    content = bytearray(target.read_bytes())
    content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
    target.write_bytes(content)


def cut(target: Path, choose: random.Random) -> None:
    with target.open("r+b") as file:
        file.truncate(choose.randrange(target.stat().st_size))


def said(command: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any, str]:
    code = application.run([*command, "--data", str(folder), "--json"])
    told = capsys.readouterr()
    document = json.loads(told.out) if code == 0 else None
    for name in ("seconds", "sequence"):
        if document:
            document.pop(name, None)
    return code, document, told.err


def damaged(
    sound: Sound, to: Path, kind: str, harm: Callable[[Path, random.Random], None], seed: int
) -> Path:
    choose = random.Random(f"{kind}{seed}")
    shutil.copytree(sound.folder, to)
    harm(to / "log" / choose.choice(sound.files(kind)), choose)
    return to


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("harm", [flip, cut])
def test_commands_refuse_or_say_what_they_said(
    sound: Sound, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, harm: Any
):
    assert sound.files(kind)
    expected = [said(command, sound.folder, capsys) for command in COMMANDS]
    assert [code for code, _, _ in expected] == [0, 0, 0]
    for seed in range(5):
        folder = damaged(sound, tmp_path / str(seed), kind, harm, seed)
        for command, (_, document, _) in zip(COMMANDS, expected, strict=True):
            code, found, told = said(command, folder, capsys)
            assert (code == 0 and found == document) or (code == 3 and "damaged-state.md" in told), (
                seed,
                command,
                code,
                told,
            )


def up_after(sound: Sound, folder: Path, marks: Path) -> int:
    """Start `pks up` on a folder, feed it, stop it; returns its exit code, 0 only where the books are right then."""
    settings = {**environment(), "PKS_WAITING_CORRECTIONS_MAX": "100000"}
    with Worker(
        marks, marked_worker.command, "up", "--data", str(folder), "--json", environment=settings
    ) as worker:
        client = eventually(lambda: worker.ended() or connect(folder), 30)
        try:
            if client is not True:
                with closing(client):
                    client.ask(request_of(sound.more))
                    settle(client)
                worker.order_to_stop()
        except ControlError:
            pass  # it has ended, and says why
        code = worker.wait()
        if code:
            assert "damaged-state.md" in worker.said(), worker.said()
            return code
    with Books(folder, partitions=stages_worker.PARTITIONS, waiting_max=100_000) as books:
        assert books.hash() == sound.hash_after
    return 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("harm", [flip, cut])
def test_pks_up_refuses_or_keeps_the_right_books(sound: Sound, tmp_path: Path, kind: str, harm: Any):
    folder = damaged(sound, tmp_path / "data", kind, harm, 100)
    code = up_after(sound, folder, tmp_path / "marks")
    assert code in (0, 3), (tmp_path / "marks.said").read_text()


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("harm", [flip, cut])
def test_many_damages(sound: Sound, tmp_path: Path, kind: str, harm: Any):
    for seed in range(200, 200 + soak_kills(6.0)):
        folder = damaged(sound, tmp_path / str(seed), kind, harm, seed)
        assert up_after(sound, folder, tmp_path / "marks") in (0, 3), seed
        shutil.rmtree(folder)
