"""The settings choose the adapter; live mode refuses the one that is no trader."""

import pytest

from ffe.errors import RefusedError
from ffe.llm.embedded import EmbeddedModel
from ffe.llm.factory import open_model
from ffe.llm.ollama import OllamaModel
from ffe.settings import LiveSettings, Mode, Settings


def test_the_embedded_model_is_opened_without_loading_anything():
    model = open_model(Settings())

    assert isinstance(model, EmbeddedModel)
    assert model._child is None


def test_ollama_is_opened_when_it_is_asked_for_also_live():
    assert isinstance(open_model(Settings(model="ollama")), OllamaModel)
    assert isinstance(open_model(Settings(model="ollama", mode=Mode.LIVE)), OllamaModel)


def test_live_mode_refuses_the_embedded_model_unless_it_is_explicitly_allowed():
    with pytest.raises(RefusedError, match="FFE_LIVE__ALLOW_EMBEDDED_MODEL"):
        open_model(Settings(mode=Mode.LIVE))

    allowed = Settings(mode=Mode.LIVE, live=LiveSettings(allow_embedded_model=True))
    assert isinstance(open_model(allowed), EmbeddedModel)
