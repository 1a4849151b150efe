"""The posting rules that are built in, and those of a file, checked."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import domain.ledger
from connectors.files.documents import Document, read_document
from connectors.files.faults import FaultCollector
from connectors.files.source import Source, open_source
from domain.ledger.rules import Rules, coarser_scale
from domain.ledger.rules_document import RulesFaults, read_rules
from schemas import topics
from topology.log_reading import WholeLog, read_events

STANDARD = Path(str(domain.ledger.__file__)).with_name("standard_rules.yaml")
"""Version 0."""


@cache
def standard_rules() -> Rules:
    """The rules that are built in."""
    return read_rules(read_document(open_source(str(STANDARD))).content, 0)


def rules_of_file(source: Source, before: Rules) -> tuple[Rules, str]:
    """The rules of a file as the version after another, and their definition as it goes into the log.

    Raises InputFaults with every fault and its line.
    """
    document = read_document(source)
    faults = FaultCollector(source.name)
    try:
        rules = read_rules(document.content, before.version + 1)
    except RulesFaults as found:
        for fault in found.faults:
            _add(faults, document, fault.path, fault.expected, fault.found)
        faults.raise_if_any()
        raise
    coarser = coarser_scale(before, rules)
    if coarser is not None:
        currency, earlier, later = coarser
        expected = f"at least {earlier} decimals, as version {before.version} has: a minor unit never becomes coarser"
        path = ("scales", currency) if currency else ("default_scale",)
        _add(faults, document, path, expected, str(later))
    faults.raise_if_any()
    return rules, json.dumps(document.content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def latest_rules(log: WholeLog | None) -> tuple[Rules, str]:
    """The newest version of the rules that a log has, if there is one, and its definition (none of the built-in ones)."""
    newest: Any = None
    if log is not None and topics.POSTING_RULES.name in log.topics():
        for _, rules in read_events(log, topics.POSTING_RULES, 0):
            if newest is None or rules.version > newest.version:
                newest = rules
    if newest is None:
        return standard_rules(), ""
    return read_rules(json.loads(newest.definition), newest.version), newest.definition


def _add(
    faults: FaultCollector, document: Document, path: tuple[str | int, ...], expected: str, found: str
) -> None:
    faults.add(f"line {document.line(path)}", ".".join(map(str, path)), expected, found)
