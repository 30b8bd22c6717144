"""What a secret looks like when nobody told us its value: by the words around it, or by its own shape.

Sources of the shapes: RFC 7468 (PEM), RFC 7617 and 6750 (Basic, Bearer), RFC 7519 (JWT), RFC 3986 3.2.1 (user information of a URL), Slack's
incoming webhooks (`/services/T.../B.../...`), Apprise's URL schemes, OANDA's personal access tokens (two times 32 hexadecimal digits).
"""

import re

from ffe.observe.secret_forms import KEY_NAMES

# Variables of these prefixes are ours to hide, when their name says so or their value is a URL with a password.
SECRET_PREFIXES = ("FFE_", "PREFECT_", "OLLAMA_", "OTEL_")
SECRET_NAMES = re.compile(r"(?i)(TOKEN|SECRET|PASSWORD|API_KEY|AUTH_STRING|WEBHOOK|NOTIFY__|HEADERS)")

_NAMES = r"(?:api[-_]?key|access[-_]?key|token|secret|password|passwd|passphrase|auth[-_]string|authorization)"
_BASE64_OF_BEGIN = "LS0tLS1CRUdJTi"
_SPACE = r"(?: |\+|%20)"
_WEBHOOKS = (
    r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/",
    r"discord(?:app)?\.com/api/webhooks/",
    r"webhook\.office\.com/",
    r"api\.telegram\.org/bot",
)
_APPRISE = "slack|discord|tgram|msteams|workflows?|sendgrid|mailgun|pover|pbul|gotifys?|twilio|ifttt|opsgenie|pagerduty"
_VALUE = r"[^\s,;\"'<>()\[\]{}]"
# `token=ETH` names an asset, `next_token=5` a page.
_SYMBOL = r"(?<=token=)(?:(?-i:[A-Z]{2,6})|\d{1,6})(?![\w.+/=-])"
_END = r"[^\s\"'<>\\]"

PATTERNS = (
    (
        re.compile(
            rf"-----BEGIN{_SPACE}(?:[A-Z]+{_SPACE})*PRIVATE{_SPACE}KEY-----.*?-----END{_SPACE}(?:[A-Z]+{_SPACE})*PRIVATE{_SPACE}KEY-----",
            re.DOTALL,
        ),
        "<private key>",
    ),
    # One that was cut before its end.
    (re.compile(rf"-----BEGIN{_SPACE}(?:[A-Z]+{_SPACE})*PRIVATE{_SPACE}KEY-----[A-Za-z0-9+/=\s\\%]*"), "<private key>"),
    (re.compile(rf"{_BASE64_OF_BEGIN}[A-Za-z0-9+/=_-]{{20,}}"), "<private key>"),
    (re.compile(r"(?i)\b(bearer)(\s+|%20)[A-Za-z0-9._~+/=-]{6,}"), r"\1 <masked>"),
    # Base64 of a user and a password is no word of small letters.
    (re.compile(r"(?i)\b(basic)(\s+|%20)(?=[a-z](?-i:[a-z]*[A-Z0-9+/=]))[a-z0-9+/=_-]{6,}"), r"\1 <masked>"),
    (re.compile(r"(?i)\b(authorization\s*[:=]\s*)((?:token|api-?key|key|digest)\s+)[^\s\"']{4,}"), r"\1\2<masked>"),
    (re.compile(r"(?i)\b((?:set-)?cookie\s*:\s*)(?!<masked>)[^\s=;,\"']+=[^\r\n\"']+"), r"\1<masked>"),
    (re.compile(rf"(?i)([?&][\w.-]*{KEY_NAMES.pattern[4:]}[\w.-]*=)[^&#\s\"'<>\\]+"), r"\1<masked>"),
    (re.compile(rf"(?i)({_NAMES})=(?!<masked>)(?!{_SYMBOL})[^&\s\"']+"), r"\1=<masked>"),
    # A setting: its value ends the line or its part of it, or has a digit. What has more words after it is a sentence.
    (
        re.compile(
            rf"(?im)({_NAMES}(?:[ \t]+=[ \t]*|[ \t]*:[ \t]*))(?!<masked>)"
            rf"(?:[\"'][^\"'\r\n]{{4,}}(?=[\"'])|(?={_VALUE}*\d){_VALUE}{{6,}}|{_VALUE}{{6,}}(?=[ \t]*(?:[\r,;)}}\]]|$)))"
        ),
        r"\1<masked>",
    ),
    (
        re.compile(rf"(?i)((?<!\\)\"[\w-]*{_NAMES}\"\s*:\s*\")(?!<masked>)(?:\\.|[^\"\\]){{4,}}(?=\")"),
        r"\1<masked>",
    ),
    (re.compile(rf"(?i)(\\*[\"'][\w-]*{_NAMES}\\*[\"']\s*:\s*\\*[\"'])(?!<masked>)[^\"'\\]{{4,}}"), r"\1<masked>"),
    (
        re.compile(r"(?i)\b((?:x-)?api-key|cb-access-[a-z]+|x-[a-z-]*token)(\s*:\s*)(?!<masked>)[^\s,;\"']+"),
        r"\1\2<masked>",
    ),
    (re.compile(r"(://)[^/\s@\"'<>?#]+@"), r"\1<masked>@"),
    (re.compile(rf"(?i)({'|'.join(_WEBHOOKS)}){_END}+"), r"\1<masked>"),
    (re.compile(rf"(?i)\b({_APPRISE})://(?!<masked>){_END}+"), r"\1://<masked>"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"), "<jwt>"),
    (re.compile(r"(?i)(API key as )\S+"), r"\1<masked>"),
    (re.compile(r"\b[0-9a-f]{32}-[0-9a-f]{32}\b"), "<masked>"),
)

# Words of which one must be in a text, in small letters, before its pattern is looked for: a log has many lines and few secrets.
_WORDS = ("key", "sig", "token", "secret", "pass", "pwd", "auth", "credential")
NEEDLES: tuple[tuple[str, ...], ...] = (
    ("private",),
    ("private",),
    (_BASE64_OF_BEGIN.lower(),),
    ("bearer",),
    ("basic",),
    ("authorization",),
    ("cookie",),
    _WORDS,
    _WORDS,
    _WORDS,
    _WORDS,
    _WORDS,
    ("api-key", "cb-access", "token"),
    ("@",),
    ("slack", "discord", "office.com", "telegram"),
    ("://",),
    ("eyj",),
    ("api key as",),
    ("-",),
)


def without_patterns(text: str) -> str:
    """`text` without what looks like a secret."""
    small = text.lower()
    for (pattern, replacement), needles in zip(PATTERNS, NEEDLES, strict=True):
        if any(needle in small for needle in needles):
            text = pattern.sub(replacement, text)
    return text
