"""Jobs over HTTP: asking for them in every form, looking at them, and changing what becomes of them."""

from __future__ import annotations

from tests.server.support import SUM, Server


def test_a_workflow_in_yaml_runs_and_its_result_can_be_read(server: Server):
    job = server.submit()
    done = server.wait(job["id"])
    assert done["state"] == "done"
    assert done["result"]["outputs"]["shown"]["shown"] == {"text": ["it is 5"]}
    assert done["request"]["workflow"] == SUM
