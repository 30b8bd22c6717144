"""What every section of the settings is: frozen, without unknown names, without infinities."""

from pydantic import BaseModel, ConfigDict, SecretStr

# No wait of ours is longer; beyond it are numbers that no clock can add.
DAY = 86_400.0


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def stripped(secret: SecretStr | None) -> SecretStr | None:
    """A token with a trailing newline is refused by the HTTP library before any network: strip it here."""
    return None if secret is None else SecretStr(secret.get_secret_value().strip())
