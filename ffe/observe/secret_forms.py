"""How one secret may look in a text: its parts, and each as JSON, a URL, base64 or hexadecimal digits would write it."""

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

SHORTEST = 6
# Names of parameters of a URL whose values are keys.
KEY_NAMES = re.compile(r"(?i)(key|sig|signature|token|secret|password|passwd|pwd|pass|auth|credential)")
# Parts of a URL's path that are shorter are names (`hooks`, `v1`); so are words (`services`, `reconcile`) of less than the second length.
SHORTEST_SEGMENT, LONGEST_WORD = 8, 16
# What these name in their path is a file or a database, which may be read.
DATABASES = ("sqlite", "postgresql", "postgres")
# Line ends of a PEM: real, or printed as text, also when that text was printed once more.
_LINE_END = re.compile(r"\\+r\\+n|\\+n|\r?\n")
_HEADERS = re.compile(r"[\w-]+=[^,=]+=*(?:,\s*[\w-]+=[^,=]+=*)*")
_URL_SAFE = str.maketrans("+/", "-_")
_PAIR = re.compile(r"[^\s:/]+:([^\s:/]+)")


def forms(secret: str) -> set[str]:
    """Every form that is long enough to be told from other words. A PEM's BEGIN and END are no secret, and the pattern of every other PEM needs them."""
    whole = secret.strip()
    if len(whole) < SHORTEST:
        return set()
    texts = {whole, *_lines(whole), *_parts(whole)}
    printed = {json.dumps(text, ensure_ascii=escaped)[1:-1] for text in texts for escaped in (True, False)}
    quoted = {write(text) for text in texts for write in (_quoted, quote_plus)}
    sent = {whole, *_parts(whole), _with_line_ends(whole)}
    encoded = {each for text in sent for each in (*_base64(text), *_hexadecimal(text), *_letters(text))}
    return {text for text in texts | printed | quoted | encoded if len(text) >= SHORTEST}


def url_secrets(url: str) -> set[str]:
    """The password and the values of the query of a URL, as written and as meant. Empty for what is no URL."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return set()
    found = {value for name, value in parse_qsl(parts.query) if KEY_NAMES.search(name) and len(value) >= SHORTEST}
    # A password that is also the user's or the scheme's name is a placeholder: masking that word would make every text unreadable.
    if password is not None and len(password) >= SHORTEST and password not in f"{parts.username} {parts.scheme}":
        found |= {password, unquote(password)}
    return found


def _lines(whole: str) -> Iterator[str]:
    return (line.strip() for line in _LINE_END.split(whole) if "-----" not in line)


def _parts(whole: str) -> Iterator[str]:
    if "://" in whole:
        yield from url_secrets(whole)
        yield from _segments(whole)
    elif _HEADERS.fullmatch(whole):
        for pair in whole.split(","):
            yield from _words(unquote(pair.partition("=")[2]))
    else:
        found = _PAIR.fullmatch(whole)
        if found is not None:
            yield found[1]


def _words(value: str) -> Iterator[str]:
    """A header's value, and without the word `Bearer` or `Basic` before it."""
    yield value.strip()
    yield value.strip().rpartition(" ")[2]


def _segments(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    if not parts.scheme.startswith(DATABASES):
        yield from (each for each in parts.path.split("/") if len(each) >= SHORTEST_SEGMENT and not _is_name(each))


def _is_name(segment: str) -> bool:
    """Words of small letters, with `-` or `_` between them: `production`, `trading-engine`."""
    words = re.split("[-_]", segment)
    return all(not word or (word.isalpha() and word.islower() and len(word) < LONGEST_WORD) for word in words)


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _base64(text: str) -> Iterator[str]:
    """At each of the three places in a group where it may begin, with both alphabets of RFC 4648; whatever stands before and follows."""
    written = text.encode("utf-8", "replace")
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + written).decode().rstrip("=")
        # The first characters hold bits of what stands before.
        whole = encoded[(0, 2, 3)[offset] :]
        # The last one holds bits of what follows, unless the secret fills its group.
        for each in (whole, whole if (offset + len(written)) % 3 == 0 else whole[:-1]):
            yield each
            yield each.translate(_URL_SAFE)


def _hexadecimal(text: str) -> tuple[str, str]:
    written = text.encode("utf-8", "replace").hex()
    return written, written.upper()


def _letters(text: str) -> tuple[str, ...]:
    """In small and in capital letters; not what may be a word."""
    return () if text.isalpha() else (text.lower(), text.upper())


def _with_line_ends(whole: str) -> str:
    """A PEM with real line ends, as it is sent when it is sent whole."""
    return _LINE_END.sub("\n", whole)
