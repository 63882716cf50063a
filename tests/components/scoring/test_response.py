"""A response has the fields that scoring and the page read, and nobody changes it."""

from dataclasses import FrozenInstanceError, fields

import pytest

from components.scoring.response import Response


def test_a_response_says_who_answered_what_was_asked_and_what_was_right():
    names = ["model", "id", "kind", "group", "instruction", "input", "expected", "answer"]
    assert [field.name for field in fields(Response)] == names


def test_a_response_cannot_be_changed():
    response = Response("tuned", "7", "count", "os", "How many?", "", "2", "3")
    with pytest.raises(FrozenInstanceError):
        response.answer = "2"
    assert response.answer == "3"
