"""What pydantic found wrong with a value, in the words of a fault: expected what, not how the library says it."""

from typing import Any

_EXPECTED = {
    "missing": "a value",
    "string_type": "text",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "path_type": "a path",
}
_WHOLE = "a whole number"


def expected_of(fault: Any, bounds: tuple[float | None, float | None] = (None, None)) -> str:
    """What was expected of an entry of `ValidationError.errors()`; `bounds` are the least and most of its field."""
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in ("enum", "literal_error"):
        return str(context["expected"]).replace("'", "")
    least, most = bounds
    least = context.get("ge", least)
    most = context.get("le", most)
    if kind.startswith("int_") or (kind in ("greater_than_equal", "less_than_equal") and _whole(least, most)):
        return _WHOLE + _range(least, most)
    if kind in ("greater_than", "less_than"):
        return f"a number {'above' if kind == 'greater_than' else 'below'} {context.get('gt', context.get('lt'))}"
    return _EXPECTED.get(kind) or fault["msg"].removeprefix("Value error, expected ").removeprefix(
        "Input should be "
    )


def _whole(*bounds: float | None) -> bool:
    return all(bound is None or isinstance(bound, int) for bound in bounds)


def _range(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    if least is not None:
        return f" of at least {least}"
    return "" if most is None else f" of at most {most}"
