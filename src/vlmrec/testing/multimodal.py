"""What every model that can be taken apart must do; a model passes by subclassing this suite."""

from abc import abstractmethod

import torch
from torch import Tensor

from vlmrec.core.content_change import ContentChange
from vlmrec.core.protocols import Multimodal, Ranker, VectorRanker
from vlmrec.models.spec import Recommender
from vlmrec.testing.comparing import close, random_rows

_ABSENT_MODALITIES = ("text", "image")


class MultimodalContract:
    """The promises of `vlmrec.core.protocols.Multimodal`."""

    @abstractmethod
    def model(self) -> Recommender:
        """Returns a trained model that reads texts and pictures; every item has both."""

    def test_it_reads_both(self) -> None:
        """The model says so, and needs no special ids."""
        model = self.model()
        assert isinstance(model, Multimodal)
        assert model.modalities == _ABSENT_MODALITIES

    def test_no_change_changes_nothing(self) -> None:
        """Neither an empty mapping, nor own content, nor noise of share 0."""
        model = _taken_apart(self.model())
        plain = self.model().ranker()
        own = ContentChange(torch.arange(plain.n_items + 1))
        for changes in ({}, {"text": own}, {"image": own}, {"text": ContentChange(noise=0.0)}):
            assert close(_scores(model.ranker_with(changes)), _scores(plain))

    def test_every_change_changes_scores_and_leaves_the_model_alone(self) -> None:
        """Absent, swapped and noisy content, of either modality; the next view is as before."""
        model = _taken_apart(self.model())
        before = _scores(self.model().ranker())
        n = self.model().ranker().n_items
        swapped = torch.cat([torch.zeros(1, dtype=torch.int64), torch.arange(n, 0, -1)])
        for modality in _ABSENT_MODALITIES:
            for change in (
                ContentChange.absent(n),
                ContentChange(swapped),
                ContentChange(noise=1.0, seed=3),
            ):
                changed = _scores(model.ranker_with({modality: change}))
                assert torch.isfinite(changed).all()
                assert not close(changed, before)
        assert close(_scores(self.model().ranker()), before)

    def test_one_modality_alone_has_item_vectors(self) -> None:
        """Views of one modality can be compared and have no trace of the other one."""
        model = _taken_apart(self.model())
        n = self.model().ranker().n_items
        absent = ContentChange.absent(n)
        for gone, kept in (("text", "image"), ("image", "text")):
            view = model.ranker_with({gone: absent})
            assert isinstance(view, VectorRanker)
            assert view.item_vectors.shape[0] == n + 1
            assert view.item_vectors[1:].any(dim=1).all(), f"items have {kept}"

    def test_an_item_without_its_only_modality_has_the_zero_vector(self) -> None:
        """So that it is told from items that have one."""
        model = _taken_apart(self.model())
        n = self.model().ranker().n_items
        shown = torch.arange(n + 1)
        shown[3] = 0
        changes = {"image": ContentChange.absent(n), "text": ContentChange(shown)}
        view = model.ranker_with(changes)
        assert isinstance(view, VectorRanker)
        assert not view.item_vectors[3].any()
        assert view.item_vectors[4].any()

    def test_noise_follows_from_its_seed(self) -> None:
        """The same seed draws the same noise, another seed other noise."""
        model = _taken_apart(self.model())
        one, same, other = (
            _scores(model.ranker_with({"image": ContentChange(noise=0.5, seed=seed)}))
            for seed in (1, 1, 2)
        )
        assert torch.equal(one, same)
        assert not close(one, other)


def _taken_apart(model: Recommender) -> Multimodal:
    assert isinstance(model, Multimodal)
    return model


def _scores(ranker: Ranker) -> Tensor:
    rows = random_rows(5, min(4, ranker.max_len), ranker.n_items, seed=11)
    return ranker.score(ranker.encode(rows.to(ranker.device)), 1, ranker.n_items + 1).cpu()
