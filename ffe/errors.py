"""Every error the engine raises on purpose, in one tree.

    FfeError
      ConfigurationError            bad usage or settings; exit 2
        UnknownNameError            a name nobody knows, with the nearest known ones
      RefusedError                  correct usage that the engine declines; exit 4
        MissingCredentialsError
        LiveNotArmedError
        AccountBusyError            another cycle holds the account
        LimitUnavailableError       nobody could say whether one does
      DataError                     bars could not be had or could not be read
        CorruptFileError            a file row that does not parse; names file and line
        SourceError                 a bar source failed
          TransientSourceError      worth another read: network, 429, 5xx
          PermanentSourceError      will not heal by itself: unknown product, plan, credentials
            NotOfferedError         the source is well and does not have this instrument or timeframe, or not for this plan
          SourceSkippedError        not asked: its circuit is open or its request budget is spent
          NoSourceError             none of the sources of an instrument gave bars; carries what each one said
      ModelError                    the language model gave no usable answer
        ModelUnavailableError       missing, altered, crashed or late model
        InvalidAnswerError          an answer that failed the schema or its limits
      VenueError                    a venue call failed
        VenueReadError              a read failed after its retries; nothing was changed at the venue
        AuthenticationError         the key itself was refused
        PermissionDeniedError       the key is good, this action or account is not allowed
        NotSentError                an order that certainly never reached the matching engine
        OrderRejectedError          the venue answered no, with its reason verbatim
        OutcomeUnknownError         sent, and nobody knows: look it up, never resend blindly
      LedgerError                   the ledger refused a write
        IllegalTransitionError      an order state change that the table does not allow
        InsufficientAvailableError  a reservation that does not fit the free balance
      NothingToCloseError         a close of more units than the ledger holds, less other closes on their way
      HaltedError                 the kill switch stands between this order and the wire

A gate (freshness, quality, risk) returns a verdict with reasons; it does not raise to say no.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class FfeError(Exception):
    """Root of the tree. `exit_code` is what the `ffe` command ends with when nothing handles the error."""

    exit_code = 1


class ConfigurationError(FfeError):
    exit_code = 2


class UnknownNameError(ConfigurationError):
    """A name that is not in `known`; the message carries the nearest known names."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        upper = {candidate.upper(): candidate for candidate in names}
        near = [upper[match] for match in get_close_matches(name.upper(), upper, n=3, cutoff=0.4)]
        super().__init__(f"unknown {kind} {name!r}; nearest known: {', '.join(near or names[:4])}")
        self.kind, self.name, self.nearest = kind, name, near


class RefusedError(FfeError):
    exit_code = 4


class MissingCredentialsError(RefusedError):
    """Names the environment variables to set."""


class LiveNotArmedError(RefusedError):
    pass


class AccountBusyError(RefusedError):
    """`limits` are the names that were asked for together; at least one of them is taken."""

    def __init__(self, message: str, *, limits: tuple[str, ...]) -> None:
        super().__init__(message)
        self.limits = limits


class LimitUnavailableError(RefusedError):
    """The Prefect API did not answer or refused, so nothing says that the account is free: nothing is traded."""


class DataError(FfeError):
    exit_code = 3


class CorruptFileError(DataError):
    exit_code = 2


class SourceError(DataError):
    pass


class TransientSourceError(SourceError):
    pass


class PermanentSourceError(SourceError):
    pass


class NotOfferedError(PermanentSourceError):
    """Not counted against the source's health."""


class SourceSkippedError(SourceError):
    """Nothing was sent. The message says until when, and why."""


class NoSourceError(SourceError):
    """`transient` is true when another read may heal at least one source. Its cause is an ExceptionGroup of every source's error."""

    def __init__(self, message: str, *, transient: bool, instrument: str | None = None) -> None:
        super().__init__(message)
        self.transient, self.instrument = transient, instrument


class ModelError(FfeError):
    exit_code = 3


class ModelUnavailableError(ModelError):
    pass


class InvalidAnswerError(ModelError):
    pass


class VenueError(FfeError):
    """A venue call failed. `request` and `response` are what the incident shows, secrets already masked."""

    exit_code = 3

    def __init__(self, message: str, *, request: str | None = None, response: str | None = None) -> None:
        super().__init__(message)
        self.request, self.response = request, response


class VenueReadError(VenueError):
    """`transient` false: the venue answered, and asking again would get the same answer (unknown product, bad parameter)."""

    def __init__(
        self, message: str, *, transient: bool = True, request: str | None = None, response: str | None = None
    ) -> None:
        super().__init__(message, request=request, response=response)
        self.transient = transient


class AuthenticationError(VenueError):
    exit_code = 4


class PermissionDeniedError(VenueError):
    exit_code = 4


class NotSentError(VenueError):
    pass


class OrderRejectedError(VenueError):
    """`reason` is the venue's own code, verbatim (`MARKET_HALTED`, `INSUFFICIENT_FUND`)."""

    def __init__(self, message: str, *, reason: str, request: str | None = None, response: str | None = None) -> None:
        super().__init__(message, request=request, response=response)
        self.reason = reason


class OutcomeUnknownError(VenueError):
    pass


class LedgerError(FfeError):
    exit_code = 3


class IllegalTransitionError(LedgerError):
    exit_code = 1


class InsufficientAvailableError(LedgerError):
    """A reservation that does not fit; carries both numbers as text in its message."""


class NothingToCloseError(LedgerError):
    pass


class HaltedError(LedgerError):
    """`state` is the kill switch's: `reduce-only`, `halt` or `flatten`; or `difference`, when ledger and venue do not agree."""

    exit_code = 4

    def __init__(self, message: str, *, state: str) -> None:
        super().__init__(message)
        self.state = state
