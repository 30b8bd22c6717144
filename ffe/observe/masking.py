"""Secrets out of everything that a person or a database will keep: by value, for the ones we hold, and by pattern, for the rest."""

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


def masked(text: str, most: int | None = None) -> str:
    """`text` without secrets; longer than `most` characters is cut in the middle, after masking."""
    for secret in _held():
        text = text.replace(secret, "<masked>")
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    if most is not None and len(text) > most:
        half = most // 2
        text = f"{text[:half]}\n... {len(text) - most} characters cut ...\n{text[-half:]}"
    return text


def _held() -> list[str]:
    """Values of the environment's secrets, longest first so that no part of one is left over; a PEM also by its lines."""
    found = set()
    for name, value in os.environ.items():
        if SECRET_NAMES.search(name) and name.startswith(("FFE_", "PREFECT_", "OLLAMA_")):
            found |= {value.strip(), *re.split(r"\\n|\n", value.strip())}
    return sorted((value for value in found if len(value) >= SHORTEST), key=len, reverse=True)
