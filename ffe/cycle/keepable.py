"""Values as every store of incidents can keep them and read them again: JSON has no NaN, and Python reads no number of 5,000 digits."""

import math
from typing import Any

from ffe.text import storable

# Python converts no longer number from or to text: sys.int_info.default_max_str_digits is 4300.
MOST_BITS = 10_000


def keepable(value: Any) -> Any:
    """`value` with its texts storable, and what is no finite number of an ordinary length told in words. Never raises for JSON's types."""
    if isinstance(value, dict):
        return {storable(key) if isinstance(key, str) else key: keepable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [keepable(item) for item in value]
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        return f"<integer of {value.bit_length()} bits>"
    return value
