"""Secrets out of everything that a person or a database will keep: by value, for the ones we hold, and by pattern, for the rest.

Held are the environment's, and those that `remember` was told: loaded settings tell theirs, which may come from a file alone.
"""

import json
import os
import re

PATTERNS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL), "<private key>"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 <masked>"),
    (re.compile(r"(?i)(apikey|api_key|token|secret|password)=[^&\s\"']+"), r"\1=<masked>"),
    (re.compile(r"(://)[^/\s:@]+:[^/\s@]+@"), r"\1<masked>@"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"), "<jwt>"),
    (re.compile(r"(?i)(API key as )\S+"), r"\1<masked>"),
)
SECRET_NAMES = re.compile(r"(?i)(TOKEN|SECRET|PASSWORD|API_KEY|AUTH_STRING)")
SHORTEST = 6
# No secret is longer: a PEM of an RSA key of 4096 bits has some 3,300 characters.
LONGEST = 8192
# Line ends of a PEM: real, or printed as text, also when that text was printed once more.
_LINE_END = re.compile(r"\\+r\\+n|\\+n|\r?\n")

_remembered: set[str] = set()


def remember(secret: str) -> None:
    """From now on `masked` takes `secret` out in this process: whole, line by line, and as JSON prints it."""
    _remembered.update(_forms(secret))


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
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    if most is not None and len(text) > most:
        half = most // 2
        text = f"{text[:half]}\n... {len(text) - most} characters cut ...\n{text[-half:]}"
    return text


def _held() -> list[str]:
    """Every form of every secret, longest first so that no part of one is left over."""
    found = set(_remembered)
    for name, value in os.environ.items():
        if SECRET_NAMES.search(name) and name.startswith(("FFE_", "PREFECT_", "OLLAMA_")):
            found |= _forms(value)
    return sorted(found, key=len, reverse=True)


def _forms(secret: str) -> set[str]:
    """A PEM's BEGIN and END are no secret, and the pattern of every other PEM needs them."""
    whole = secret.strip()
    texts = {whole, *(line.strip() for line in _LINE_END.split(whole) if "-----" not in line)}
    printed = {json.dumps(text, ensure_ascii=escaped)[1:-1] for text in texts for escaped in (True, False)}
    return {text for text in texts | printed if len(text) >= SHORTEST}
