"""PLUGIN_NAME: a policy for Weir. Preferred backends come first, in the order
of the settings, and whatever takes no writes comes last.

The types stand in wit/deps/weir-policy; `weir plugin build` writes them as
Python to bindings/. There is no clock, randomness or network: time and entropy
are arguments. Decisions must not change anything outside of them: the same
arguments give the same answer.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.lifecycle import ConfigError, Decisions, Description, Needs
from wit_world.imports.types import Health

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "prefer": {
            "description": "Backend ids, the best first. Others follow in configured order.",
            "type": "array",
            "items": {"type": "string"},
            "uniqueItems": True,
        }
    },
}

# Indices of all backends, the best first. Set by configure alone.
ORDER: list[int] = []


def usable(state):
    return state.writable and state.health != Health.DOWN


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Description(
            name="PLUGIN_NAME",
            version="0.1.0",
            summary="Preferred backends first",
            decides=PLUGIN_DECIDES,
            needs=Needs(0),
            settings_schema=json.dumps(SCHEMA),
        )

    def configure(self, settings, facts):
        """Raises the list of all mistakes."""
        settings = json.loads(settings)
        ids = [backend.id for backend in facts.backends]
        prefer = settings.pop("prefer", [])
        mistakes = []
        if not isinstance(prefer, list):
            mistakes.append(ConfigError("/prefer", "must be a list of backend ids"))
            prefer = []
        for at, name in enumerate(prefer):
            if name not in ids:
                known = ", ".join(ids)
                mistakes.append(ConfigError(f"/prefer/{at}", f"no backend {name}; there are: {known}"))
            elif name in prefer[:at]:
                mistakes.append(ConfigError(f"/prefer/{at}", f"{name} is named twice"))
        mistakes += [ConfigError(f"/{name}", "unknown setting") for name in settings]
        if mistakes:
            raise Err(mistakes)
        rest = [name for name in ids if name not in prefer]
        ORDER[:] = [ids.index(name) for name in prefer + rest]
