"""What tests of llmopt stand on, for those of its users too: nothing here waits, guesses or calls anybody.

=================================  ======================================================================
name                               what it is
=================================  ======================================================================
`ScriptedModel` and three more     real llm models that answer what they are told; `Answer` is one answer
`FaultPlan`, `FaultyStore`         a catalogue of things that go wrong, for models, stores and functions
`VirtualClock`                     time that passes at once
`openai_server`                    a real HTTP server on this machine; see `llmopt.testing.server`
`llmopt.testing.wrap_all`          a pytest plugin that wraps every llm model of somebody's test suite
=================================  ======================================================================

    >>> import llmopt
    >>> from llmopt.testing import FaultPlan, ScriptedModel
    >>> def once_more(call):
    ...     try:
    ...         yield call
    ...     except Exception:
    ...         yield call
    >>> model = llmopt.wrap(ScriptedModel(FaultPlan.of("429", answer="HOLD")), once_more)
    >>> model.prompt("What now?").text()
    'HOLD'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clock import VirtualClock as VirtualClock
    from .faults import FaultPlan as FaultPlan
    from .faults import FaultyStore as FaultyStore
    from .models import AsyncScriptedKeyModel as AsyncScriptedKeyModel
    from .models import AsyncScriptedModel as AsyncScriptedModel
    from .models import ScriptedKeyModel as ScriptedKeyModel
    from .models import ScriptedModel as ScriptedModel
    from .script import Answer as Answer
    from .script import Asked as Asked
    from .server import openai_server as openai_server

_NAMES = {
    "Answer": "script",
    "Asked": "script",
    "AsyncScriptedKeyModel": "models",
    "AsyncScriptedModel": "models",
    "FaultPlan": "faults",
    "FaultyStore": "faults",
    "ScriptedKeyModel": "models",
    "ScriptedModel": "models",
    "VirtualClock": "clock",
    "openai_server": "server",
}

__all__ = [
    "Answer",
    "Asked",
    "AsyncScriptedKeyModel",
    "AsyncScriptedModel",
    "FaultPlan",
    "FaultyStore",
    "ScriptedKeyModel",
    "ScriptedModel",
    "VirtualClock",
    "openai_server",
]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        msg = f"module 'llmopt.testing' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f".{_NAMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
