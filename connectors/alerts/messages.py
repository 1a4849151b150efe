"""What an alert says of dead letters: how many of which kind, the first few, and where to look."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from schemas import events
from schemas.frames import wire

LETTERS_SHOWN_MAX = 5
TEXT_CHARACTERS_MAX = 4_096
"""What Telegram takes in one message."""

_REASON_CHARACTERS_MAX = 300
_DeadLetter = wire(events.DeadLetter)


def letters_of(found: Sequence[Any]) -> list[Any]:
    """The dead letters among events, without those that say what became of one."""
    return [event for event in found if type(event) is _DeadLetter]


def text_of(letters: Sequence[Any]) -> str:
    """The message for people; never longer than Telegram takes."""
    kinds = Counter((letter.kind, letter.stage) for letter in letters)
    told = ", ".join(f"{count} {kind} of {stage}" for (kind, stage), count in kinds.most_common())
    lines = [f"PKS: {len(letters)} dead letter{'s' if len(letters) > 1 else ''}: {told}"]
    for letter in letters[:LETTERS_SHOWN_MAX]:
        trade = f"trade {letter.trade_id}: " if letter.trade_id else ""
        lines.append(f"{letter.event_id}: {trade}{letter.reason[:_REASON_CHARACTERS_MAX]}")
    if len(letters) > LETTERS_SHOWN_MAX:
        lines.append(f"and {len(letters) - LETTERS_SHOWN_MAX} more; pks dlq list has them all")
    return "\n".join(lines)[:TEXT_CHARACTERS_MAX]


def document_of(letters: Sequence[Any]) -> dict[str, Any]:
    """The message for programs: its text, the count, and the first letters without their bytes."""
    return {
        "text": text_of(letters),
        "count": len(letters),
        "dead_letters": [
            {
                "id": letter.event_id,
                "kind": letter.kind,
                "stage": letter.stage,
                "trade_id": letter.trade_id,
                "reason": letter.reason,
            }
            for letter in letters[:LETTERS_SHOWN_MAX]
        ],
    }
