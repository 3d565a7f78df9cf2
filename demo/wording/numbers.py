"""Number formatting: cosines, scores, shares and sizes as the lab writes them, here and in every figure."""

from __future__ import annotations

from demo.domain.results import Interval


def digits(value: float | None, places: int, signed: bool = False) -> str:
    """`.623` with three places; no leading zero, a true minus, no sign before zero; `–` for None."""
    if value is None:
        return "–"
    text = f"{abs(value):.{places}f}"
    sign = "" if not float(text) else "−" if value < 0 else "+" if signed else ""
    return sign + text.removeprefix("0")


def two_digits(value: float | None, signed: bool = False) -> str:
    """`.94`, as the article prints cosines; `−.02`; `1.00`; signed: `+.94`."""
    return digits(value, 2, signed)


def bounds(score: Interval, signed: bool = False) -> str:
    """`[.88, .97]`."""
    return f"[{two_digits(score.low, signed)}, {two_digits(score.high, signed)}]"


def interval(score: Interval, signed: bool = False) -> str:
    """`.93 [.88, .97]`."""
    return f"{two_digits(score.value, signed)} {bounds(score, signed)}"


def percent(share: float) -> str:
    """`41 %`; a share above nothing never looks like nothing: `< 1 %`."""
    return "< 1 %" if 0 < share < 0.005 else f"{share * 100:.0f} %"


def fine_percent(share: float) -> str:
    """`94 %`, `0.2 %`, `< 0.1 %`: most next tokens are unlikely."""
    if share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def parameter_count(parameters: int, space: str = "") -> str:
    """`135M`, `7.2B`."""
    return f"{parameters / 1e9:.1f}{space}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}{space}M"
