import gzip
import json
from pathlib import Path

import pytest
from PIL import Image

from vlmrec.core.errors import DataError
from vlmrec.data.cleaning import CleaningOptions, clean
from vlmrec.data.sources.amazon import read_amazon
from vlmrec.data.sources.python_literals import LiteralParser
from vlmrec.data.sources.raw_tables import RawTables

T = 1_400_000_000 // 86_400 * 86_400


def packed(path: Path, lines: list[str]) -> Path:
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


def said(raw: RawTables) -> str:
    return "\n".join(f"{note.kind} {note.sentence}" for note in raw.notes)


def reviews_2014(path: Path) -> Path:
    rows = [("A1", "0000191639"), ("A2", "B1"), ("A1", "B1"), ("A3", "B9"), ("A2", "B2")]
    lines = [
        json.dumps(
            {
                "reviewerID": user,
                "asin": item,
                "helpful": [0, 1],
                "reviewText": "text \u00e9 'quoted'",
                "overall": 5.0,
                "unixReviewTime": T + k * 86_400,
                "reviewTime": "02 28, 2014",
            }
        )
        for k, (user, item) in enumerate(rows)
    ]
    return packed(path / "reviews_Toys_5.json.gz", lines)


def test_release_of_2014(tmp_path):
    no_image = "http://g-ecx.images-amazon.com/x-site/icons/no-img-sm._CB192198896_.gif"
    meta = [
        {
            "asin": "0000191639",
            "title": "Pr45&quot; Wht",
            "price": 9.5,
            "imUrl": "http://ecx.org/a%2Bb.jpg",
            "related": {"also_bought": ["B1", "B2"], "bought_together": []},
            "salesRank": {"Toys &amp; Games": 12},
            "categories": [["Toys", "Dolls"], ["Toys", "Sets"]],
        },
        {"asin": "B1", "related": {"also_viewed": ["B9"]}, "description": "It's <b>12\"</b>"},
        {"asin": "B2", "title": "x 'related': {'a': 'b'} y's", "imUrl": no_image, "brand": "Bo"},
        {"asin": "B1", "title": "again"},
        {"asin": "UNSOLD", "title": "nobody had it"},
    ]
    raw = read_amazon(
        [reviews_2014(tmp_path), packed(tmp_path / "meta_Toys.json.gz", [str(m) for m in meta])]
    )
    assert raw.interactions.rows()[0] == ("A1", "0000191639", T, 5.0)
    items = {row["item_id"]: row for row in raw.items.iter_rows(named=True)}
    assert list(items) == ["0000191639", "B1", "B2", "B9"]  # metadata, then those without
    assert items["0000191639"]["title"] == 'Pr45" Wht'
    assert items["0000191639"]["categories"] == ["Toys", "Dolls", "Sets"]
    assert items["0000191639"]["price"] == 9.5
    assert items["0000191639"]["image_url"] == "http://ecx.org/a%2Bb.jpg"  # decoded nowhere
    assert (items["B1"]["title"], items["B1"]["description"]) == (None, "It's 12\"")
    assert items["B2"]["title"] == "x 'related': {'a': 'b'} y's"
    assert items["B2"]["image_url"] is None
    assert items["B9"]["title"] is None
    for sentence in (
        "took 'reviews_Toys_5.json.gz': reviews of the release of 2014.",
        "dropped 'reviews_Toys_5.json.gz': 3 keys of a review not needed: 'helpful',",
        "took 'meta_Toys.json.gz': 3 items that were reviewed.",
        "dropped 'meta_Toys.json.gz': 1 item nobody reviewed.",
        "dropped 'meta_Toys.json.gz': 1 row whose item had one already (the first counts): 'B1'.",
        "dropped 'meta_Toys.json.gz': 1 picture that stand for none (no-img).",
        "changed 'meta_Toys.json.gz': HTML taken out of 1 text in 'title'.",
        "kept 1 item with interactions but without a row in the items: 'B9'.",
        "kept 1 reviewed item whose metadata has no title: 'B1'.",
    ):
        assert sentence in said(raw), sentence
    assert [path.name for path in raw.files] == ["reviews_Toys_5.json.gz", "meta_Toys.json.gz"]


def test_release_of_2018(tmp_path):
    def review(user: str, item: str, **more: object) -> str:
        return json.dumps(
            {"overall": 4, "verified": True, "reviewerID": user, "asin": item, **more}
        )

    log = [
        review("A1", "B1", unixReviewTime=T, vote="1,234"),
        review("A1", "B1", unixReviewTime=T, vote="1,234"),
        review("A1", "B2", unixReviewTime=T, style={"Size:": " 7 oz"}),
        review("A1", "B3", unixReviewTime=T + 5, image=["https://x.org/r.jpg"]),
    ]
    meta = [
        {
            "category": [],
            "title": " Gift &amp; Card",
            "brand": "",
            "price": "$1,250.00",
            "rank": ["a", "b"],
            "description": ["one", "<p>two</p>", ""],
            "main_cat": '<img src="x.png">',
            "details": {"\n    Product Dimensions: \n    ": "1 x 2"},
            "also_buy": ["B2"],
            "asin": "B1",
            "imageURL": ["https://x.org/a._SS40_.jpg", "https://x.org/b._SS40_.jpg"],
            "imageURLHighRes": ["https://x.org/a.jpg", "https://x.org/b.jpg"],
        },
        {"title": "var aPageStart = (new Date()).getTime();", "asin": "B2", "price": "$5 - $9"},
        {"title": 'an "asin": "B9" in words', "asin": "B3", "imageURL": [], "rank": "7 in Toys"},
    ]
    raw = read_amazon(
        [
            packed(tmp_path / "meta_Gift.json.gz", [json.dumps(m) for m in meta]),
            packed(tmp_path / "Gift.json.gz", log),
        ]
    )
    items = {row["item_id"]: row for row in raw.items.iter_rows(named=True)}
    first = items["B1"]
    assert first["title"] == "Gift & Card"
    assert (first["brand"], first["main_category"], first["categories"]) == (None, None, [])
    assert (first["price"], first["description"]) == (1250.0, "one two")
    assert first["image_url"] == "https://x.org/a.jpg"
    assert (items["B2"]["title"], items["B2"]["price"]) == (None, None)
    assert items["B3"]["title"] == 'an "asin": "B9" in words'
    assert "1 title that hold a page's script" in said(raw)
    assert "1 price that are no single price" in said(raw)
    cleaned = clean(raw, CleaningOptions())
    assert cleaned.interactions["item_id"].to_list() == ["B1", "B2", "B3"]
    assert "1 row that repeat an earlier row in all columns" in said(cleaned)


@pytest.mark.parametrize("of_lists", [False, True], ids=["list of objects", "object of lists"])
def test_release_of_2023(tmp_path, of_lists):
    log = [
        {
            "rating": 5.0,
            "asin": f"VARIANT{k}",
            "parent_asin": "P1" if k < 2 else "P2",
            "user_id": "AE1",
            "timestamp": (T + k) * 1000 + 7,
        }
        for k in range(4)
    ]
    pictures = [
        {"thumb": "https://x.org/2t.jpg", "large": "https://x.org/2.jpg", "variant": "PT01"},
        {"thumb": "https://x.org/t.jpg", "large": "https://x.org/l.jpg", "variant": "MAIN"},
    ]
    for each in pictures:
        each["hi_res"] = None
    images = {key: [each[key] for each in pictures] for key in pictures[0]}
    meta = {
        "main_category": "All Beauty",
        "title": "Cream",
        "features": ["soft"],
        "description": [],
        "price": None,
        "images": images if of_lists else pictures,
        "store": "Howard",
        "categories": [],
        "details": "{}",
        "parent_asin": "P1",
    }
    reviews = tmp_path / "All_Beauty.jsonl"
    reviews.write_text("\n".join(map(json.dumps, log)))
    raw = read_amazon([reviews, packed(tmp_path / "meta_All_Beauty.jsonl.gz", [json.dumps(meta)])])
    assert raw.interactions["item_id"].to_list() == ["P1", "P1", "P2", "P2"]
    assert raw.interactions["timestamp"].to_list() == [T, T + 1, T + 2, T + 3]
    first = raw.items.row(0, named=True)
    assert (first["brand"], first["features"], first["price"]) == ("Howard", ["soft"], None)
    assert first["image_url"] == "https://x.org/l.jpg"
    assert "release of 2023" in said(raw)


@pytest.mark.parametrize(
    "text",
    [
        f"A1ZZZZZZZZZZZ,0000191639,5.0,{T}\nA2ZZZZZZZZZZZ,B00000000A,1.0,{T + 1}\n",
        f"0000191639,A1ZZZZZZZZZZZ,5.0,{T}\nB00000000A,A2ZZZZZZZZZZZ,1.0,{T + 1}\n",
        "user_id,parent_asin,rating,timestamp,history\n"
        f"A1ZZZZZZZZZZZ,0000191639,5.0,{T}000,\nA2ZZZZZZZZZZZ,B00000000A,1.0,{T + 1}000,a b\n",
    ],
    ids=["2014", "2018, item first", "2023"],
)
def test_ratings_only(tmp_path, text):
    path = tmp_path / "ratings_Toys.csv"
    path.write_text(text)
    raw = read_amazon([path])
    assert raw.interactions.select("user_id", "item_id", "timestamp", "rating").rows() == [
        ("A1ZZZZZZZZZZZ", "0000191639", T, 5.0),
        ("A2ZZZZZZZZZZZ", "B00000000A", T + 1, 1.0),
    ]


def test_local_pictures_beat_addresses(tmp_path):
    (tmp_path / "pics").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "pics/B1.jpg")
    meta = packed(tmp_path / "meta.json.gz", [str({"asin": "B1", "imUrl": "http://x.org/a.jpg"})])
    raw = read_amazon([reviews_2014(tmp_path), meta], tmp_path / "pics")
    assert dict(raw.items.select("item_id", "image").drop_nulls().rows()) == {"B1": "B1.jpg"}


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("r.json", ['{"reviewerID": "A", "asin": "B"', "{}"], "Line 1 of '.*' is broken JSON"),
        (
            "r.json",
            ['{"reviewerID": "A", "asin": "B", "unixReviewTime": 1}', "", '{"asin": '],
            "Line 3 of '.*' is broken JSON",
        ),
        (
            "r.json",
            ['{"reviewerID": "A", "asin": "B", "unixReviewTime": 1}', '{"overall": "x"}'],
            "Line 2 of '.*' does not fit",
        ),
        (
            "r.json",
            ['{"name": "A"}'],
            "holds neither reviews nor metadata; its first line has name",
        ),
        ("meta.json", ["{'asin': 'B1'}"], "No file holds reviews or ratings: 'meta.json'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, lines, message):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=message):
        read_amazon([path])


def test_odd_metadata_costs_no_item(tmp_path):
    log = tmp_path / "r.json"
    rows = [{"reviewerID": "A", "asin": f"B{k}", "unixReviewTime": T} for k in range(5)]
    log.write_text("\n".join(map(json.dumps, rows)))
    hub = {"hi_res": ["u"], "large": [], "thumb": None}
    meta = [
        {"title": "Mug \ud83d", "asin": "B0", "images": hub, "price": 10**400},
        {"asin": "V7", "parent_asin": "B1", "title": "of a variant", "price": float("nan")},
        {"bought": [{"asin": "V8"}], "title": "sold with another", "asin": "B2"},
        {"asin": "B3", "title": "deep", "related": 5},
    ]
    deep = '{"asin": "B4", "x": ' + "[" * 100_000
    lines = [*map(json.dumps, meta), deep]
    (tmp_path / "meta.json").write_text("\ufeff" + "\n".join(lines))
    raw = read_amazon([log, tmp_path / "meta.json"], drop_invalid=True)
    titles = ["Mug \ufffd", "of a variant", "sold with another", "deep", None]
    assert raw.items["title"].to_list() == titles
    assert raw.items["image_url"][0] == "u"
    assert raw.items["price"].null_count() == 5
    assert "dropped 'meta.json': 1 line that cannot be read: '5'." in said(raw)


def test_a_key_that_cannot_be_one():
    with pytest.raises(ValueError, match="a key that cannot be one"):
        LiteralParser().parse("{'asin': 'B', ['a']: 1}")


def test_metadata_is_never_run_as_code(tmp_path):
    meta = tmp_path / "meta.json"
    meta.write_text("{'asin': 'B2'}\n{'asin': 'B1', 'title': __import__('os').getcwd()}\n")
    log = reviews_2014(tmp_path)
    with pytest.raises(DataError, match=r"Line 2 of '.*meta.json' cannot be read: malformed node"):
        read_amazon([log, meta])
    raw = read_amazon([log, meta], drop_invalid=True)
    assert "dropped 'meta.json': 1 line that cannot be read: '2'." in said(raw)


def test_cutting_unused_keys_changes_nothing_else():
    lines = [
        {"a": "x", "related": {"b": ["c"]}, "z": 1},
        {"related": {}, "a": "it's 'related': {'q': 'r'}, yes"},
        {"a": "\\'related': {'q'}", "salesRank": {"M&amp;M": 3}},
        {"a": "both \" and ' 'related': {} in it", "related": {"b": []}},
    ]
    cutting, plain = LiteralParser(("related", "salesRank")), LiteralParser()
    for each in lines:
        whole = plain.parse(str(each))
        assert whole == each
        kept = {key: value for key, value in whole.items() if key not in ("related", "salesRank")}
        assert {key: cutting.parse(str(each))[key] for key in kept} == kept
    for line, message in (("[1]", "a list, not a dict"), ("{'a': ", "character"), ("f()", "mal")):
        with pytest.raises(ValueError, match=message):
            plain.parse(line)
