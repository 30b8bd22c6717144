"""The language model that the settings ask for. Never another one: a missing model is an error, not a reason to switch."""

from ffe.errors import ConfigurationError, ModelUnavailableError, RefusedError
from ffe.llm.gguf import locate, verify
from ffe.llm.protocol import LanguageModel
from ffe.settings import Mode, Settings


def open_model(settings: Settings) -> LanguageModel:
    """An adapter that has not loaded anything yet; the caller closes it.

    Raises:
        RefusedError: live mode with the embedded model, which is no trader, unless it was explicitly allowed.
    """
    if settings.model == "ollama":
        from ffe.llm.ollama import OllamaModel

        return OllamaModel(settings.ollama)
    if settings.mode is Mode.LIVE and not settings.live.allow_embedded_model:
        raise RefusedError(
            "live mode refuses the embedded model: set FFE_MODEL=ollama, or FFE_LIVE__ALLOW_EMBEDDED_MODEL=true if you mean it"
        )
    from ffe.llm.embedded import EmbeddedModel

    return EmbeddedModel(settings.embedded)


def check_model_file(settings: Settings) -> None:
    """Refuses a missing or altered model file before anything is started for it.

    Raises:
        ConfigurationError: names the path, the expected and the found sha256.
    """
    if settings.model != "embedded":
        return
    try:
        verify(locate(settings.embedded.model_path, settings.embedded.model_sha256))
    except ModelUnavailableError as error:
        raise ConfigurationError(str(error)) from error
