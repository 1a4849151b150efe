"""The tables of the reference that come from the code. `python -m tests.reference_tables` rewrites them.

A document asks for one by a pair of marks, `<!-- generated: settings -->` and `<!-- end -->`; what stands between them
is this module's. A test fails where a block is not what the code says now.
"""

import inspect
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer.main
from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr

from connectors.embedded.log import EmbeddedLog
from connectors.files import ecb_rates
from connectors.marks.formats import QUOTE_FORMATS
from connectors.shm import layout
from connectors.shm.greeks import GREEKS
from connectors.shm.marks import MARKS
from connectors.venues.formats import FORMATS, NOT_AVAILABLE
from schemas.fields import FIELDS
from schemas.subjects import STREAMS
from schemas.topics import TOPICS
from services.pricing.measures import Measures
from topology.cli.application import application
from topology.cluster.measures import ClusterCollector
from topology.settings import Settings
from topology.sinks.metrics import SinkCollector
from topology.stages import build_stages
from topology.web.metrics import LogCollector, Metrics

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"

COMMON_OPTIONS = ("--data", "--transport", "--json")
"""Options of many commands, which the page explains once."""

_BLOCK = re.compile(r"(<!-- generated: ([a-z -]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_SIGNS = {Ge: ("ge", "≥"), Gt: ("gt", ">"), Le: ("le", "≤"), Lt: ("lt", "<")}
_KINDS = {
    "8s": "text",
    "Q": "unsigned",
    "q": "signed",
    "I": "unsigned",
    "d": "float64",
    "QqiI": "exact decimal",
}


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [_row(columns), "|" + "---|" * len(columns)]
    lines += [_row(row) for row in rows]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in cells) + " |"


def _code(text: object) -> str:
    return f"`{text}`" if text not in ("", None) else ""


_WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    SecretStr: "text, never shown",
    NoneType: "nothing",
}


def settings_table() -> str:
    """Every setting with its default and bounds."""

    def kind_of(annotation: Any) -> str:
        """A type in words."""
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Literal:
            return ", ".join(_code(value) for value in arguments)
        if origin is dict:
            return f"{kind_of(arguments[0])} = one of {kind_of(arguments[1])}"
        if origin is not None:
            return " or ".join(kind_of(each) for each in arguments)
        return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))

    def values(annotation: Any, metadata: Sequence[Any]) -> str:
        bounds = [
            f"{sign} {getattr(bound, name)}"
            for bound in metadata
            for kind, (name, sign) in _SIGNS.items()
            if isinstance(bound, kind)
        ]
        return ", ".join([kind_of(annotation), *bounds])

    return table(
        ("setting", "environment", "default", "values", "what it is"),
        (
            (
                _code(name),
                _code(f"PKS_{name.upper()}"),
                _code(field.default),
                values(field.annotation, field.metadata),
                field.description or "",
            )
            for name, field in Settings.model_fields.items()
        ),
    )


def _kept(seconds: int | None, compact: bool) -> str:
    if compact:
        return "latest by key"
    days = 0 if seconds is None else seconds // 86_400
    return "for ever" if seconds is None else "1 day" if days == 1 else f"{days} days"


def topics_table() -> str:
    """The registry of topics."""
    return table(
        ("topic", "events", "key", "partitions", "kept", "dead letters", "what it is"),
        (
            (
                _code(topic.name),
                ", ".join(_code(event_class.__name__) for event_class in topic.event_classes),
                topic.key,
                "`partitions`" if topic.partitioned else "1",
                _kept(topic.retention_seconds, topic.compact),
                _code(topic.dead_letters),
                topic.description,
            )
            for topic in TOPICS
        ),
    )


def streams_table() -> str:
    """The streams of NATS."""
    return table(
        ("stream", "subjects", "kept", "dead letters", "what it has"),
        (
            (
                _code(stream.name),
                ", ".join(_code(subject) for subject in stream.subjects),
                _kept(stream.retention_seconds, stream.latest),
                _code(stream.dead_letters),
                stream.description,
            )
            for stream in STREAMS
        ),
    )


def subjects_table() -> str:
    """The NATS subjects that topics have."""
    return table(
        ("topic", "subjects"),
        ((_code(topic.name), ", ".join(_code(subject) for subject in topic.subjects)) for topic in TOPICS),
    )


def stages_table() -> str:
    """The stages with their topics, table and changelog."""
    return table(
        ("stage", "reads", "writes", "table", "changelog", "what it does"),
        (
            (
                _code(stage.name),
                ", ".join(_code(topic.name) for topic in (stage.input, *stage.broadcasts)),
                ", ".join(_code(name) for name in _outputs(stage)),
                _code(stage.table.name),
                _code(stage.changelog),
                stage.description,
            )
            for stage in build_stages(Settings())
        ),
    )


def _outputs(stage: Any) -> list[str]:
    dead = stage.input.dead_letters
    return [*(topic.name for topic in stage.outputs), *([dead] if dead else [])]


def fields_table() -> str:
    """The field catalogue."""
    return table(
        ("number", "field", "tier", "kind", "unit", "null", "since", "what it is"),
        (
            (
                field.number,
                _code(field.name),
                f"{int(field.tier)} {field.tier.name.lower()}",
                field.kind,
                field.unit,
                "yes" if field.nullable else "",
                field.since,
                field.description,
            )
            for field in FIELDS
        ),
    )


def metrics_table() -> str:
    """Every metric, its type, labels and HELP text."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedLog.owner(Path(folder), sync="os") as log:
        metrics = Metrics()
        # No Apps, so nobody asks for their lags.
        others = [LogCollector(log, []), ClusterCollector([], {}), SinkCollector(Path(folder))]
        metrics.watch([], None, others)  # type: ignore[arg-type]
        found = sorted(_metrics_of(metrics._registry), key=lambda row: row[0])
    return table(("metric", "type", "labels", "what it is"), found)


def pricing_metrics_table() -> str:
    """Every metric of the pricing engine."""
    found = sorted(_metrics_of(Measures().registry), key=lambda row: row[0])
    return table(("metric", "type", "labels", "what it is"), found)


def _metrics_of(registry: Any) -> Iterator[tuple[str, str, str, str]]:
    for collector in registry._collector_to_names:
        own = hasattr(collector, "_labelnames")
        for metric in [collector] if own else collector.collect():
            kind = metric._type if own else metric.type
            name = metric._name if own else metric.name
            text = metric._documentation if own else metric.documentation
            labels = ", ".join(_code(label) for label in metric._labelnames)
            yield _code(f"{name}_total" if kind == "counter" else name), kind, labels, text


def formats_table() -> str:
    """The import formats."""
    return table(
        ("format", "reads", ""),
        (
            *(
                (_code(entry.name), entry.description, "" if entry.available else NOT_AVAILABLE)
                for entry in FORMATS.values()
            ),
            *((_code(entry.name), entry.description, "") for entry in QUOTE_FORMATS.values()),
            (_code(ecb_rates.NAME), ecb_rates.DESCRIPTION, ""),
        ),
    )


def commands() -> dict[str, Any]:
    """Every command by its name, those of groups as `dlq list`."""
    found: dict[str, Any] = {}

    def walk(command: Any, prefix: str) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            group = bool(getattr(inner, "commands", None))
            if not group or inner.invoke_without_command:
                found[f"{prefix}{name}"] = inner
            if group:
                walk(inner, f"{prefix}{name} ")

    walk(typer.main.get_command(application), "")
    return found


def commands_table() -> str:
    """All commands in one line each."""
    return table(
        ("command", "does"),
        (
            (_code(f"pks {name}"), (command.help or "").split("\n\n")[0])
            for name, command in commands().items()
        ),
    )


def command_table(name: str) -> str:
    """The arguments and options of one command; those that many share are only named."""
    command = commands()[name]
    hints = get_type_hints(inspect.unwrap(command.callback))
    parameters = [parameter for parameter in command.params if parameter.name != "help"]
    own = [parameter for parameter in parameters if parameter.opts[0] not in COMMON_OPTIONS]
    shared = [_code(parameter.opts[0]) for parameter in parameters if parameter not in own]
    rows = [
        (_usage(parameter, hints.get(parameter.name)), _default(parameter), parameter.help or "")
        for parameter in own
    ]
    text = table(("argument or option", "default", "what it is"), rows) if rows else ""
    if shared:
        text += f"{chr(10) if rows else ''}{'Also' if rows else 'Options'}: {', '.join(shared)}.\n"
    return text


def _usage(parameter: Any, hint: Any) -> str:
    if parameter.param_type_name == "argument":
        return _code(parameter.metavar or parameter.name.upper())
    names = ", ".join(_code(option) for option in parameter.opts)
    if parameter.is_flag:
        return names
    for kind in (hint, *get_args(hint)):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return f"{names} " + " ".join(_code(choice.value) for choice in kind)
    return f"{names} {_code(parameter.metavar or parameter.name.upper().replace('_', '-'))}"


def _default(parameter: Any) -> str:
    default = parameter.default
    if default is None or default is False:
        return "required" if parameter.required else ""
    return _code(default.value if isinstance(default, Enum) else default)


def layout_table(members: dict[str, layout.Member]) -> str:
    """The members of a structure of shared memory."""
    return table(
        ("member", "offset", "bytes", "kind"),
        ((_code(member.name), member.offset, member.size, _kind(member)) for member in members.values()),
    )


def _kind(member: layout.Member) -> str:
    if member.code.endswith("s"):
        return "exact decimal" if member.name.endswith("_exact") else "text, zero-filled"
    return _KINDS[member.code]


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "topics": topics_table,
    "subjects": subjects_table,
    "streams": streams_table,
    "stages": stages_table,
    "fields": fields_table,
    "metrics": metrics_table,
    "pricing metrics": pricing_metrics_table,
    "formats": formats_table,
    "commands": commands_table,
    "directory": lambda: layout_table(layout.DIRECTORY),
    "worker": lambda: layout_table(layout.WORKER),
    "segment": lambda: layout_table(layout.SEGMENT),
    "slot": lambda: layout_table(layout.SLOT),
    "mark slot": lambda: layout_table(MARKS.members),
    "greeks slot": lambda: layout_table(GREEKS.members),
}


def block(name: str) -> str:
    """What stands in a block; `command lots` is the table of `pks lots`. Raises KeyError for a name that is none."""
    if name.startswith("command "):
        return command_table(name.removeprefix("command "))
    return TABLES[name]()


def blocks(text: str) -> list[str]:
    """The names of a document's blocks."""
    return [match.group(2) for match in _BLOCK.finditer(text)]


def renewed(text: str) -> str:
    """A document with its blocks as the code says them now."""
    return _BLOCK.sub(lambda match: match.group(1) + block(match.group(2)) + match.group(4), text)


def documents() -> list[Path]:
    """The documents that may have blocks."""
    return sorted(FOLDER.glob("*.md"))


def main() -> int:
    """Rewrite the blocks of the reference; says which documents changed."""
    for path in documents():
        text = path.read_text(encoding="utf-8")
        new = renewed(text)
        if new != text:
            path.write_text(new, encoding="utf-8")
            print(f"rewrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
