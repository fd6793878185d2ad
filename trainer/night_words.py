"""How amounts are put into sentences about a night."""

from __future__ import annotations

FEW = ("No", "One", "Two", "Three")


def amount(count: int, noun: str) -> str:
    """`1 mail`, `2 mails`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def more(count: int, noun: str) -> str:
    """`One more mail`, `12 more mails`: the beginning of a sentence."""
    number = FEW[count] if count < len(FEW) else f"{count:,}"
    return f"{number} more {noun}" if count == 1 else f"{number} more {noun}s"


def lasting(seconds: float) -> str:
    """A duration in its two largest units: `41 s`, `12 min 5 s`, `2 h 3 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
