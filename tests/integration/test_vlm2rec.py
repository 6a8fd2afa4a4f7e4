"""VLM2Rec as a user meets it: training, new items, missing words and pictures, resuming."""

import json
import shutil

import polars as pl
import pytest
import torch
from tests.pictured import pictured_dataset

from vlmrec.core.columns import IMAGE, ITEM_ID, TITLE
from vlmrec.core.content_change import ContentChange
from vlmrec.core.errors import ArtifactError, ConfigError, DataError
from vlmrec.models import VLM2Rec
from vlmrec.objectives.gradient_modulation import GradientModulation
from vlmrec.objectives.modality_dropout import ModalityDropout
from vlmrec.objectives.unimodal_heads import UnimodalHeads
from vlmrec.pipeline.adding import add_items
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run
from vlmrec.testing.vlm_samples import noise_picture
from vlmrec.train.options import TrainOptions
from vlmrec.vlm.options import TuningOptions

OPTIONS = TrainOptions(epochs=2, batch_size=6, device="cpu", learning_rate=0.01)
BASELINES = {
    "heads": UnimodalHeads(),
    "modality_dropout": ModalityDropout(p=0.5),
    "modulation": GradientModulation(),
}


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return pictured_dataset(tmp_path_factory.mktemp("pictures")).leave_one_out()


@pytest.fixture(scope="module")
def run(split, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    spec = VLM2Rec(backbone="tiny", max_len=4, measure_every=1)
    return fit(spec, split, folder, options=OPTIONS, quiet=True)


def test_training_logs_what_becomes_of_each_modality(run):
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2
    signals = json.loads(lines[0])["signals"]
    assert 0 < signals["gradient share image"] < 1
    assert -1 <= signals["gradient cosine"] <= 1
    assert {"starvation text", "starvation image", "weak image", "gap"} <= signals.keys()


def test_the_gradients_of_the_branches_add_up(split):
    """What comes through text and what comes through pictures is the whole gradient."""
    spec = VLM2Rec(backbone="tiny", max_len=4)
    model = fit(spec, split, options=OPTIONS, quiet=True).model
    weights = [weight.requires_grad_(True) for weight in model.vlm.network.projector.parameters()]
    batch = model.batches(_training(split), _streams(), batch_size=6, epochs=1)
    first = batch.build(batch.plan(0)[0], 0, 0)
    with torch.enable_grad():
        asked, told = model.reader.histories(first.items), model.reader.items(torch.arange(1, 5))
        loss = (asked.fused() @ told.fused().T).square().sum()
    from vlmrec.models.branch_signals import gradient_shares

    shares = gradient_shares(loss, [asked, told], weights)
    assert shares["gradient share image"] == 1  # text does not pass through the projector
    loss.backward()
    assert all(weight.grad is not None for weight in weights)


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_each_baseline_trains_and_a_seed_decides_it(name, split):
    spec = VLM2Rec(backbone="tiny", max_len=3, wpcl=None, crtr=None, **{name: BASELINES[name]})
    plain = VLM2Rec(backbone="tiny", max_len=3, wpcl=None, crtr=None)
    vectors = [
        fit(one, split, options=OPTIONS, quiet=True).item_vectors for one in (spec, spec, plain)
    ]
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.allclose(vectors[0], vectors[2], atol=1e-4)


def test_a_killed_run_goes_on_to_the_same_weights(run, split, tmp_path, monkeypatch):
    from vlmrec.models.two_branches import TwoBranchRecommender

    learn, steps = TwoBranchRecommender.training_loss, []

    def interrupted(model, batch):
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return learn(model, batch)

    monkeypatch.setattr(TwoBranchRecommender, "training_loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(run.spec, split, tmp_path / "run", options=OPTIONS, quiet=True)
    monkeypatch.undo()
    again = fit(run.spec, split, tmp_path / "run", options=OPTIONS, quiet=True)
    assert torch.equal(again.item_vectors, run.item_vectors)


def test_a_history_without_pictures_or_words_is_told_by_the_rest(run):
    """i00 has no title, i01 no picture: each is compared by what it has, and nothing is lost."""
    for item in ("i00", "i01"):
        table = recommend(run, [item], k=10, filter_seen=False)
        assert table["score"].is_finite().all()
        assert table["score"].n_unique() > 5
    everything = recommend(run, ["i03"], k=10, filter_seen=False)
    assert everything[ITEM_ID][-1] == "i02"  # nothing can be read of it
    assert everything["score"][-1] == -1


def test_new_items_by_title_picture_or_both(run, tmp_path):
    pictures = tmp_path / "new"
    pictures.mkdir()
    for name, seed in (("both", 40), ("seen", 5)):
        (pictures / f"{name}.png").write_bytes(noise_picture(seed, 25, 24))
    rows = {
        ITEM_ID: ["both", "told", "seen"],
        TITLE: ["title of both", "title of told", None],
        IMAGE: ["both.png", None, "seen.png"],
    }
    grown = add_items(run, pl.DataFrame(rows), images=pictures)
    grown.save(tmp_path / "grown")
    shutil.rmtree(pictures)  # a run folder needs nothing else
    loaded = Run.load(tmp_path / "grown")
    for one in (grown, loaded) if pictures.exists() else (loaded,):
        assert len(one.item_vectors) == len(run.item_vectors) + 3
        table = recommend(one, ["both", "i03", "told", "seen"], k=13, filter_seen=False)
        assert {"both", "told", "seen"} <= set(table[ITEM_ID])
    # The picture of "seen" is that of i05, so the two are neighbours by picture.
    sight = loaded.model.reader.everything().part("image")
    assert sight[13] @ sight[6] == pytest.approx(1, abs=1e-5)
    with pytest.raises(DataError, match="'blank' has none of what the model reads"):
        add_items(run, pl.DataFrame({ITEM_ID: ["blank"], TITLE: [None]}))


def test_a_damaged_run_folder_is_told(run, tmp_path):
    for name in ("contents.parquet", "backbone/model.safetensors"):
        shutil.copytree(run.folder, tmp_path / "copy")
        (tmp_path / "copy" / name).write_bytes(b"?")
        with pytest.raises(ArtifactError, match="damaged"):
            Run.load(tmp_path / "copy")
        shutil.rmtree(tmp_path / "copy")
    shutil.copytree(run.folder, tmp_path / "copy")
    next((tmp_path / "copy" / "pictures").iterdir()).unlink()
    with pytest.raises(ArtifactError, match="is missing or damaged"):
        Run.load(tmp_path / "copy")


def test_the_two_readouts_and_the_changed_views(run):
    model, past = run.model, torch.tensor([[4, 6, 0]])
    by_sum = model.ranker(readout="sum")
    n = by_sum.n_items
    words = model.ranker_with({"image": ContentChange.absent(n)})
    sight = model.ranker_with({"text": ContentChange.absent(n)})
    mean = (words.score(words.encode(past), 4, 11) + sight.score(sight.encode(past), 4, 11)) / 2
    assert torch.allclose(by_sum.score(by_sum.encode(past), 4, 11), mean, atol=1e-5)
    same = model.ranker_with({"image": ContentChange(torch.arange(n + 1))})
    assert torch.allclose(same.item_vectors, model.ranker().item_vectors, atol=1e-6)


def test_nothing_that_learns_is_refused(split):
    spec = VLM2Rec(backbone="tiny", tuning=TuningOptions(kind="frozen"))
    with pytest.raises(ConfigError, match="nothing of the backbone learns"):
        fit(spec, split, options=OPTIONS, quiet=True)


def _training(split):
    from vlmrec.pipeline.evaluation import training_data

    return training_data(split)


def _streams():
    from vlmrec.core.random import Streams

    return Streams(0)
