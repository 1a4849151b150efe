"""Which guarantee a stage has on a cluster, and whether it can have it.

Pure.
"""

from collections.abc import Mapping, Sequence

from agents.stage import Stage

EXACTLY_ONCE, LOW_LATENCY = "exactly_once", "low_latency"


class GuaranteeError(Exception):
    """The settings ask for a guarantee that a stage cannot have."""


def guarantee_of(stage: Stage, guarantees: Mapping[str, str]) -> str:
    """The guarantee of a stage; raises GuaranteeError."""
    named = guarantees.get(stage.name, EXACTLY_ONCE)
    if named == LOW_LATENCY and stage.broadcasts:
        listed = ", ".join(topic.name for topic in stage.broadcasts)
        raise GuaranteeError(
            f"expected `guarantees` to name {EXACTLY_ONCE} for {stage.name}, found {named}: what it emits depends on "
            f"when it reads {listed}, so that the outputs of a step that is done again may differ"
        )
    return named


def check_guarantees(stages: Sequence[Stage], guarantees: Mapping[str, str]) -> None:
    """Raise GuaranteeError where the settings name a stage that is not there, or what it cannot have."""
    names = [stage.name for stage in stages]
    for name in guarantees:
        if name not in names:
            raise GuaranteeError(f"expected `guarantees` to name stages ({', '.join(names)}), found {name!r}")
    for stage in stages:
        guarantee_of(stage, guarantees)
