"""Two processes that share each batch end where one process ends."""

import json
import sys
from pathlib import Path

import pytest
import torch
from tests.command_line import call

from vlmrec.cli.train import divide_options
from vlmrec.core.config import parse_assignments
from vlmrec.core.tensor_files import load_tensors
from vlmrec.data.dataset import Dataset
from vlmrec.models import model_class
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.worlds import small_dataset, write_noise_vectors

WORKER = Path(__file__).with_name("distributed_worker.py")
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SETS = ("dim=8", "hidden=16", "max_len=7", "dropout=0.3", "batch_size=7", "epochs=3", "device=cpu")
CASES = {
    "cross-entropy": ("sasrec", ["objective.kind=cross-entropy", "grad_clip=0.5"]),
    "bce": ("sasrec", ["objective.kind=bce", "objective.n_negatives=3"]),
    "sampled": ("sasrec", ["objective.kind=sampled-softmax", "objective.n_negatives=9"]),
    "cloze": ("bert4rec", ["objective.kind=gbce", "objective.n_negatives=5"]),
    "content": ("sasrec-content", ["content_dropout=0.2"]),
    "content-bce": ("sasrec-content", ["objective.kind=bce", "content_dropout=0.2", "use_ids=1"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Trains all cases in two processes.

    29 users make batches of 7 and one of a single row, which leaves a process without rows.
    """
    folder = tmp_path_factory.mktemp("two processes")
    data = small_dataset(n_users=29)
    assert int((data.leave_one_out().train.lengths >= 2).sum()) % 7 == 1
    data.save(folder / "data")
    files = write_noise_vectors(data, folder)
    commands = []
    for name, (model, options) in CASES.items():
        given = [part for one in settings(model, options, files) for part in ("--set", one)]
        out = str(folder / name)
        commands.append(["train", model, "--data", str(folder / "data"), "--out", out, *given])
    done = call(WORKER, json.dumps(commands), prefix=TWO)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Run folder:") == len(CASES)  # one report, from the main process
    return folder


def settings(model: str, options: list[str], files: dict[str, str]) -> list[str]:
    content = [f"{name}={path}" for name, path in files.items()]
    return [*SETS, *options, *(content if model == "sasrec-content" else [])]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_end_where_one_does(folder, tmp_path, name):
    model, given = CASES[name]
    files = {modality: str(folder / f"{modality}.npy") for modality in ("text", "image")}
    spec, options = divide_options(
        model_class(model), parse_assignments(settings(model, given, files))
    )
    split = Dataset.load(folder / "data").leave_one_out()
    run = fit(spec, split, tmp_path / "one", options=options, quiet=True)
    one, two = (
        load_tensors(path / "model.safetensors") for path in (tmp_path / "one", folder / name)
    )
    for key, weight in one.items():
        torch.testing.assert_close(two[key], weight, atol=1e-5, rtol=1e-5)
    told = [
        [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        for path in (tmp_path / "one", folder / name)
    ]
    for first, second in zip(*told, strict=True):
        assert second["valid NDCG@10"] == pytest.approx(first["valid NDCG@10"], abs=1e-5)
        assert second["loss"] == pytest.approx(first["loss"], abs=1e-5)
    record = json.loads((folder / name / "run.json").read_text())
    for metric, value in run.info["metrics"]["test"]["metrics"].items():
        assert record["metrics"]["test"]["metrics"][metric] == pytest.approx(value, abs=1e-5)
