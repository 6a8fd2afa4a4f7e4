"""Tuning that is killed goes on with the same trials, each counted once."""

import pytest
from tests.tuned_toys import COUNTED, HEAD, HOPELESS, LEARNED, PowerCutError, Study, facts

from vlmrec.data.batches import NextItemBatches
from vlmrec.data.synthetic import order_world
from vlmrec.pipeline import tuning
from vlmrec.pipeline.study_file import open_study_file
from vlmrec.testing.worlds import world_split
from vlmrec.train.checkpoint import Checkpoints


@pytest.fixture(scope="module")
def split():
    return world_split(order_world(n_items=20, n_users=40))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, split):
    study = Study(tmp_path_factory.mktemp("finished"), HEAD + COUNTED + LEARNED, split)
    return study, study.run()


@pytest.mark.parametrize("at", [3, 12, 17, 27, 31])
def test_a_killed_tuning_goes_on_with_the_same_trials(tmp_path, monkeypatch, finished, split, at):
    study = Study(tmp_path, HEAD + COUNTED + LEARNED, split)
    build, built = NextItemBatches.build, []

    def counting(self, window, epoch, step):
        built.append(step)
        if len(built) == at:
            raise PowerCutError
        return build(self, window, epoch, step)

    monkeypatch.setattr(NextItemBatches, "build", counting)
    with pytest.raises(PowerCutError):
        study.run()
    assert facts(study.run()) == facts(finished[1])
    steps = 5  # of an epoch; at most one of them is done twice
    assert len(built) <= 4 * 2 * steps + steps
    built.clear()
    monkeypatch.setattr(tuning, "run_trial", None)  # all is finished: nothing is trained
    assert facts(study.run()) == facts(finished[1])
    assert not built


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_around_the_telling_counts_a_trial_once(tmp_path, monkeypatch, split, before):
    undisturbed = Study(tmp_path, HEAD + COUNTED, split).run()
    (tmp_path / "again").mkdir()
    study = Study(tmp_path / "again", HEAD + COUNTED, split)
    tell, told = tuning._RowStudy._tell, []

    def cut(self, number, record):
        told.append(number)
        if len(told) == 2:
            if not before:
                tell(self, number, record)
            raise PowerCutError
        tell(self, number, record)

    monkeypatch.setattr(tuning._RowStudy, "_tell", cut)
    with pytest.raises(PowerCutError):
        study.run()
    journal = study.out / "space" / "study.log"
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 4, "work')  # torn by the kill
    assert facts(study.run()) == facts(undisturbed)
    with open_study_file(journal) as storage:  # none of them is open for ever
        (one,) = storage.get_all_studies()
        states = [trial.state.name for trial in storage.get_all_trials(one._study_id)]
    assert states == ["COMPLETE"] * 3


def test_a_kill_after_the_decision_to_prune(tmp_path, split, monkeypatch):
    text = HEAD.replace("{trials: 3, startup: 1, warmup: 1}", "{trials: 2, startup: 1, warmup: 0}")
    study = Study(tmp_path, text + HOPELESS, split)
    with monkeypatch.context() as patch:
        patch.setattr(tuning, "forget", lambda folder: (_ for _ in ()).throw(PowerCutError))
        with pytest.raises(PowerCutError):
            study.run()
    monkeypatch.setattr(tuning, "run_trial", None)  # it is known already
    pruned = study.run().rows[0].trials[1]
    assert pruned.outcome == "pruned"
    assert (pruned.result.metric, pruned.result.epochs) == ("NDCG@10", 1)
    assert pruned.result.value > 0


def test_an_epoch_that_was_logged_but_not_saved_is_reported_once(tmp_path, split, monkeypatch):
    study = Study(tmp_path, HEAD + HOPELESS, split)
    save = Checkpoints.save

    def cut(self, model, optimizer, progress, best):
        if progress.epoch == 2:
            raise PowerCutError
        save(self, model, optimizer, progress, best)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", cut)
        with pytest.raises(PowerCutError):
            study.run()
    first = study.run().rows[0].trials[0]  # a second report would be a warning, here an error
    assert (first.outcome, first.result.epochs) == ("done", 3)
