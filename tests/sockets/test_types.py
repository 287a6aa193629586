"""Which output may feed which input."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NewType, TypeVar

import pytest

from nodegraph.sockets import ANY, Image, Latent, Mask, Model, SocketType, accepts, socket, socket_of, socket_type

T = TypeVar("T")
Number = TypeVar("Number", int, float)
Pictures = TypeVar("Pictures", bound=Image | Mask)


def type_(*names: str) -> SocketType:
    return SocketType(names)


@pytest.mark.parametrize(
    ("annotation", "names"),
    [
        (int, ["INT"]),
        (float, ["FLOAT"]),
        (str, ["STRING"]),
        (bool, ["BOOLEAN"]),
        (Any, [ANY]),
        (Image, ["IMAGE"]),
        (Latent, ["LATENT"]),
        (Model, ["MODEL"]),
        (Image | Mask, ["IMAGE", "MASK"]),
        (int | None, ["INT"]),
        (Image | int | Image, ["IMAGE", "INT"]),
        (Literal["a", "b"], ["COMBO"]),
        (Annotated[int, "whatever"], ["INT"]),
        (T, [ANY]),
        (Number, ["INT", "FLOAT"]),
        (Pictures, ["IMAGE", "MASK"]),
    ],
    ids=str,
)
def test_annotations_stand_for_socket_types(annotation: object, names: list[str]):
    assert list(socket_type(annotation).names) == names


def test_generics_keep_their_variable_also_when_optional():
    assert socket_type(T).variable == "T"
    assert socket_type(T | None).variable == "T"
    assert str(socket_type(T)) == "T"


@pytest.mark.parametrize("annotation", [bytes, list[int], dict, object.__class__, 3, "int", [int]], ids=str)
def test_other_annotations_are_refused_in_words(annotation: object):
    with pytest.raises(TypeError, match="is not a socket type"):
        socket_type(annotation)


@pytest.mark.parametrize(
    ("wanted", "offered", "fits"),
    [
        (type_("INT"), type_("INT"), True),
        (type_("FLOAT"), type_("INT"), True),
        (type_("INT"), type_("FLOAT"), False),
        (type_("INT"), type_("BOOLEAN"), False),
        (type_("STRING"), type_("INT"), False),
        (type_("COMBO"), type_("STRING"), True),
        (type_("STRING"), type_("COMBO"), True),
        (type_("IMAGE"), type_("MASK"), False),
        (type_("IMAGE", "MASK"), type_("MASK"), True),
        (type_("IMAGE"), type_("IMAGE", "MASK"), False),
        (type_("IMAGE", "MASK", "LATENT"), type_("MASK", "IMAGE"), True),
        (type_(ANY), type_("IMAGE"), True),
        (type_("IMAGE"), type_(ANY), True),
    ],
    ids=str,
)
def test_accepts(wanted: SocketType, offered: SocketType, fits: bool):
    assert accepts(wanted, offered) is fits


def test_a_type_of_ones_own():
    Voxels = socket(NewType("Voxels", object), "VOXELS", colour="#4c9", description="cubes")
    assert socket_type(Voxels).names == ("VOXELS",)
    assert socket_type(Voxels).wire == "VOXELS"
    mark = socket_of(Voxels)
    assert mark is not None
    assert (mark.colour, mark.description) == ("#4c9", "cubes")


def test_a_subclass_is_a_type_of_its_own_or_none():
    class Finer(Model):
        pass

    assert socket_of(Finer) is None


@pytest.mark.parametrize("name", ["", " A", "A,B", "*"])
def test_names_that_would_be_misread_are_refused(name: str):
    with pytest.raises(ValueError, match="cannot be called"):
        socket(NewType("X", object), name)


def test_unions_are_written_for_clients_with_commas():
    assert socket_type(Image | Mask).wire == "IMAGE,MASK"
    assert str(socket_type(Image | Mask)) == "IMAGE | MASK"
