"""`vlmrec recommend --batch`: lists for everybody in a file."""

import json

import polars as pl
import pytest

from vlmrec.models import SASRec
from vlmrec.pipeline import people
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.recommending import recommend
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions

PEOPLE = {"ann": ["i03", "i11"], "bob": ["i07"], "cyd": ["i20", "i03", "i01"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    split = small_dataset().leave_one_out()
    fit(SASRec(dim=8), split, folder, options=TrainOptions(epochs=1), test=False, quiet=True)
    return folder


def events(order=(0, 1, 2, 3, 4, 5)):
    rows = [
        (user, item, 100 + place)
        for user, items in PEOPLE.items()
        for place, item in enumerate(items)
    ]
    return pl.DataFrame(
        [rows[place] for place in order], schema=["user", "itemId", "timestamp"], orient="row"
    )


def write(table, path):
    kinds = {".csv": table.write_csv, ".parquet": table.write_parquet, ".jsonl": table.write_ndjson}
    kinds[path.suffix](path)
    return path


FORMS = [
    (form, ending)
    for form in ("rows", "shuffled", "lists", "texts")
    for ending in (".csv", ".parquet", ".jsonl")
    if (form, ending) != ("lists", ".csv")  # which has no lists
]


@pytest.mark.parametrize(("form", "ending"), FORMS)
def test_lists_are_those_of_recommend(run, run_vlmrec, tmp_path, monkeypatch, form, ending):
    monkeypatch.setattr(people, "_AT_A_TIME", 2)
    whole = pl.DataFrame({"user_id": list(PEOPLE), "history": list(PEOPLE.values())})
    table = {
        "rows": events(),
        "shuffled": events((5, 1, 3, 0, 4, 2)),
        "lists": whole,
        "texts": whole.with_columns(pl.col("history").list.join(", ")),
    }[form]
    out = tmp_path / "lists.parquet"
    done = run_vlmrec("recommend", run, "--batch", write(table, tmp_path / f"x{ending}"),
                      "--out", out, "-k", 4)  # fmt: skip
    assert done.code == 0, done.err
    assert "lists of 4 for 3 of 3 people" in done.out
    found = pl.read_parquet(out).sort("user_id", "rank")
    expected = recommend(run, histories=PEOPLE, k=4).sort("user_id", "rank")
    assert found.drop("score").equals(expected.drop("score"))
    assert found["score"].to_list() == pytest.approx(expected["score"].to_list(), abs=1e-5)


def test_what_is_not_known_is_passed_over_and_counted(run, run_vlmrec, tmp_path):
    table = pl.DataFrame(
        {"user_id": ["ann", "ann", "bob"], "item_id": ["i03", "nope", "zz"], "timestamp": [1, 2, 3]}
    )
    out, file = tmp_path / "lists.parquet", write(table, tmp_path / "x.csv")
    done = run_vlmrec("recommend", run, "--batch", file, "--out", out, "--json")
    assert json.loads(done.out) == {"out": str(out), "people": 2, "answered": 1, "unknown": 2}
    assert set(pl.read_parquet(out)["user_id"]) == {"ann"}
    told = run_vlmrec("recommend", run, "--batch", file, "--out", out).out
    assert "2 events were with items that the run does not know" in told
    assert "1 people have no item that it knows" in told


def test_everybody_of_a_dataset(run, run_vlmrec, tmp_path):
    dataset = small_dataset()
    dataset.save(tmp_path / "data")
    out = tmp_path / "lists.parquet"
    done = run_vlmrec("recommend", run, "--batch", tmp_path / "data", "--out", out, "-k", 3)
    assert done.code == 0, done.err
    found = pl.read_parquet(out)
    events, names = dataset.sequences, dataset.items.names
    for user, name in enumerate(dataset.users.names):
        rows = events.items[events.offsets[user] : events.offsets[user + 1]]
        expected = recommend(run, names.gather(rows.astype(int) - 1).to_list(), k=3)
        assert found.filter(user_id=name)["item_id"].equals(expected["item_id"])


def test_nobody_known_gives_an_empty_table(run, run_vlmrec, tmp_path):
    file = write(pl.DataFrame({"user_id": ["a"], "item_id": ["nope"]}), tmp_path / "x.csv")
    out = tmp_path / "lists.parquet"
    assert run_vlmrec("recommend", run, "--batch", file, "--out", out).code == 0
    assert pl.read_parquet(out).columns == ["user_id", "item_id", "score", "rank", "title"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "Give either --history (one person) or --batch"),
        (["--history", "i03", "--batch", "FILE"], "Give either --history"),
        (["--history", "i03", "--out", "x.parquet"], "--out belongs to --batch"),
        (["--batch", "FILE"], "--batch writes a Parquet file. Name it with --out"),
        (["--batch", "FILE", "--out", "x.csv"], "--batch writes a Parquet file"),
        (["--batch", "nowhere.csv", "--out", "x.parquet"], "nowhere.csv"),
        (["--batch", "NOITEM", "--out", "x.parquet"], "item"),
        (["--batch", "TWICE", "--out", "x.parquet"], "'ann' has more than one row"),
        (["--batch", "FILE", "--out", "x.parquet", "-k", "0"], "k was given as 0"),
    ],
)
def test_wrong_input_is_said(run, run_vlmrec, tmp_path, monkeypatch, given, told):
    monkeypatch.chdir(tmp_path)
    files = {
        "FILE": events(),
        "NOITEM": events().select("user", "timestamp"),
        "TWICE": pl.DataFrame({"user_id": ["ann", "ann"], "history": ["i03", "i07"]}),
    }
    for name, table in files.items():
        write(table, tmp_path / f"{name}.csv")
    arguments = [f"{one}.csv" if one in files else one for one in given]
    done = run_vlmrec("recommend", run, *arguments)
    assert done.code == 2
    assert told in " ".join(done.err.split())
    assert not (tmp_path / "x.parquet").exists()
