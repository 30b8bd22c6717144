"""Text from outside as every store can keep it: no NUL, which PostgreSQL refuses, and no lone surrogates, which are no UTF-8."""


def storable(text: str) -> str:
    """`text` of the same length with `\ufffd` or `?` in the place of what can't be kept."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
