"""Coinbase API keys and the JWT of every request, verified for real: signature, key name, issuer, lifetime, and the exact method and path.

Keys live only in memory and are made afresh at every start. Lifetimes are judged by the machine's own clock, because the SDK signs by it.
"""

import secrets
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from simulator.web import Call, RefusalError

MISSING_SCOPES = {
    "error": "PERMISSION_DENIED",
    "error_details": "Missing required scopes",
    "message": "Missing required scopes",
}


_ENCODING = serialization.Encoding.PEM
_FORMATS = {"PKCS8": serialization.PrivateFormat.PKCS8, "SEC1": serialization.PrivateFormat.TraditionalOpenSSL}


@dataclass(frozen=True)
class Key:
    name: str
    secret: str
    public: Any
    algorithm: str
    can_trade: bool
    can_transfer: bool = False


class Keyring:
    def __init__(self) -> None:
        self._keys: dict[str, Key] = {}

    def issue(self, kind: str = "ec", *, can_trade: bool = True, can_transfer: bool = False) -> Key:
        """A new key: `ec` (P-256, SEC1 PEM, ES256) or `ed25519` (PKCS8 PEM, EdDSA)."""
        private = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
        shape = _FORMATS["PKCS8" if kind == "ed25519" else "SEC1"]
        secret = private.private_bytes(_ENCODING, shape, serialization.NoEncryption()).decode()
        name = f"organizations/sim/apiKeys/{secrets.token_hex(16)}"
        algorithm = "EdDSA" if kind == "ed25519" else "ES256"
        self._keys[name] = Key(name, secret, private.public_key(), algorithm, can_trade, can_transfer)
        return self._keys[name]

    def verify(self, call: Call, leeway: int) -> Key:
        """The key that signed this request. Raises RefusalError 401 with the venue's plain word."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                issuer="cdp",
                subject=key.name,
                leeway=leeway,
                options={"require": ["exp", "nbf", "iss", "sub"]},
            )
        except (jwt.PyJWTError, KeyError):
            raise RefusalError(401, "Unauthorized\n") from None
        if scheme != "Bearer" or claims.get("uri") != f"{call.method} {call.headers.get('host')}{call.path}":
            raise RefusalError(401, "Unauthorized\n")
        return key
