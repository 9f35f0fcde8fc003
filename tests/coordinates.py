"""What a server says of a coordinate that its schema lacks."""

from __future__ import annotations


def refusal(coordinate: str) -> str:
    """What a server says whose schema lacks a coordinate."""
    owner, _, field = coordinate.partition(".")
    if not field:
        return f'Unknown type "{owner}".'
    field, _, argument = field.partition("(")
    if argument:
        return f'Unknown argument "{argument.removesuffix(":)")}" on field "{owner}.{field}".'
    return f'Cannot query field "{field}" on type "{owner}".'
