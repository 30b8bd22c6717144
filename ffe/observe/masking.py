"""Secrets out of everything that a person or a database will keep: by value, for the ones we hold, and by pattern, for the rest.

Held are the environment's, and those that `remember` was told: loaded settings tell theirs, which may come from a file alone. A secret is
taken out whole, in its parts (a PEM's lines, a URL's password and path, a header's value) and as others write it: in JSON, in a URL, in base64.
"""

import os
from functools import lru_cache

from ffe.observe.masking_patterns import SECRET_NAMES, SECRET_PREFIXES, without_patterns
from ffe.observe.secret_forms import forms, url_secrets

# No secret is longer: a PEM of an RSA key of 4096 bits has some 3,300 characters.
LONGEST = 8192

_remembered: set[str] = set()


def remember(secret: str) -> None:
    """From now on `masked` takes `secret` out in this process: whole, in parts, and as JSON, URLs and base64 print it."""
    _remembered.update(forms(secret))


def remember_url(url: str) -> None:
    """From now on `masked` takes out the password and the keys that `url` carries; the rest of it may be read."""
    for secret in url_secrets(url):
        remember(secret)


def masked(text: str, most: int | None = None) -> str:
    """`text` without secrets; longer than `most` characters is cut in the middle, after masking.

    Of a text much longer than that only both ends are looked at: patterns take their time, and megabytes of a server's text would take
    minutes. What lies within `LONGEST` of such a cut is left out, since a secret may begin there and not end.
    """
    if most is not None and len(text) > most + 4 * LONGEST:
        half = most // 2
        head = masked(text[: half + LONGEST])[:-LONGEST]
        tail = masked(text[-half - LONGEST :])[LONGEST:]
        return f"{head}\n... {len(text) - most} characters cut ...\n{tail}"
    for secret in _held():
        text = text.replace(secret, "<masked>")
    text = without_patterns(text)
    if most is not None and len(text) > most:
        half = most // 2
        text = f"{text[:half]}\n... {len(text) - most} characters cut ...\n{text[-half:]}"
    return text


def _held() -> tuple[str, ...]:
    ours = [(name, os.environ.get(name, "")) for name in os.environ if name.startswith(SECRET_PREFIXES)]
    secrets = frozenset(value for name, value in ours if SECRET_NAMES.search(name))
    urls = frozenset(value for name, value in ours if "://" in value and not SECRET_NAMES.search(name))
    return _ordered(frozenset(_remembered), secrets, urls)


@lru_cache(maxsize=4)
def _ordered(remembered: frozenset[str], secrets: frozenset[str], urls: frozenset[str]) -> tuple[str, ...]:
    """Every form of every secret, longest first so that no part of one is left over."""
    found = set(remembered)
    for secret in (*secrets, *(each for url in urls for each in url_secrets(url))):
        found |= forms(secret)
    return tuple(sorted(found, key=len, reverse=True))
