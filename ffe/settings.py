"""Settings: `ffe.toml`, then `.env`, then the environment; the last one that speaks wins. Unknown names are refused.

A misspelt `FFE_RISK__MAX_POSITON` that is silently ignored is a limit that does not exist, so every `FFE_` name must be known.
"""

import difflib
import os
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ffe.errors import ConfigurationError, MissingCredentialsError, UnknownNameError
from ffe.market.holidays import Holiday, closed, early_close
from ffe.market.models import Instrument, Timeframe, parse_instrument, parse_timeframe
from ffe.observe.masking import remember, remember_url
from ffe.settings_operations import (
    HealthSettings,
    IncidentSettings,
    MetricsSettings,
    NotifySettings,
    PreflightSettings,
    RetentionSettings,
)
from ffe.settings_replay import ReplaySettings, ShadowSettings
from ffe.settings_section import DAY, Section, stripped

PREFIX = "FFE_"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Mode(StrEnum):
    """sim: the venue simulator. paper: real data, local fills. practice: the venue's practice account. live: money."""

    SIM = "sim"
    PAPER = "paper"
    PRACTICE = "practice"
    LIVE = "live"


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in LOOPBACK


class _Endpoint(Section):
    base_url: str | None = None

    @field_validator("base_url")
    @classmethod
    def _https_or_loopback(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r} is not an http(s) URL")
        if parts.scheme == "http" and not is_loopback(url):
            raise ValueError(f"{url!r} is plain http; only a loopback address may be")
        return url.rstrip("/")


class OandaSettings(_Endpoint):
    token: SecretStr | None = None
    account_id: str | None = None

    _strip = field_validator("token")(staticmethod(stripped))


class CoinbaseSettings(_Endpoint):
    """`api_secret` is the PEM text, with real or literal `\\n` line ends."""

    api_key: SecretStr | None = None
    api_secret: SecretStr | None = None

    _strip = field_validator("api_key", "api_secret")(staticmethod(stripped))


class AlphaVantageSettings(_Endpoint):
    api_key: SecretStr | None = None

    _strip = field_validator("api_key")(staticmethod(stripped))


def _names(value: Any) -> Any:
    """Comma separated text or a list; a name said twice is kept once."""
    names = value.split(",") if isinstance(value, str) else value
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]


class OllamaSettings(Section):
    """`fallback_model` may name several, comma separated: they are tried in that order. `keep_alive` as Ollama reads it: 10m, -1, 0."""

    host: str = "http://127.0.0.1:11434"
    model: str = Field(default="llama3.2:3b-instruct-q4_0", pattern=r"^[^\s,]+$")
    fallback_model: Names = ("llama3.2:1b-instruct-q4_0",)
    timeout_seconds: float = Field(default=60.0, gt=0, le=DAY)
    keep_alive: str = Field(default="10m", pattern=r"^-?\d+(\.\d+)?(ms|s|m|h)?$")
    stream: bool = True

    @property
    def chain(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.model, *self.fallback_model)))


class EmbeddedSettings(Section):
    """`model_path` replaces the packaged GGUF; `model_sha256` is then checked too when it is given.

    `gpu_layers` counts the layers that a runtime built for a GPU puts there: 0 none, 999 all. The packaged runtime is built for the CPU.
    """

    model_path: Path | None = None
    model_sha256: str | None = None
    threads: int = Field(default=1, ge=1)
    timeout_seconds: float = Field(default=120.0, gt=0, le=DAY)
    gpu_layers: int = Field(default=0, ge=0)


class PlacementPolicy(StrEnum):
    """What to do when the model is not wholly on the GPU: refuse it, say so, or nothing."""

    REQUIRE_GPU = "require-gpu"
    WARN = "warn"
    ANY = "any"


class PlacementSettings(Section):
    """The three signs of where a model runs are held against these; docs/gpu.md has the reasons.

    `min_tokens_per_second` is the floor of the third sign, measured on that host; None leaves the sign unknown.
    """

    policy: PlacementPolicy = PlacementPolicy.WARN
    min_tokens_per_second: float | None = Field(default=None, gt=0, le=1e6)
    min_capability: float = Field(default=5.0, ge=0, le=100)
    min_driver: int = Field(default=550, ge=0)
    min_driver_before_7_0: int = Field(default=570, ge=0)


class ConfidenceSource(StrEnum):
    """Which number gates an entry: what the model says, the probability of its action, or what such decisions have been worth."""

    STATED = "stated"
    TOKEN = "token"  # noqa: S105 - a token of text, not a credential
    CALIBRATED = "calibrated"


class ConfidenceSettings(Section):
    """`min_grades` graded decisions make a calibration by temperature, `isotonic_grades` one by isotonic regression."""

    source: ConfidenceSource = ConfidenceSource.STATED
    min_grades: int = Field(default=30, ge=10)
    isotonic_grades: int = Field(default=200, ge=50)


class EnsembleStrategy(StrEnum):
    """off: one question. samples: the same one several times. models: several models. debate: bull and bear argue, a judge decides."""

    OFF = "off"
    SAMPLES = "samples"
    MODELS = "models"
    DEBATE = "debate"


class EnsembleSettings(Section):
    """`quorum` is the share of the weight of all members that an action needs; `weighted` takes their weights from their grades."""

    strategy: EnsembleStrategy = EnsembleStrategy.OFF
    samples: int = Field(default=3, ge=2, le=15)
    temperature: float = Field(default=0.7, gt=0, le=2)
    models: Names = ()
    quorum: float = Field(default=0.6, gt=0.5, le=1)
    weighted: bool = False

    @model_validator(mode="after")
    def _several(self) -> Self:
        if self.strategy is EnsembleStrategy.MODELS and len(self.models) < 2:
            raise ValueError(f"strategy models needs two or more names in models, it has {len(self.models)}")
        return self


class FeedbackSettings(Section):
    """`horizon_bars`: how long after its bar a decision is graded. `memory`: how many similar past situations enter the prompt.

    None is 3, and 0 with the packaged model: it answers BUY whatever became of the past (docs/decisions.md, 41).
    """

    horizon_bars: int = Field(default=12, ge=1, le=500)
    memory: int | None = Field(default=None, ge=0, le=8)
    memory_min_grades: int = Field(default=20, ge=1)


class SizingMethod(StrEnum):
    """How the wanted size of an entry is found; limits shrink it afterwards, whichever it was."""

    ATR_RISK = "atr-risk"
    FIXED_FRACTION = "fixed-fraction"
    VOLATILITY_TARGET = "volatility-target"
    HALF_KELLY = "half-kelly"


class RiskSettings(Section):
    """Starting numbers; each one's reason is in docs/risk.md. Shares are fractions of equity or of a price."""

    per_trade: Decimal = Field(default=Decimal("0.01"), gt=0, le=Decimal("0.1"))
    min_confidence: int = Field(default=70, ge=0, le=100)
    stop_atr_multiple: Decimal = Field(default=Decimal(2), gt=0)
    crypto_stop_min: Decimal = Field(default=Decimal("0.01"), gt=0)
    crypto_stop_max: Decimal = Field(default=Decimal("0.05"), gt=0)
    forex_stop_min: Decimal = Field(default=Decimal("0.001"), gt=0)
    forex_stop_max: Decimal = Field(default=Decimal("0.015"), gt=0)
    reward_risk: Decimal = Field(default=Decimal("1.5"), ge=1)
    trailing_stop: bool = False
    reverse: bool = False
    sizing: SizingMethod = SizingMethod.ATR_RISK
    fixed_fraction: Decimal = Field(default=Decimal("0.1"), gt=0, le=100)
    volatility_target: Decimal = Field(default=Decimal("0.1"), gt=0, le=10)
    kelly_cap: Decimal = Field(default=Decimal("0.2"), gt=0, le=1)
    max_position: Decimal = Field(default=Decimal("0.25"), gt=0, le=100)
    max_gross: Decimal = Field(default=Decimal(1), gt=0, le=100)
    max_correlated: Decimal = Field(default=Decimal("0.5"), gt=0, le=100)
    max_leverage: Decimal = Field(default=Decimal(5), gt=0)
    max_heat: Decimal = Field(default=Decimal("0.06"), gt=0, le=1)
    max_daily_loss: Decimal = Field(default=Decimal("0.02"), gt=0, le=1)
    max_drawdown: Decimal = Field(default=Decimal("0.05"), gt=0, le=1)
    loss_streak: int = Field(default=4, ge=1)
    loss_streak_pause_seconds: int = Field(default=3600, ge=0)
    cooldown_seconds: int = Field(default=300, ge=0)
    min_hold_seconds: int = Field(default=120, ge=0)
    min_reward_risk: Decimal = Field(default=Decimal("0.1"), ge=0)
    max_spread: Decimal = Field(default=Decimal("0.005"), gt=0, lt=Decimal("0.1"))
    max_slippage: Decimal = Field(default=Decimal("0.005"), gt=0, lt=Decimal("0.1"))
    max_var: Decimal | None = Field(default=None, gt=0, le=1)


class FreshnessSettings(Section):
    """Limits in minutes on the age of the newest bar's close. 1d has no time limit: it is held against the calendar."""

    minutes_1m: float = Field(default=15, gt=0)
    minutes_5m: float = Field(default=15, gt=0)
    minutes_15m: float = Field(default=30, gt=0)
    minutes_30m: float = Field(default=60, gt=0)
    minutes_1h: float = Field(default=120, gt=0)
    minutes_4h: float = Field(default=120, gt=0)

    def limit_seconds(self, timeframe: Timeframe) -> float | None:
        """None for 1d."""
        if timeframe is Timeframe.D1:
            return None
        return float(getattr(self, f"minutes_{timeframe.value}")) * 60


class SourcesSettings(Section):
    """Which bar sources are asked, in this order, and when one is left alone; the reasons are in docs/sources.md."""

    crypto: Annotated[tuple[Literal["coinbase", "alpha-vantage"], ...], NoDecode] = Field(
        default=("coinbase", "alpha-vantage"), min_length=1
    )
    forex: Annotated[tuple[Literal["oanda", "alpha-vantage"], ...], NoDecode] = Field(
        default=("oanda", "alpha-vantage"), min_length=1
    )
    deadline_seconds: float = Field(default=30.0, gt=0)
    breaker_failures: int = Field(default=5, ge=1)
    breaker_seconds: float = Field(default=30.0, gt=0)
    alpha_vantage_per_day: int = Field(default=25, ge=1)
    alpha_vantage_per_second: float = Field(default=1.0, gt=0)
    cross_check: bool = True
    cross_check_seconds: float = Field(default=3600.0, gt=0)

    _listed = field_validator("crypto", "forex", mode="before")(staticmethod(_names))


class CalendarSettings(Section):
    """Days that a person adds to the forex calendar's own table: trading days that are shut, and closes in New York time."""

    closed: Annotated[tuple[date, ...], NoDecode] = ()
    early_close: Annotated[tuple[datetime, ...], NoDecode] = ()

    @field_validator("closed", "early_close", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("closed")
    @classmethod
    def _trading_days(cls, days: tuple[date, ...]) -> tuple[date, ...]:
        return tuple(closed(day).day for day in days)

    @field_validator("early_close")
    @classmethod
    def _in_trading_days(cls, closes: tuple[datetime, ...]) -> tuple[datetime, ...]:
        for local in closes:
            early_close(local)
        return closes

    @property
    def holidays(self) -> tuple[Holiday, ...]:
        """What `calendar_for` takes."""
        return (*map(closed, self.closed), *map(early_close, self.early_close))


class SimulatorSettings(Section):
    """The venue simulator that `sim` mode starts when no venue URL is set."""

    bars: Path | None = None
    seed: int = 7
    stale_minutes: int = Field(default=0, ge=0)


class PaperSettings(Section):
    """The account that `paper` mode keeps for each venue. `slippage_bps`: basis points that every fill is worse than the quote."""

    balance: Decimal = Field(default=Decimal(10_000), gt=0)
    slippage_bps: Decimal = Field(default=Decimal(1), ge=0, le=100)


class LiveSettings(Section):
    armed: bool = False
    allow_embedded_model: bool = False


class Settings(BaseSettings):
    """Every knob. Environment names are `FFE_` + the field, nested fields after `__`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        toml_file="ffe.toml",
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
    )

    mode: Mode = Mode.SIM
    timeframe: Timeframe = Timeframe.M5
    instruments: Annotated[tuple[Instrument, ...], NoDecode] = Field(
        default_factory=lambda: tuple(parse_instrument(name) for name in ("BTCUSD", "ETHUSD", "EURUSD", "GBPUSD")),
        min_length=1,
    )
    model: Literal["embedded", "ollama"] = "embedded"
    data_dir: Path = Path(".ffe")
    ledger_url: str | None = None
    clock: AwareDatetime | None = None
    lookback_bars: int = Field(default=200, ge=60, le=300)
    decide: Literal["inline", "pool"] = "inline"
    decide_deadline_seconds: float = Field(default=180.0, gt=0, le=DAY)
    oanda: OandaSettings = OandaSettings()
    coinbase: CoinbaseSettings = CoinbaseSettings()
    alpha_vantage: AlphaVantageSettings = AlphaVantageSettings()
    ollama: OllamaSettings = OllamaSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    placement: PlacementSettings = PlacementSettings()
    confidence: ConfidenceSettings = ConfidenceSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    risk: RiskSettings = RiskSettings()
    freshness: FreshnessSettings = FreshnessSettings()
    sources: SourcesSettings = SourcesSettings()
    calendar: CalendarSettings = CalendarSettings()
    simulator: SimulatorSettings = SimulatorSettings()
    paper: PaperSettings = PaperSettings()
    replay: ReplaySettings = ReplaySettings()
    shadow: ShadowSettings = ShadowSettings()
    live: LiveSettings = LiveSettings()
    preflight: PreflightSettings = PreflightSettings()
    health: HealthSettings = HealthSettings()
    incidents: IncidentSettings = IncidentSettings()
    metrics: MetricsSettings = MetricsSettings()
    notify: NotifySettings = NotifySettings()
    retention: RetentionSettings = RetentionSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del file_secret_settings
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls)

    @field_validator("timeframe", mode="before")
    @classmethod
    def _timeframe(cls, value: Any) -> Any:
        return parse_timeframe(value) if isinstance(value, str) else value

    @field_validator("mode", mode="before")
    @classmethod
    def _mode(cls, value: Any) -> Any:
        known = [mode.value for mode in Mode]
        if isinstance(value, str) and value not in known:
            raise UnknownNameError("mode", value, known)
        return value

    @field_validator("instruments", mode="before")
    @classmethod
    def _instruments(cls, value: Any) -> Any:
        names = [name for name in value.split(",") if value.strip()] if isinstance(value, str) else value
        parsed = [parse_instrument(name) if isinstance(name, str) else name for name in names]
        return tuple(dict.fromkeys(parsed))

    @model_validator(mode="after")
    def _models_on_a_server(self) -> Self:
        if self.ensemble.strategy is EnsembleStrategy.MODELS and self.model != "ollama":
            raise ValueError(f"ensemble strategy models needs FFE_MODEL=ollama, it is {self.model}")
        return self

    @property
    def resolved_ledger_url(self) -> str:
        return self.ledger_url or f"sqlite:///{(self.data_dir / 'ledger.sqlite').resolve()}"

    @property
    def memory_size(self) -> int:
        """How many similar past situations enter the prompt."""
        packaged = self.model == "embedded" and self.embedded.model_path is None
        return self.feedback.memory if self.feedback.memory is not None else 0 if packaged else 3

    @property
    def venue_urls(self) -> tuple[str, ...]:
        return tuple(url for url in (self.oanda.base_url, self.coinbase.base_url) if url is not None)

    @property
    def venues(self) -> list[str]:
        """The venues that the instruments trade at."""
        return sorted({instrument.venue for instrument in self.instruments})

    def instruments_at(self, venue: str) -> list[Instrument]:
        return [instrument for instrument in self.instruments if instrument.venue == venue]


def _known_names(model: type[BaseModel], prefix: str = PREFIX) -> set[str]:
    names = set()
    for field, info in model.model_fields.items():
        annotation = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            names |= _known_names(annotation, f"{prefix}{field.upper()}__")
        else:
            names.add(prefix + field.upper())
    return names


def _refuse_unknown(names: set[str]) -> None:
    known = _known_names(Settings)
    for name in sorted(names):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise UnknownNameError("setting", name, known)


def _readable(error: ValidationError) -> ConfigurationError:
    lines = []
    for item in error.errors():
        where = PREFIX + "__".join(str(part).upper() for part in item["loc"])
        hint = ""
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(where, _known_names(Settings), n=3, cutoff=0.4)
            hint = f"; nearest known: {', '.join(near)}" if near else ""
        lines.append(f"{where}: {item['msg']}{hint}")
    return ConfigurationError("; ".join(lines))


def load_settings(**overrides: Any) -> Settings:
    """Settings of the process: files, environment, then `overrides` (None means not given). Their secrets are masked from then on.

    Raises:
        ConfigurationError: unknown name or bad value, naming the variable. UnknownNameError carries the nearest known ones.
    """
    dotenv = DotEnvSettingsSource(Settings, env_file=".env")
    _refuse_unknown(set(os.environ) | {name.upper() for name in dotenv.env_vars})
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise _readable(error) from None
    _remember_secrets(settings)
    remember_url(settings.resolved_ledger_url)
    _refuse_clock_away_from_loopback(settings)
    return settings


def _remember_secrets(section: BaseModel) -> None:
    for _, value in section:
        if isinstance(value, SecretStr):
            remember(value.get_secret_value())
        elif isinstance(value, BaseModel):
            _remember_secrets(value)


def _refuse_clock_away_from_loopback(settings: Settings) -> None:
    if settings.clock is None:
        return
    remote = [url for url in settings.venue_urls if not is_loopback(url)]
    if remote or (settings.mode is not Mode.SIM and not settings.venue_urls):
        raise ConfigurationError(
            f"{PREFIX}CLOCK needs every venue on loopback; {remote or 'no venue URL is set'} is not"
        )


def require(settings: Settings, *names: str) -> None:
    """Raises MissingCredentialsError naming each of `names` (dotted, `oanda.token`) that is not set."""
    missing = []
    for name in names:
        value: Any = settings
        for part in name.split("."):
            value = getattr(value, part)
        if value is None:
            missing.append(PREFIX + name.replace(".", "__").upper())
    if missing:
        raise MissingCredentialsError(f"mode {settings.mode.value} needs {', '.join(missing)}: set it and run again")
