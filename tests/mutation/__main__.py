"""`make mutate`: change the code of `domain/` in small ways, and see that the tests notice each.

mutmut makes the changes (mutants) and runs the tests of `tests/unit/domain` and `tests/property/domain` that reach
each; `[tool.mutmut]` in pyproject.toml says how. What it found before stands in `mutants/` and is found again only
where code changed; `make clean` forgets it.

Fails where a mutant survives that `survivors.txt` does not list with a reason, where a listed one survives no
more, and where less than `KILLED_MIN` of all are found.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import native

KILLED_MIN = 0.90
LISTED = Path(__file__).with_name("survivors.txt")
FOUND = ("killed", "timeout", "segfault")


def listed() -> dict[str, str]:
    """The survivors that are known, with the reason of each: the comment above it."""
    found, reason = {}, ""
    for line in LISTED.read_text().splitlines():
        if line.startswith("# "):
            reason = line[2:]
        elif line:
            found[line] = reason
    return found


def described(name: str, diff: Sequence[str]) -> str:
    """A mutant by what it changes, so that its name holds when others come before it."""
    removed, added = (
        " ".join(line[1:].strip() for line in diff if line[:1] == sign and line[:3] != sign * 3)
        for sign in "-+"
    )
    function = name.rpartition("__mutmut_")[0].replace(".x_", ".").replace("xǁ", "").replace("ǁ", ".")
    return f"{function}: {removed} => {added}"


def results() -> tuple[Counter[str], dict[str, list[str]]]:
    """How many mutants ended how, and the survivors as they are described."""
    from mutmut.__main__ import (
        SourceFileMutationData,
        get_diff_for_mutant,
        status_by_exit_code,
        walk_mutatable_files,
    )

    statuses: Counter[str] = Counter()
    survivors: dict[str, list[str]] = {}
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            status = status_by_exit_code[code]
            statuses[status] += 1
            if status not in (*FOUND, "not checked"):
                text = described(name, get_diff_for_mutant(name, path=path).splitlines())
                survivors.setdefault(text, []).append(f"{name} ({status})")
    return statuses, survivors


def report() -> int:
    """Print the figures and the survivors; 1 where one is not accounted for."""
    statuses, survivors = results()
    known = listed()
    untried = statuses.pop("not checked", 0)
    total = sum(statuses.values())
    found = sum(statuses[status] for status in FOUND)
    for text, names in sorted(survivors.items()):
        print(f"{text}\n    {', '.join(names)}\n    {known.get(text, 'NOT LISTED')}")
    print(
        f"\n{total} mutants: {statuses['killed']} killed by a test, {found - statuses['killed']} stopped (they "
        f"ran on and on), {total - found} survived: {found / max(total, 1):.1%} found, at least {KILLED_MIN:.0%} expected"
    )
    faults = [
        f"survived and is not listed in {LISTED.name}: {text}" for text in survivors if text not in known
    ]
    faults += [
        f"is listed in {LISTED.name} and did not survive: {text}" for text in known if text not in survivors
    ]
    if untried:
        faults.append(f"expected every mutant tried, found {untried} left: run it again to go on")
    if found < KILLED_MIN * total:
        faults.append(f"expected {KILLED_MIN:.0%} found, found {found / total:.1%}")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def main() -> int:
    """Run mutmut, niced, and report; with `--report`, report what the last run found."""
    if "--report" not in sys.argv:
        command = [
            Path(sys.executable).with_name("mutmut"),
            "run",
            "--max-children",
            str(os.cpu_count() or 1),
        ]
        os.nice(10)
        done = subprocess.run(
            command, env=os.environ | {"PKS_HYPOTHESIS": "mutants", native.PLAIN: "1"}, check=False
        )
        if done.returncode:
            return done.returncode
    return report()


if __name__ == "__main__":
    sys.exit(main())
