"""What can be wrong with a data folder: where, what was expected, what was found, what to do."""


class EmbeddedLogError(Exception):
    """Any fault of the embedded log."""


class StateError(EmbeddedLogError):
    """The folder is damaged, or of a newer format than this version reads."""


class ResourceError(EmbeddedLogError):
    """The machine gives this process no more room or files; what is in the folder is sound."""


class OwnedElsewhereError(EmbeddedLogError):
    """Another process owns the folder."""


class CommitError(EmbeddedLogError):
    """A commit could not be written; nothing of it is in the log."""


_SHORT = (
    (
        "Too many open files",
        "allow this process more of them: ulimit -n, LimitNOFILE (docs/operating/memory-and-files.md)",
    ),
    ("No space left on device", "make room on the disk (docs/operating/disk-full.md)"),
    (
        "No usable temporary directory",
        "make room in the temporary folder (TMPDIR), or allow this process more open files: ulimit -n "
        "(docs/operating/memory-and-files.md)",
    ),
    ("Disk quota exceeded", "make room in the quota (docs/operating/disk-full.md)"),
)


def remedy(text: str) -> str | None:
    """What to do about an error that says that the machine gives no more; None for any other."""
    return next((advice for words, advice in _SHORT if words in text), None)


def translate(error: Exception, folder: str) -> EmbeddedLogError:
    """RocksDB's text as one of ours."""
    text = str(error)
    if "lock" in text.lower() and (
        "hold" in text or "temporarily unavailable" in text or "lock file" in text
    ):
        return OwnedElsewhereError(
            f"{folder}: expected to own this data folder, found another process holding it; stop that one, "
            "or give another folder with --data"
        )
    advice = remedy(text)
    if advice is not None:
        return ResourceError(f"{folder}: expected to open the log, found: {text}; {advice}")
    return StateError(
        f"{folder}: expected a sound log, found: {text}; keep a copy of the folder, then restore a backup, or "
        "rebuild it by replaying the fills from their sources into a new folder (docs/operating/damaged-state.md)"
    )
