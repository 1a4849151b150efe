"""Are the documents true to the repository? `python -m tests.check_docs` exits 1 with a list of what is not.

Every relative link of a Markdown file must lead to a file of the repository and, where it names one, to a heading
of it; every command in backticks or a code block that begins with `make` or `pks` must exist.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import typer.main

ROOT = Path(__file__).resolve().parent.parent

_LINK = re.compile(r"!?\[(?:[^\]\\]|\\.)*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_REFERENCE = re.compile(r"^\s{0,3}\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)", re.MULTILINE)
_FENCE = re.compile(r"^\s*(?:```|~~~).*?^\s*(?:```|~~~)\s*$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
_HTML_ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")
_TARGET = re.compile(r"^([A-Za-z0-9_-]+(?:\s+[A-Za-z0-9_-]+)*)\s*:(?!=)", re.MULTILINE)
_COMMAND = re.compile(r"(?:^|[\s;&|(/])(make|pks)((?:[ \t]+[^\s;&|#`)]+)+)")
_WORD = re.compile(r"[a-z][a-z0-9-]*\Z")


def markdown_files() -> list[Path]:
    """The Markdown files of the repository, tracked or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.md"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        found = {ROOT / name for name in listed.stdout.decode().split("\0") if name}
    else:  # an unpacked archive
        hidden = (".venv", ".pks", "build")
        found = {path for path in ROOT.rglob("*.md") if not set(path.relative_to(ROOT).parts) & set(hidden)}
    return sorted(path for path in found if path.is_file())


def link_faults(path: Path, text: str) -> Iterator[str]:
    """Links of a document that lead nowhere."""
    prose = _INLINE.sub("", _FENCE.sub("", text))
    for target in [*_LINK.findall(prose), *_REFERENCE.findall(prose)]:
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        leads_to = (path.parent / name).resolve() if name else path
        if not leads_to.exists():
            yield f"link to {target}: expected a file of the repository, found none"
        elif anchor and leads_to.suffix == ".md" and anchor not in anchors(leads_to):
            yield f"link to {target}: expected a heading of {leads_to.name}, found none"


@cache
def anchors(path: Path) -> frozenset[str]:
    """The anchors of a document's headings, numbered where they repeat."""
    text = path.read_text(encoding="utf-8")
    found: set[str] = set(_HTML_ANCHOR.findall(text))
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        name, number = slug, 0
        while name in found:
            number += 1
            name = f"{slug}-{number}"
        found.add(name)
    return frozenset(found)


@cache
def make_targets() -> frozenset[str]:
    """What `make` can be asked for."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(name for names in _TARGET.findall(text) for name in names.split())


@cache
def pks_commands() -> frozenset[str]:
    """What `pks` can be asked for, groups with their commands: `dlq`, `dlq list`."""
    from topology.cli.application import application

    found: set[str] = set()

    def walk(command: object, prefix: str) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            found.add(f"{prefix}{name}")
            walk(inner, f"{prefix}{name} ")

    if application.registered_commands or application.registered_groups:
        group = typer.main.get_group(application)
        walk(group, "")
    return frozenset(found)


def command_faults(text: str) -> Iterator[str]:
    """Commands of a document that do not exist."""
    for code in [*_FENCE.findall(text), *_INLINE.findall(_FENCE.sub("", text))]:
        for program, rest in _COMMAND.findall(code):
            words = rest.split()
            if program == "make":
                for word in words:
                    if _WORD.match(word) and word not in make_targets():
                        yield f"`make {word}`: expected a target of the Makefile, found none"
                    if not _WORD.match(word) and "=" not in word:
                        break
                continue
            name = words[0]
            if not _WORD.match(name):
                continue
            groups = {command.split(" ")[0] for command in pks_commands() if " " in command}
            if name not in pks_commands():
                yield f"`pks {name}`: expected a command, found none"
            elif (
                name in groups
                and _WORD.match("".join(words[1:2]))
                and f"{name} {words[1]}" not in pks_commands()
            ):
                yield f"`pks {name} {words[1]}`: expected a command, found none"


def faults() -> list[str]:
    """All that is wrong, one line each."""
    found = []
    for path in markdown_files():
        text = path.read_text(encoding="utf-8")
        for fault in [*link_faults(path, text), *command_faults(text)]:
            found.append(f"{path.relative_to(ROOT)}: {fault}")
    return found


def main() -> int:
    """Print what is wrong; 1 where anything is."""
    found = faults()
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
