"""Sweeps know every kind of model as one, so that models are swapped as seldom as can be."""

from __future__ import annotations

import inspect
from typing import Any

from nodegraph.graph.cells import MODEL_TYPES
from nodegraph.sockets import Handle, handles, types


def test_each_recipe_of_weights_counts_as_a_model():
    classes: list[Any] = [each for _, each in inspect.getmembers(handles, inspect.isclass)]
    kinds = [each for each in classes if issubclass(each, Handle) and each is not Handle]
    names = {name for kind in kinds for name in types.socket_type(kind).names}
    assert names == MODEL_TYPES
