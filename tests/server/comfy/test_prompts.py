"""POST /prompt: what is queued, what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.server.comfy.support import Running, empty_picture, txt2img


def post(server: Running, body: Any, path: str = "/prompt", **more: Any) -> requests.Response:
    return requests.post(server.url + path, json=body, timeout=60, **more)


def refused(answer: requests.Response) -> dict[str, Any]:
    """The error of an answer that queues nothing."""
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert set(body) == {"error", "node_errors"}
    assert set(body["error"]) == {"type", "message", "details", "extra_info"}
    assert isinstance(body["error"]["message"], str)
    assert isinstance(body["error"]["details"], str)
    for node in body["node_errors"].values():
        assert set(node) == {"errors", "dependent_outputs", "class_type"}
        for error in node["errors"]:
            assert set(error) == {"type", "message", "details", "extra_info"}
    return body


@pytest.fixture
def paused(server: Running) -> Any:
    server.call(server.service.pause)
    yield server
    server.call(lambda: server.service.clear(("queued",)))
    server.call(server.service.resume)


@pytest.mark.parametrize("path", ["/prompt", "/api/prompt"])
def test_a_prompt_is_queued_and_counted(paused: Running, path: str) -> None:
    answer = post(paused, {"prompt": empty_picture(20), "client_id": "me", "extra_data": {"a": 1}}, path)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"prompt_id", "number", "node_errors"}
    assert body["node_errors"] == {}
    assert requests.get(paused.url + path, timeout=60).json() == {"exec_info": {"queue_remaining": 1}}
    (item,) = requests.get(paused.url + "/queue", timeout=60).json()["queue_pending"]
    assert item == [body["number"], body["prompt_id"], empty_picture(20), {"a": 1, "client_id": "me"}, ["2"]]


def test_a_body_counts_whatever_kind_it_says_it_is_from_a_program(paused: Running) -> None:
    text = '{"prompt": {"1": {"class_type": "PreviewAny", "inputs": {"source": 1}}}}'
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = requests.post(paused.url + "/prompt", data=text, headers={"Content-Type": kind}, timeout=60)
        assert answer.status_code == 200, answer.text
        page = {"Content-Type": kind, "Origin": paused.url}
        assert requests.post(paused.url + "/prompt", data=text, headers=page, timeout=60).status_code == 403


def test_a_prompt_says_its_own_id_and_place(paused: Running) -> None:
    for id_, more in (("first", {}), ("second", {"number": -5}), ("third", {"front": True})):
        body = {"prompt": empty_picture(21), "prompt_id": id_, **more}
        assert post(paused, body).json()["prompt_id"] == id_
    pending = requests.get(paused.url + "/queue", timeout=60).json()["queue_pending"]
    assert [item[1] for item in pending] == ["third", "second", "first"]
    assert [item[0] for item in pending] == sorted(item[0] for item in pending)
    refused(post(paused, {"prompt": empty_picture(22), "prompt_id": "first"}))


def test_prompts_of_several_people_take_turns(paused: Running) -> None:
    for id_, client, user in (("1", "x", ""), ("2", "x", ""), ("3", "y", ""), ("4", "x", "ann"), ("5", "x", "Ann")):
        headers = {"Comfy-User": user} if user else {}
        answer = post(paused, {"prompt": empty_picture(23), "prompt_id": id_, "client_id": client}, headers=headers)
        assert answer.status_code == 200, answer.text
    pending = requests.get(paused.url + "/queue", timeout=60).json()["queue_pending"]
    assert [item[1] for item in pending] == ["1", "3", "4", "2", "5"]
    refused(post(paused, {"prompt": empty_picture(23)}, headers={"Comfy-User": "a b"}))


def test_all_outputs_wrong_is_refused_with_the_errors_of_each_node(server: Running) -> None:
    prompt = txt2img()
    prompt["4"]["inputs"]["ckpt_name"] = "tinny"
    prompt["3"]["inputs"]["steps"] = 0
    prompt["3"]["inputs"]["cfg"] = 1000.0
    del prompt["6"]["inputs"]["clip"]
    prompt["7"]["inputs"]["clip"] = ["4", 0]
    prompt["8"]["inputs"]["vae"] = ["nowhere", 2]
    body = refused(post(server, {"prompt": prompt}))
    assert body["error"]["type"] == "prompt_outputs_failed_validation"
    errors = body["node_errors"]
    kinds = {(node, error["type"]) for node, facts in errors.items() for error in facts["errors"]}
    assert kinds == {
        ("4", "value_not_in_list"),
        ("3", "value_smaller_than_min"),
        ("3", "value_bigger_than_max"),
        ("6", "required_input_missing"),
        ("7", "return_type_mismatch"),
        ("8", "bad_linked_input"),
    }
    assert all(facts["dependent_outputs"] == ["9"] for facts in errors.values())
    assert errors["4"]["class_type"] == "CheckpointLoaderSimple"
    (choice,) = errors["4"]["errors"]
    assert choice["extra_info"]["input_name"] == "ckpt_name"
    assert choice["extra_info"]["received_value"] == "tinny"
    assert "tiny" in choice["extra_info"]["input_config"][0]
    assert "tiny" in choice["details"]
    (mismatch,) = errors["7"]["errors"]
    assert mismatch["extra_info"]["linked_node"] == ["4", 0]
    assert mismatch["extra_info"]["received_type"] == "MODEL"
    (missing,) = errors["6"]["errors"]
    assert missing["details"].startswith("clip")
    assert missing["extra_info"]["input_name"] == "clip"
    assert requests.get(server.url + "/prompt", timeout=60).json() == {"exec_info": {"queue_remaining": 0}}


def test_the_outputs_that_can_run_do(paused: Running) -> None:
    prompt = empty_picture(23)
    prompt["3"] = {"class_type": "LoadImage", "inputs": {"image": "nowhere.png"}}
    prompt["4"] = {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}}
    answer = post(paused, {"prompt": prompt})
    assert answer.status_code == 200, answer.text
    errors = answer.json()["node_errors"]
    assert set(errors) == {"3"}
    assert errors["3"]["dependent_outputs"] == ["4"]
    (item,) = requests.get(paused.url + "/queue", timeout=60).json()["queue_pending"]
    assert item[4] == ["2"]


def test_what_no_output_needs_may_be_wrong(paused: Running) -> None:
    prompt = empty_picture(24)
    prompt["3"] = {"class_type": "EmptyImage", "inputs": {"width": -1}}
    answer = post(paused, {"prompt": prompt})
    assert answer.status_code == 200, answer.text
    assert answer.json()["node_errors"] == {}


def test_only_the_outputs_asked_for(paused: Running) -> None:
    prompt = empty_picture(25)
    prompt["3"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    body = {"prompt": prompt, "partial_execution_targets": ["3", "1"]}
    assert post(paused, body).status_code == 200
    (item,) = requests.get(paused.url + "/queue", timeout=60).json()["queue_pending"]
    assert item[4] == ["3"]
    for targets in ([], ["1"], ["nowhere"]):
        answer = refused(post(paused, {"prompt": prompt, "partial_execution_targets": targets}))
        assert answer["error"]["type"] == "prompt_no_outputs"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "no_prompt"),
        ({"prompt": None}, "no_prompt"),
        ({"prompt": []}, "invalid_prompt"),
        ({"prompt": {}}, "prompt_no_outputs"),
        ({"prompt": {"1": {"inputs": {}}}}, "invalid_prompt"),
        ({"prompt": {"1": 3}}, "invalid_prompt"),
        ({"prompt": {"1": {"class_type": "Nothing", "inputs": {}}}}, "invalid_prompt"),
        ({"prompt": {"1": {"class_type": "PreviewAny", "inputs": []}}}, "invalid_prompt"),
        ({"prompt": {"1": {"class_type": "EmptyImage", "inputs": {}}}}, "prompt_no_outputs"),
        ({"prompt": empty_picture(), "client_id": 3}, "bad_request"),
        ({"prompt": empty_picture(), "number": "1"}, "bad_request"),
        ({"prompt": empty_picture(), "number": True}, "bad_request"),
        ({"prompt": empty_picture(), "extra_data": []}, "bad_request"),
        ({"prompt": empty_picture(), "prompt_id": "a/b"}, "bad_request"),
        ({"prompt": empty_picture(), "partial_execution_targets": "2"}, "bad_request"),
        ([], "bad_request"),
        (3, "bad_request"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(server: Running, body: Any, kind: str) -> None:
    assert refused(post(server, body))["error"]["type"] == kind


def test_an_unknown_node_type_is_named_with_a_guess(server: Running) -> None:
    prompt = empty_picture()
    prompt["2"]["class_type"] = "SaveImge"
    error = refused(post(server, {"prompt": prompt}))["error"]
    assert error["extra_info"] == {"node_id": "2", "class_type": "SaveImge"}
    assert "SaveImage" in error["details"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"prompt": NaN}',
        '{"prompt": {"1": 2, "1": 3}}',
        '{"prompt": ' + "[" * 10_000 + "]" * 10_000 + "}",
        '{"prompt": 99999999999999999999999}',
        '{"prompt": "\\ud800"}',
        '{"prompt": 1e999}',
    ],
)
def test_what_is_not_json_is_refused_with_its_place(server: Running, text: str) -> None:
    answer = requests.post(server.url + "/prompt", data=text, timeout=60)
    body = refused(answer)
    (place, *_) = (problem for problem in body["error"]["extra_info"]["problems"])
    assert place["line"] == 1
    assert place["column"] >= 1
    assert "Traceback" not in answer.text


def test_a_circle_is_one_error(server: Running) -> None:
    prompt: dict[str, Any] = {
        "1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    body = refused(post(server, {"prompt": prompt}))
    assert body["error"]["type"] == "prompt_outputs_failed_validation"
    assert "1" in body["error"]["details"]
    assert "2" in body["error"]["details"]
