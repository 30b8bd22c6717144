"""The language model that the settings ask for. Never another one: a missing model is an error, not a reason to switch."""

from ffe.errors import ConfigurationError, ModelUnavailableError, RefusedError
from ffe.llm.gguf import locate, verify
from ffe.llm.protocol import LanguageModel
from ffe.settings import Mode, Settings


def open_model(settings: Settings, name: str | None = None) -> LanguageModel:
    """An adapter that has not loaded anything yet; the caller closes it. `name` asks for one model of the Ollama server, alone.

    Raises:
        RefusedError: live mode with the embedded model, which is no trader, unless it was explicitly allowed.
        ConfigurationError: a name with the embedded model, which is only one.
    """
    if settings.model == "ollama":
        from ffe.llm.ollama import OllamaModel

        alone = {} if name is None else {"model": name, "fallback_model": ()}
        return OllamaModel(settings.ollama.model_copy(update=alone))
    if name is not None:
        raise ConfigurationError(f"model {name} can't be asked by name: FFE_MODEL is {settings.model}, not ollama")
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
