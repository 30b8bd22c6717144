"""HTML tables and numbers of the report. Everything that is not marked as HTML is escaped: names come from files and models."""

import html
import math
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(text: object) -> str:
    return text if isinstance(text, Html) else html.escape(str(text))


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], *, words: Sequence[int] = ()) -> Html:
    """A table that scrolls by itself on a narrow screen. The first cell of a row is its heading; columns in `words` are text, others numbers."""
    body = "".join(_row(cells, words) for cells in rows)
    heads = "".join(
        f'<th scope="col"{"" if at == 0 or at in words else _NUMBER}>{escaped(name)}</th>'
        for at, name in enumerate(head)
    )
    label = html.escape(caption)
    return Html(
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table><caption>{label}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


_NUMBER = ' class="n"'


def _row(cells: Sequence[object], words: Sequence[int]) -> str:
    first, *rest = cells
    others = "".join(f"<td{'' if at in words else _NUMBER}>{escaped(cell)}</td>" for at, cell in enumerate(rest, 1))
    return f'<tr><th scope="row">{escaped(first)}</th>{others}</tr>\n'


def money(value: float | None) -> str:
    """`+1,234.50`; the sign tells a profit from a loss without colour."""
    if value is None or not math.isfinite(value):
        return "n/a"
    return f"{value:+,.2f}" if round(value, 2) != 0 else "0.00"


def ratio(value: float | None) -> str:
    return "n/a" if value is None or not math.isfinite(value) else f"{value:,.2f}"


def bar(share: float) -> Html:
    """A bar as wide as a share of one, with the share written beside it."""
    width = 100 * min(max(share, 0.0), 1.0)
    return Html(
        f'<span class="share"><span class="bar" style="width:{0.07 * width:.2f}rem"></span>{100 * share:.1f} %</span>'
    )
