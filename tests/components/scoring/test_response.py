"""A response is one line of JSON and back."""

import json
from dataclasses import asdict

from components.scoring.response import Response


def test_a_response_is_the_same_after_json():
    response = Response("tuned", "7", "count", "How many?", "", "2", '"<two>"\n')
    assert Response(**json.loads(json.dumps(asdict(response)))) == response
