"""Settings of running it for months: preflight, health, metrics, notifications, retention. Part of `ffe.settings.Settings`."""

from pydantic import Field, SecretStr, field_validator

from ffe.settings_section import DAY, Section, stripped


class PreflightSettings(Section):
    """`max_clock_skew_seconds`: how far this machine's clock may be from a venue's. `timeout_seconds`: for one venue's answers."""

    max_clock_skew_seconds: float = Field(default=5.0, gt=0, le=300)
    timeout_seconds: float = Field(default=10.0, gt=0, le=120)


class HealthSettings(Section):
    """`worker_seconds`: a worker not heard for longer is away. Prefect's workers report every 30 s."""

    worker_seconds: float = Field(default=90.0, ge=30, le=DAY)
    min_free_mb: int = Field(default=500, ge=1)


class IncidentSettings(Section):
    """`locals`: tracebacks show the variables of every frame too. Masked like the rest, and long."""

    locals: bool = False


class MetricsSettings(Section):
    """Where `ffe metrics serve` answers; `otlp_endpoint` is an OpenTelemetry collector's HTTP URL, None: none."""

    host: str = "127.0.0.1"
    port: int = Field(default=9464, ge=0, le=65535)
    otlp_endpoint: str | None = None
    otlp_headers: SecretStr | None = None
    otlp_seconds: float = Field(default=30.0, ge=1, le=DAY)


class NotifySettings(Section):
    """Where automations send their notes; what is None is not used. `email` is an Apprise `mailtos://` URL."""

    slack_webhook: SecretStr | None = None
    webhook: SecretStr | None = None
    email: SecretStr | None = None

    _strip = field_validator("slack_webhook", "webhook", "email")(staticmethod(stripped))


class RetentionSettings(Section):
    """Days that each kind of record is kept; None: for ever. What an order rests on is never deleted (docs/operations.md)."""

    bars_days: int | None = Field(default=90, ge=1)
    incidents_days: int | None = Field(default=180, ge=1)
    model_calls_days: int | None = Field(default=365, ge=1)
    checks_days: int | None = Field(default=90, ge=1)
    runs_days: int | None = Field(default=30, ge=1)
