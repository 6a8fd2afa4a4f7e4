"""The ONNX graph says what the model says, to software that knows neither torch nor us."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib import util
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tests.docs.markdown_pages import ROOT, code_blocks
from torch import nn

from vlmrec import export_onnx, recommend
from vlmrec.core.errors import ArtifactError, ConfigError, DataError, MissingExtraError
from vlmrec.core.tensors import latest
from vlmrec.models import FPMC, BERT4Rec, DuoRec, GRU4Rec, ItemKNN, SASRec, SASRecContent
from vlmrec.pipeline import exported_onnx
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.run import NEW_ITEMS
from vlmrec.scoring import ScoringConfig
from vlmrec.testing.worlds import small_dataset, write_noise_vectors
from vlmrec.train.options import TrainOptions

N, LONG = 23, 6
OPTIONS = TrainOptions(epochs=1, learning_rate=0.01)
COSINE = ScoringConfig(kind="cosine", temperature=0.1)
SPECS = {
    "sasrec": SASRec(dim=8, max_len=LONG),
    "sasrec-pre": SASRec(dim=8, max_len=LONG, norm="pre", n_layers=1, scoring=COSINE),
    "duorec": DuoRec(dim=8, max_len=LONG, n_layers=1),
    "bert4rec": BERT4Rec(dim=8, max_len=LONG),
}
GRU = GRU4Rec(dim=8, hidden=12, n_layers=2, max_len=LONG)


def trained(spec):
    split = small_dataset().leave_one_out()
    return fit(spec, split, options=OPTIONS, test=False, quiet=True)


@pytest.fixture(scope="module")
def gru():
    return trained(GRU)


@pytest.fixture(scope="module")
def gru_folder(gru, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx") / "gru"
    export_onnx(gru, folder)
    return folder


def batches():
    """Yields histories: one row, uneven rows, full ones, longer ones, and one of nothing."""
    rng = torch.Generator().manual_seed(3)
    for rows, length in ((1, 1), (3, 4), (7, 1), (2, LONG), (5, LONG + 1), (4, 3 * LONG)):
        items = torch.randint(1, N + 1, (rows, length), generator=rng)
        lengths = torch.randint(1, length + 1, (rows, 1), generator=rng)
        lengths[0] = length
        yield items * (torch.arange(length) < lengths)
    yield torch.zeros(2, 3, dtype=torch.int64)


def require_equal(run, folder):
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    keys = np.load(folder / "items.npy")
    names = json.loads((folder / "items.json").read_text())
    ranker = run.ranker()
    for items in batches():
        (found,) = session.run(["query"], {"items": items.numpy()})
        encoded = ranker.encode(latest(items, LONG))
        expected = ranker.inner_product().queries(encoded).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=3e-6)
        scores = ranker.score(encoded, 1, len(names) + 1).numpy()
        np.testing.assert_allclose(found @ keys.T, scores, rtol=1e-5, atol=1e-5)
    assert names == run.items["item_id"].to_list()


def test_gru_and_graph_agree(gru, gru_folder):
    require_equal(gru, gru_folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_model_and_graph_agree(name, tmp_path):
    run = trained(SPECS[name])
    done = export_onnx(run, tmp_path / "out")
    assert (done.max_len, done.items, done.compared) == (LONG, N, 257)
    assert 0 <= done.largest_difference < 1e-5
    require_equal(run, tmp_path / "out")


@pytest.mark.slow
def test_content_and_lifted_items_are_in_the_graph(tmp_path):
    data = small_dataset()
    vectors = write_noise_vectors(data, tmp_path)
    run = trained(SASRecContent(**vectors, dim=8, max_len=LONG, n_layers=1))
    info = {**run.info, "shape": {**run.info["shape"], "n_items": 20}}
    run = replace(run, info={**info, NEW_ITEMS: {"offset": 0.7, "quota": 0.0}})
    assert export_onnx(run, tmp_path / "out").width == 9
    require_equal(run, tmp_path / "out")


@pytest.mark.slow
def test_a_personal_model_agrees_and_its_graph_knows_nobody(tmp_path):
    run = trained(FPMC(dim=4, max_len=LONG))
    n_users = run.info["shape"]["n_users"]
    assert bool(run.model.users.factors.weight.any())
    export_onnx(run, tmp_path / "out")
    require_equal(run, tmp_path / "out")
    graph = onnx.load(tmp_path / "out" / "model.onnx").graph
    shapes = [tuple(one.dims) for one in graph.initializer]
    assert (N + 1, 12) in shapes
    assert (n_users + 1, 4) not in shapes
    assert len(run.model.users.factors.weight) == n_users + 1


def test_what_lies_in_the_folder(gru, gru_folder):
    assert sorted(one.name for one in gru_folder.iterdir()) == [
        "README.md", "items.json", "items.npy", "model.json", "model.onnx",
    ]  # fmt: skip
    onnx.checker.check_model(onnx.load(gru_folder / "model.onnx"), full_check=True)
    record = json.loads((gru_folder / "model.json").read_text())
    assert record["inputs"]["items"]["shape"] == ["batch", "length"]
    assert record["outputs"]["query"]["shape"] == ["batch", 8]
    assert (record["model"], record["max_len"], record["items"]) == ("gru4rec", LONG, N)
    assert record["compared"]["largest_difference"] < 1e-5
    session = onnxruntime.InferenceSession(gru_folder / "model.onnx")
    assert [one.shape for one in session.get_inputs()] == [["batch", "length"]]
    assert [one.shape for one in session.get_outputs()] == [["batch", 8]]
    readme = (gru_folder / "README.md").read_text()
    assert f"the latest {LONG} items" in readme
    assert not re.search(r"<[a-z_]+>", readme)
    assert not [one for one in gru.model.modules() if "Gated" in type(one).__name__]
    assert any(isinstance(one, nn.GRU) for one in gru.model.modules())


def snippet(text):
    return re.search(r"```python[^\n]*\n(.*?)```", text, re.DOTALL)[1]


NO_OTHERS = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("vlmrec", "torch"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
"""


def test_the_snippet_gives_the_lists_of_recommend_without_us_or_torch(gru, gru_folder, tmp_path):
    code = snippet((gru_folder / "README.md").read_text())
    asked = [["i03"], ["i03", "i11", "i07"], [f"i{n:02d}" for n in range(1, 14)]]
    more = f"print(json.dumps([recommend(one, 5) for one in {asked} + [['no such item']]]))"
    file = tmp_path / "serve.py"
    file.write_text(f"{NO_OTHERS}{code}\n{more}\n")
    command = [sys.executable, "-I", str(file)]
    done = subprocess.run(command, cwd=gru_folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lists = json.loads(done.stdout.splitlines()[-1])
    for history, found in zip(asked, lists, strict=False):
        expected = recommend(gru, history, k=5)
        assert [name for name, _ in found] == expected["item_id"].to_list()
        np.testing.assert_allclose([score for _, score in found], expected["score"], rtol=1e-5)
    assert len(lists[-1]) == 5


def test_the_page_shows_the_snippet_that_lies_in_the_folder(gru_folder):
    page = ROOT / "docs" / "how-to" / "export.md"
    shown = [block.body for block in code_blocks(page) if block.title == "onnx-folder/serve.py"]
    written = snippet((gru_folder / "README.md").read_text())
    first = json.dumps(["i00", "i01"])
    assert shown == [written.replace(first, '["B00A1", "B00B7"]')]


def test_models_without_such_a_graph_are_refused(tmp_path):
    run = trained(ItemKNN())
    with pytest.raises(
        ConfigError, match=r"'item-knn' has no user encoder that becomes an ONNX graph.*export vec"
    ):
        export_onnx(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Branching(nn.Module):
    def forward(self, vectors, mask):
        return vectors if bool(mask.all()) else vectors * 2


def test_what_onnx_cannot_say_is_refused_with_the_reason(tmp_path):
    run = trained(GRU)
    run.model.users = Branching()
    with pytest.raises(
        ConfigError, match=r"user encoder of 'gru4rec' cannot be written as an ONNX"
    ):
        export_onnx(run, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_graph_that_differs_is_not_kept(gru, gru_folder, tmp_path, monkeypatch):
    other = replace(gru, item_vectors=gru.item_vectors.roll(1, dims=0))
    written = gru_folder / "model.onnx"
    monkeypatch.setattr(exported_onnx, "write_graph", lambda _, path: shutil.copy(written, path))
    with pytest.raises(ArtifactError, match=r"other queries than the model: they differ by up to"):
        export_onnx(other, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_names_the_extra(gru, tmp_path, monkeypatch):
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "onnx" else find(name))
    with pytest.raises(MissingExtraError, match=r"'onnx'.*pip install 'vlmrec\[onnx\]'"):
        export_onnx(gru, tmp_path / "out")


def test_a_taken_folder_is_refused_before_the_work(gru, gru_folder):
    with pytest.raises(DataError, match="exists and is not empty"):
        export_onnx(gru, gru_folder)
    assert Path(gru_folder / "model.onnx").is_file()
