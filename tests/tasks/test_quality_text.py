"""Words of others in an artifact: shown as they are, on one line, and never as Markdown or HTML."""

import html
import re

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tasks.quality_text import cell

HOSTILE = "a|b \\| `c` ```d``` <script>x</script> [l](http://x) ![i](http://y) **bold** &lt;\n# e"


def test_markup_of_others_is_shown_and_does_nothing() -> None:
    shown = MarkdownIt().enable("table").render(f"| said |\n| --- |\n| {cell(HOSTILE)} |")
    (inside,) = re.findall(r"<td>(.*?)</td>", shown)
    assert html.unescape(inside) == HOSTILE.replace("\n", " ")
    assert not re.search(r"<(script|a|img|code|strong)", shown)


@given(text=st.text(alphabet=st.sampled_from("ab |\\`<>[]!()&;#*_~\n\r\x85"), max_size=40))
def test_no_text_makes_another_column_or_tag(text: str) -> None:
    shown = MarkdownIt().enable("table").render(f"| said | end |\n| --- | --- |\n| x{cell(text)}x | y |")
    assert shown.count("<td>") == 2
    assert set(re.findall(r"<(\w+)", shown)) == {"table", "thead", "tbody", "tr", "th", "td"}
