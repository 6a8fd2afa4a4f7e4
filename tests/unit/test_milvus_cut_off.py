"""A connection that lay idle and was cut off is made anew, once."""

import pytest

pymilvus = pytest.importorskip("pymilvus")

from vlmrec.index.milvus_server import IndexServerError, connected  # noqa: E402


@pytest.mark.parametrize(
    ("said", "made"), [(["Too many pings"], 2), (["Too many pings"] * 2, 2), (["no such user"], 1)]
)
def test_a_connection_that_was_cut_off_is_made_anew_once(monkeypatch, said, made):
    asked, left = [], list(said)

    def client(**facts):
        asked.append(facts)
        if left:
            raise pymilvus.MilvusException(message=left.pop(0))
        return "a client"

    monkeypatch.setattr(pymilvus, "MilvusClient", client)
    if made > len(said):
        assert connected("http://127.0.0.1:1", "") == "a client"
    else:
        with pytest.raises(IndexServerError, match=said[-1]):
            connected("http://127.0.0.1:1", "")
    assert len(asked) == made
    assert asked[0] == asked[-1]
