"""What every recommender must do; a new model passes by subclassing this suite in its tests."""

import shutil
import tempfile
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import polars as pl
import pytest
import torch

from vlmrec.core.columns import ITEM_ID, RANK, SCORE, USER_ID
from vlmrec.core.errors import ConfigError, DataError
from vlmrec.core.protocols import PersonalRanker, Trainable, VectorRanker
from vlmrec.data.dataset import Dataset
from vlmrec.data.splits import Split
from vlmrec.evaluation.ranking import rank_targets
from vlmrec.models.spec import ModelSpec
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.indexing import build_index
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run
from vlmrec.testing.comparing import TOLERANCE, close, random_rows, same_lists, same_weights
from vlmrec.testing.losses import ScoreWatch, loss_of, trainable
from vlmrec.testing.serving import served
from vlmrec.testing.worlds import small_dataset, small_items
from vlmrec.train.options import TrainOptions

_T = 8
_HISTORY = ("i03", "i11", "i07", "i03", "i20")


class RecommenderContract:
    """The promises of `vlmrec.models.spec.Recommender` and of the runs made with it.

    Every test shares one run, trained for two epochs on a small random log.
    """

    rows_stand_alone: ClassVar[bool] = True
    """Whether the loss of a batch is the sum of its rows'; not so with in-batch negatives."""
    learning_rate: ClassVar[float] = 0.01
    """Of the shared run; at too high a one a pretrained part may forget to tell items apart."""
    learns_histories: ClassVar[bool] = True
    """Whether the loss is one over histories; not so for models that are taught items."""
    causal: ClassVar[bool] = True
    """Whether the loss of a place sees nothing behind it; not so for models that fill gaps from
    both sides, whose own tests show that they do not read what they are asked for."""
    stored_endings: ClassVar[frozenset[str]] = frozenset({".safetensors", ".json", ".parquet"})
    """What kinds of files a run folder may hold."""
    folder: ClassVar[Path]
    split: ClassVar[Split]
    run: ClassVar[Run]

    @abstractmethod
    def make_spec(self, dataset: Dataset, folder: Path) -> ModelSpec:
        """Returns the model to test, small, with `max_len` 8 where it can be chosen.

        Args:
            dataset: What it will be trained on.
            folder: Where content vectors may be written.
        """

    @classmethod
    def setup_class(cls) -> None:
        """Trains the run that the tests share."""
        cls.folder = Path(tempfile.mkdtemp(prefix="vlmrec-contract-"))
        cls.split = small_dataset().leave_one_out()
        cls.run = cls._fit(cls.split)

    @classmethod
    def teardown_class(cls) -> None:
        """Removes what was written."""
        shutil.rmtree(cls.folder)

    @classmethod
    def _fit(cls, split: Split, *, seed: int = 0, epochs: int = 2) -> Run:
        spec = cls().make_spec(split.dataset, cls.folder)
        options = TrainOptions(
            epochs=epochs, batch_size=7, seed=seed, device="cpu", learning_rate=cls.learning_rate
        )
        return fit(spec, split, options=options, quiet=True)

    def _learner(self) -> Trainable | None:
        """Returns the model if it learns from histories."""
        return trainable(self.run) if self.learns_histories else None

    def test_a_changed_item_changes_nothing_before_it(self) -> None:
        """Causality: the loss of earlier positions does not see later items, but itself."""
        model = self._learner()
        if model is None or not self.causal:
            return
        length = min(_T, self.run.model.max_len)
        before = random_rows(4, length, self.run.model.ranker().n_items, seed=1)
        for t in range(1, length):
            changed = before.clone()
            changed[:, t:] = random_rows(4, length - t, self.run.model.ranker().n_items, seed=t + 2)
            targets = random_rows(4, length, self.run.model.ranker().n_items, seed=99)
            early, late = targets.clone(), targets.clone()
            early[:, t:] = 0
            late[:, :t] = 0
            assert close(loss_of(model, before, early), loss_of(model, changed, early))
            assert not close(loss_of(model, before, late), loss_of(model, changed, late))

    def test_padding_changes_nothing(self) -> None:
        """More padding on the right changes neither queries nor the loss."""
        ranker = self.run.ranker()
        width = max(1, ranker.max_len // 2)
        short = random_rows(5, width, ranker.n_items, seed=3)
        padded = torch.nn.functional.pad(short, (0, ranker.max_len - width))
        assert close(ranker.encode(short), ranker.encode(padded))
        model = self._learner()
        if model is not None:
            targets = random_rows(5, width, ranker.n_items, seed=4)
            wide = torch.nn.functional.pad(targets, (0, ranker.max_len - width))
            assert close(loss_of(model, short, targets), loss_of(model, padded, wide))

    def test_a_batch_is_its_rows_one_by_one(self) -> None:
        """Neighbours in a batch change no score, whatever their length."""
        ranker = self.run.ranker()
        rows = random_rows(6, ranker.max_len, ranker.n_items, seed=5)
        for row in range(6):
            rows[row, row % ranker.max_len + 1 :] = 0
        together = ranker.score(ranker.encode(rows), 1, ranker.n_items + 1)
        for row in range(6):
            alone = ranker.score(ranker.encode(rows[row : row + 1]), 1, ranker.n_items + 1)
            assert close(together[row : row + 1], alone)
        model = self._learner()
        if model is not None and self.rows_stand_alone:
            targets = random_rows(6, ranker.max_len, ranker.n_items, seed=6)
            targets[rows == 0] = 0
            parts = [loss_of(model, rows[i : i + 1], targets[i : i + 1]) for i in range(6)]
            assert close(loss_of(model, rows, targets), torch.stack(parts).sum())

    def test_a_slice_of_scores_is_a_slice_of_all_scores(self) -> None:
        """Chunks of the catalogue give the scores that the whole gives; all are finite."""
        ranker = self.run.ranker()
        queries = ranker.encode(random_rows(3, ranker.max_len, ranker.n_items, seed=7))
        scores = ranker.score(queries, 1, ranker.n_items + 1)
        assert scores.dtype == torch.float32
        assert scores.shape == (3, ranker.n_items)
        assert torch.isfinite(scores).all()
        assert close(ranker.score(queries, 5, 9), scores[:, 4:8])

    def test_loss_evaluation_index_service_and_recommend_give_one_score(self) -> None:
        """All of them see one number for user and item.

        `recommend` is told no user: it is held against the ranking of unknown users.
        """
        cases = self.split.test
        nobody = np.zeros_like(cases.users)
        strangers = replace(cases, histories=replace(cases.histories, users=nobody))
        ranked = rank_targets(self.run.ranker(), strangers)
        vocabulary = self.split.dataset.items
        items = self.split.dataset.sequences.items
        ranker, index = self.run.ranker(), build_index(self.run).index
        with served(self.run) as service:
            for row in range(len(cases)):
                past = items[cases.histories.start[row] : cases.histories.stop[row]]
                target = int(cases.targets[row])
                table = recommend(
                    self.run, vocabulary.to_external(past), k=len(vocabulary), filter_seen=False
                )
                name = vocabulary.to_external(np.array([target]))[0]
                told = table.filter(pl.col(ITEM_ID) == name)[SCORE].item()
                assert told == pytest.approx(ranked.scores[row], abs=TOLERANCE)
                latest = cases.histories.padded(np.array([row]), ranker.max_len)
                found = index.search(ranker.encode(torch.as_tensor(latest)), len(vocabulary))
                indexed = found.scores[found.items == target].item()
                assert indexed == pytest.approx(told, abs=TOLERANCE)
                answered = service.scores(vocabulary.to_external(past))[name]
                assert answered == pytest.approx(told, abs=TOLERANCE)
                learned = self.training_score(past[-self.run.model.max_len :], target)
                if learned is not None:
                    assert learned == pytest.approx(told, abs=TOLERANCE)

    def test_a_known_user_is_ranked_as_trained(self) -> None:
        """`encode_users` gives the score that the loss of this user sees; 0 means unknown."""
        ranker, cases = self.run.ranker(), self.split.test
        if not isinstance(ranker, PersonalRanker):
            return
        histories = random_rows(3, ranker.max_len, ranker.n_items, seed=8)
        nobody = torch.zeros(3, dtype=torch.int64)
        assert close(ranker.encode_users(histories, nobody), ranker.encode(histories))
        users = torch.tensor([1, 2, 1])
        together = ranker.encode_users(histories, users)
        assert not close(together, ranker.encode(histories))
        for row in range(3):
            part = slice(row, row + 1)
            assert close(ranker.encode_users(histories[part], users[part]), together[part])
        ranked = rank_targets(ranker, cases)
        for row in range(len(cases)):
            past = cases.histories.padded(np.array([row]), ranker.max_len)[0]
            learned = self.training_score(past, int(cases.targets[row]), int(cases.users[row]))
            if learned is not None:
                assert learned == pytest.approx(ranked.scores[row], abs=TOLERANCE)

    def training_score(self, history: np.ndarray, target: int, user: int = 0) -> float | None:
        """Returns the score of `target` that the loss is computed from, None without a loss.

        The user counts only for models whose ranker is a `PersonalRanker`.

        Override it for a model whose loss is not an attribute ``objective`` that takes
        queries, keys and targets.
        """
        model = self._learner()
        if model is None:
            return None
        items = torch.as_tensor(history.astype(np.int64))[None, :]
        targets = torch.zeros_like(items)
        targets[0, -1] = target
        watched = cast("Any", model)
        objective = watched.objective
        watch = ScoreWatch(objective.n_negatives, objective.shared_negatives)
        watched.objective = watch
        try:
            loss_of(model, items, targets, user)
        finally:
            watched.objective = objective
        return watch.score

    def test_only_the_latest_items_of_a_long_history_count(self) -> None:
        """What lies further back than `max_len` is not read."""
        latest = [*_HISTORY, *_HISTORY, *_HISTORY][-self.run.model.max_len :]
        long = recommend(self.run, ["i01", "i02", *latest], filter_seen=False)
        assert same_lists(long, recommend(self.run, latest, filter_seen=False))

    def test_a_list_is_ranked_and_leaves_seen_items_out(self) -> None:
        """Ranks count from 1, scores fall, k is kept, seen items go when asked."""
        table = recommend(self.run, _HISTORY, k=7)
        assert table[RANK].to_list() == [1, 2, 3, 4, 5, 6, 7]
        assert table[SCORE].is_sorted(descending=True)
        assert not set(table[ITEM_ID]) & set(_HISTORY)
        everything = recommend(self.run, _HISTORY, k=10_000, filter_seen=False)
        assert sorted(everything[ITEM_ID]) == sorted(self.split.dataset.items.names)
        many = recommend(self.run, histories={"b": ["i01"], "a": _HISTORY}, k=7)
        assert many[USER_ID].unique(maintain_order=True).to_list() == ["b", "a"]
        assert same_lists(many.filter(pl.col(USER_ID) == "a"), table)

    def test_what_cannot_be_recommended_for_is_said(self) -> None:
        """Unknown items, empty histories and senseless k are errors of the user."""
        with pytest.raises(DataError, match="Unknown item id 'i99'"):
            recommend(self.run, ["i01", "i99"])
        with pytest.raises(DataError, match="history is empty"):
            recommend(self.run, [])
        with pytest.raises(ConfigError, match="k was given as 0"):
            recommend(self.run, ["i01"], k=0)

    def test_an_empty_history_still_ranks(self) -> None:
        """Evaluation may meet people without a past: their scores are finite."""
        ranker = self.run.ranker()
        queries = ranker.encode(torch.zeros(2, 1, dtype=torch.int64))
        scores = ranker.score(queries, 1, ranker.n_items + 1)
        assert torch.isfinite(scores).all()
        assert close(scores[0], scores[1])

    def test_a_stored_run_recommends_the_same_elsewhere(self, tmp_path: Path) -> None:
        """Save, move, load: the same lists, from safetensors, JSON and Parquet alone."""
        self.run.save(tmp_path / "here")
        (tmp_path / "here").rename(tmp_path / "there")
        again = Run.load(tmp_path / "there")
        histories = {"one": _HISTORY, "two": ("i01",)}
        stored = recommend(again, histories=histories)
        assert stored.equals(recommend(self.run, histories=histories))
        files = [path for path in (tmp_path / "there").rglob("*") if path.is_file()]
        assert {path.suffix for path in files} <= self.stored_endings
        assert again.spec == self.run.spec

    def test_a_seed_decides_the_weights(self) -> None:
        """The same seed gives the same bits, another seed (where one is used) other ones."""
        again = self._fit(self.split)
        assert same_weights(self.run, again)
        if trainable(self.run) is not None:
            assert not same_weights(self.run, self._fit(self.split, seed=1))

    def test_what_is_tested_on_teaches_nothing(self) -> None:
        """Other test and validation events, same weights and vectors."""
        data = self.split.dataset
        log = data.to_interactions()
        n = pl.len().over(USER_ID)
        held_out = pl.int_range(pl.len()).over(USER_ID) >= n - 2
        other = log.with_columns(
            pl.when(held_out).then(pl.lit("i05")).otherwise(ITEM_ID).alias(ITEM_ID)
        )
        changed = Dataset.from_frames(other, small_items()).leave_one_out()
        before, after = self._fit(self.split, epochs=1), self._fit(changed, epochs=1)
        assert same_weights(before, after)

    def test_item_vectors_are_the_rankers(self) -> None:
        """Stored vectors have a zero row for padding and are what the ranker ranks with."""
        ranker = self.run.ranker()
        vectors = self.run.item_vectors
        assert (vectors is not None) == isinstance(ranker, VectorRanker)
        if vectors is not None:
            assert not vectors[0].any()
            assert len(vectors) == ranker.n_items + 1
