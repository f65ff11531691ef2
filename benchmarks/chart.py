"""Charts without a library: bars for a terminal, lines for a page."""

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, MARGIN = 480, 280, 56
BAR = 30

Point = tuple[float, float]


def bar(value: float, most: float) -> str:
    """Blocks as long as the value is large."""
    return "█" * max(1, round(BAR * value / most))


def lines(title: str, x: str, y: str, points: Sequence[Point]) -> str:
    """An SVG of measured points, joined, with the straight line from zero through the last.

    Points on that line cost the same for each entry, however long the run; points above it more.
    """
    right, top = max(px for px, _ in points), max(py for _, py in points) * 1.1

    def at(px: float, py: float) -> str:
        along = MARGIN + px / right * (WIDTH - 2 * MARGIN)
        up = HEIGHT - MARGIN - py / top * (HEIGHT - 2 * MARGIN)
        return f"{along:.1f},{up:.1f}"

    last = max(points)
    drawn = [
        f'<polyline points="{at(0, 0)} {at(*last)}" stroke="#999" stroke-dasharray="4" />',
        f'<polyline points="{" ".join(at(*point) for point in sorted(points))}" stroke="#06c" />',
        f'<polyline points="{at(0, top)} {at(0, 0)} {at(right, 0)}" stroke="#000" />',
    ]
    for px, py in points:
        along, up = at(px, py).split(",")
        drawn.append(f'<circle cx="{along}" cy="{up}" r="3" fill="#06c" stroke="none" />')
        drawn.append(_text(along, float(up) - 8, f"{py:.2f}"))
        drawn.append(_text(along, HEIGHT - MARGIN + 16, f"{px:g}"))
    drawn.append(_text(WIDTH / 2, 20, title))
    drawn.append(_text(WIDTH / 2, HEIGHT - 12, x))
    drawn.append(_text(MARGIN, 40, y))
    body = "\n  ".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" fill="none" '
        f'font-family="sans-serif" font-size="12">\n  {body}\n</svg>\n'
    )


def _text(along: float | str, up: float | str, said: str) -> str:
    return f'<text x="{along}" y="{up}" fill="#000" text-anchor="middle">{escape(said)}</text>'
