"""What servers on Java have in common: their jars are fetched once, and their classes kept for the next start."""

from pathlib import Path

import pytest

from connectors.servers.class_archive import ClassArchive
from connectors.servers.maven import cached, fetched, java
from connectors.servers.process import ServerUnavailable


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with these programs alone, and an empty cache."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def fetch() -> Path:
    return fetched(
        "a jar", "a.jar", "copy", lambda _: ["-Dartifact=g:a:1"], lambda folder, _: folder / "a.jar"
    )


def test_a_machine_without_java_or_maven_says_what_to_install(programs: Path) -> None:
    with pytest.raises(
        ServerUnavailable, match=r"Java 17 or newer to run a server, found no java: install it"
    ):
        java("a server")
    with pytest.raises(ServerUnavailable, match=r"expected a jar in .*/a\.jar or Maven .*: install Maven"):
        fetch()


def test_what_was_fetched_is_not_fetched_again(programs: Path) -> None:
    program(programs, "mvn", 'for last; do :; done; echo "$*" > "${last#-DoutputDirectory=}/a.jar"')
    found = fetch()
    assert found == cached("a.jar")
    assert "-Dartifact=g:a:1" in found.read_text()
    assert [each.name for each in found.parent.iterdir()] == ["a.jar"]
    program(programs, "mvn", "exit 1")
    assert fetch() == found


def test_a_maven_that_fails_leaves_nothing(programs: Path) -> None:
    program(programs, "mvn", "echo no such artifact; exit 1")
    with pytest.raises(ServerUnavailable, match="expected Maven to fetch a jar, found: no such artifact"):
        fetch()
    assert list(cached("a.jar").parent.iterdir()) == []


def test_classes_are_kept_when_a_program_ended_in_order(programs: Path) -> None:
    program(programs, "java", "")
    cached("x").parent.mkdir(parents=True)
    (writing,) = (archive := ClassArchive("kafka", str(programs / "java"))).options()
    option, _, file = writing.partition("=")
    assert option == "-XX:ArchiveClassesAtExit"
    archive.keep()  # it was killed: there is none
    assert ClassArchive("kafka", str(programs / "java")).options()[0].startswith(option)
    (archive := ClassArchive("kafka", str(programs / "java"))).options()
    (writing,) = archive.options()
    Path(writing.partition("=")[2]).touch()
    archive.keep()
    (using,) = ClassArchive("kafka", str(programs / "java")).options()
    assert using.startswith("-XX:SharedArchiveFile=")
    assert not Path(file).exists()
