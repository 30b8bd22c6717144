"""The language model's part of a preflight. It is not needed for trading: without it every decision is a HOLD by `fallback`.

Only what needs no inference is asked: the file and its sha256, or the server and what it has.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ffe.llm.factory import open_model
from ffe.llm.gguf import Weights, locate, verify
from ffe.llm.ollama_state import available
from ffe.settings import EnsembleStrategy, OllamaSettings, Settings
from ffe.venues.probe import Answer, Answers, ProviderAnswers, judged, no, not_needed, unknown, yes

WITHOUT = "the model can't be asked: every decision will be a HOLD by fallback"


class ModelProbe:
    """`authenticated` is the file's sha256 or the server's answer, `account_active` that the model is there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.name = f"model {settings.model}"

    def reads(self) -> Mapping[str, Callable[[], Any]]:
        return {"model": self._ollama if self._settings.model == "ollama" else self._file, "allowed": self._allowed}

    def judge(self, heard: Answers) -> ProviderAnswers:
        spared = not_needed("a model has none")
        authenticated, there = self._embedded(heard) if self._settings.model == "embedded" else self._served(heard)
        refused = heard["allowed"].error
        return ProviderAnswers(
            provider=self.name,
            needed=refused is not None,
            authenticated=authenticated,
            account_active=there,
            can_trade=not_needed("decisions are checked one by one") if refused is None else no(str(refused)),
            balance_readable=spared,
            market_data_readable=spared,
        )

    def notes(self, heard: Answers) -> tuple[str, ...]:
        answers = self.judge(heard)
        missing = [each.detail for each in (answers.authenticated, answers.account_active) if not each.passes]
        return (f"{WITHOUT}: {missing[0]}",) if missing else ()

    @property
    def _weights(self) -> Weights:
        return locate(self._settings.embedded.model_path, self._settings.embedded.model_sha256)

    def _file(self) -> str:
        return verify(self._weights)

    def _allowed(self) -> None:
        """Raises RefusedError where the mode refuses this model, whether it is there or not."""
        open_model(self._settings).close()

    def _embedded(self, heard: Answers) -> tuple[Answer, Answer]:
        read, path = heard["model"], self._weights.path
        if read.error is None:
            return yes(f"sha256 {read.value}"), yes(f"{path.name} is there")
        missing = "found no file" in str(read.error)
        return no(str(read.error)), no(f"{path} is not there") if missing else yes(f"{path.name} is there")

    def _served(self, heard: Answers) -> tuple[Answer, Answer]:
        read = heard["model"]
        if read.error is not None:
            return no(f"no answer: {read.error}"), unknown("the server was not heard")
        return yes(f"{self._settings.ollama.host} answered"), judged(read, self._models, unknown)

    def _models(self, found: tuple[str, ...]) -> str | Answer:
        """An ensemble of models needs every one of them, anything else the first that is there."""
        wanted = self._asked.chain
        missing = [name for name in wanted if name not in found]
        everyone = self._settings.ensemble.strategy is EnsembleStrategy.MODELS
        if not found or (everyone and missing):
            return no(f"the server does not have {', '.join(missing)}: `ffe models pull` fetches it")
        return f"{found[0]} is there" + (f"; not there: {', '.join(missing)}" if missing else "")

    @property
    def _asked(self) -> OllamaSettings:
        """The models that decide, within the time of a preflight."""
        seconds = min(self._settings.preflight.timeout_seconds, self._settings.ollama.timeout_seconds)
        changes: dict[str, Any] = {"timeout_seconds": seconds}
        if self._settings.ensemble.strategy is EnsembleStrategy.MODELS:
            first, *others = self._settings.ensemble.models
            changes |= {"model": first, "fallback_model": tuple(others)}
        return self._settings.ollama.model_copy(update=changes)

    def _ollama(self) -> tuple[str, ...]:
        return available(self._asked)
