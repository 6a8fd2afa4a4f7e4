"""Whatever is sent by the letter of the OpenAPI document, or against it: never a 5xx."""

import contextlib

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from vlmrec.models import SASRec
from vlmrec.pipeline.fitting import fit
from vlmrec.serve.options import ServeOptions
from vlmrec.serve.running import make_app, make_service
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions

LOCAL = {"host": "localhost"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, data = tmp_path_factory.mktemp("fuzzed"), small_dataset()
    options = TrainOptions(epochs=1, device="cpu")
    fit(
        SASRec(dim=8), data.leave_one_out(), folder / "run", options=options, test=False, quiet=True
    )
    return folder


@pytest.fixture
def document(folder, tmp_path):
    # One for each test: who asked an application last also ends it.
    options = ServeOptions(database=f"sqlite:///{tmp_path / 'x.db'}")
    service = make_service(folder / "run", options, small_dataset())
    yield schemathesis.openapi.from_asgi("/openapi.json", make_app(service), headers=LOCAL)
    service.close()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_makes_the_service_fail(document, mode):
    asked, statuses = 0, set()
    for found in document.get_all_operations():
        operation = found.ok()

        @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case):
            nonlocal asked
            answer = case.call(headers=LOCAL)
            asked += 1
            statuses.add(answer.status_code)
            assert answer.status_code < 500, f"{case.method} {case.path}: {answer.text}"

        with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with a request for health
            ask()
    assert asked > 100
    assert 200 in statuses or mode == GenerationMode.NEGATIVE
    assert 422 in statuses
