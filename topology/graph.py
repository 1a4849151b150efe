"""The graph of stages, topics and tables as data, and as a drawing (Graphviz dot, SVG)."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from agents.stage import Stage
from schemas.topics import TOPICS, Topic

_BOX_WIDTH, _BOX_HEIGHT = 250, 34
_COLUMN_WIDTH, _ROW_HEIGHT = 320, 54
_MARGIN = 20
_FILLS = {"topic": "#e8f0fe", "stage": "#fff3cd", "table": "#e6f4ea"}


@dataclass(frozen=True, slots=True)
class Node:
    """A topic, a stage or a table."""

    name: str
    kind: str


def topic_document(topic: Topic, partitions: int) -> dict[str, Any]:
    """What the registry says of a topic."""
    return {
        "name": topic.name,
        "events": [event_class.__name__ for event_class in topic.event_classes],
        "key": topic.key,
        "partitions": topic.partitions(partitions),
        "retention_seconds": topic.retention_seconds,
        "compacted": topic.compact,
        "subjects": list(topic.subjects),
        "dead_letters": topic.dead_letters,
        "description": topic.description,
    }


def stage_document(stage: Stage, partitions: int) -> dict[str, Any]:
    """A stage as it is declared."""
    return {
        "name": stage.name,
        "inputs": [stage.input.name, *(topic.name for topic in stage.broadcasts)],
        "outputs": [
            *(topic.name for topic in stage.outputs),
            *([stage.input.dead_letters] if stage.input.dead_letters else []),
        ],
        "tables": [stage.table.name],
        "changelog": stage.changelog,
        "key": stage.input.key,
        "partitions": partitions,
        "description": stage.description,
    }


def graph_document(stages: Sequence[Stage], partitions: int) -> dict[str, Any]:
    """Stages, topics and tables, with partitions."""
    return {
        "partitions": partitions,
        "stages": [stage_document(stage, partitions) for stage in stages],
        "topics": [topic_document(topic, partitions) for topic in TOPICS],
        "tables": [
            {
                "name": stage.table.name,
                "stage": stage.name,
                "changelog": stage.changelog,
                "partitions": partitions,
            }
            for stage in stages
        ],
    }


def _edges(stages: Sequence[Stage]) -> list[tuple[Node, Node]]:
    edges = []
    for stage in stages:
        at = Node(stage.name, "stage")
        edges += [(Node(topic.name, "topic"), at) for topic in (stage.input, *stage.broadcasts)]
        edges += [(at, Node(topic.name, "topic")) for topic in stage.outputs]
        if stage.input.dead_letters:
            edges.append((at, Node(stage.input.dead_letters, "topic")))
        edges.append((at, Node(stage.table.name, "table")))
    return edges


def dot(stages: Sequence[Stage]) -> str:
    """The graph in Graphviz's language."""
    lines = [
        "digraph pks {",
        "  rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif"];',
    ]
    edges = _edges(stages)
    for node in sorted({node for edge in edges for node in edge}, key=lambda node: (node.kind, node.name)):
        lines.append(f'  "{node.kind} {node.name}" [label="{node.name}", fillcolor="{_FILLS[node.kind]}"];')
    lines += [f'  "{a.kind} {a.name}" -> "{b.kind} {b.name}";' for a, b in edges]
    return "\n".join([*lines, "}"])


def _columns(edges: Sequence[tuple[Node, Node]]) -> dict[Node, int]:
    """The longest way to each node from one that nothing leads to."""
    columns = {node: 0 for edge in edges for node in edge}
    for _ in columns:
        for start, end in edges:
            columns[end] = max(columns[end], columns[start] + 1)
    return columns


def svg(stages: Sequence[Stage]) -> str:
    """The graph as a drawing, inputs on the left."""
    edges = _edges(stages)
    places: dict[Node, tuple[int, int]] = {}
    heights: dict[int, int] = {}
    for node, column in _columns(edges).items():
        row = heights.get(column, 0)
        heights[column] = row + 1
        places[node] = (_MARGIN + column * _COLUMN_WIDTH, _MARGIN + row * _ROW_HEIGHT)
    width = 2 * _MARGIN + max(heights) * _COLUMN_WIDTH + _BOX_WIDTH
    height = 2 * _MARGIN + max(heights.values()) * _ROW_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#666"/></marker></defs>',
    ]
    for start, end in edges:
        (x1, y1), (x2, y2) = places[start], places[end]
        x1, y1, y2 = x1 + _BOX_WIDTH, y1 + _BOX_HEIGHT // 2, y2 + _BOX_HEIGHT // 2
        bend = (x1 + x2) // 2
        parts.append(
            f'<path d="M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}" fill="none" stroke="#666" '
            'marker-end="url(#tip)"/>'
        )
    for node, (x, y) in places.items():
        round_corner = 4 if node.kind == "topic" else 16
        parts.append(
            f'<rect x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="{round_corner}" '
            f'fill="{_FILLS[node.kind]}" stroke="#888"/><text x="{x + _BOX_WIDTH // 2}" y="{y + 22}" '
            f'text-anchor="middle">{escape(node.name)}<title>{node.kind}</title></text>'
        )
    return "\n".join([*parts, "</svg>"])
