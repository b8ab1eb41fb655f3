"""`weir plugin test`: the policy as plain Python, without Wasm."""

import json
import unittest
from types import SimpleNamespace

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Health

import policy

FACTS = SimpleNamespace(backends=[SimpleNamespace(id=name) for name in "abc"])


def states(**changes):
    """Three healthy backends; b={"writable": False} changes the second."""
    usual = {"writable": True, "health": Health.HEALTHY, "latency_us": 0}
    return [SimpleNamespace(**{**usual, **changes.get(name, {})}) for name in "abc"]


def configure(settings):
    policy.Lifecycle().configure(json.dumps(settings), FACTS)


class PolicyTest(unittest.TestCase):
    def test_mistakes_are_listed(self):
        with self.assertRaises(Err) as raised:
            configure({"prefer": ["a", "x"], "y": 1})
        paths = [mistake.path for mistake in raised.exception.value]
        self.assertEqual(paths, ["/prefer/1", "/y"])
