import pytest
from tests.tiny_checkpoints import write_tiny_bert, write_tiny_clip, write_tiny_vit

from vlmrec.testing.encoders import ImageEncoderContract, TextEncoderContract
from vlmrec.vlm.encoders import load_image_encoder, load_text_encoder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {
        "bert": str(write_tiny_bert(root / "bert")),
        "cls": str(write_tiny_bert(root / "cls", modules=True)),
        "vit": str(write_tiny_vit(root / "vit")),
        "clip": str(write_tiny_clip(root / "clip")),
    }


class TextFromFolder(TextEncoderContract):
    folder: str

    @pytest.fixture(autouse=True)
    def _take(self, folders):
        self.path = folders[self.folder]

    def make_encoder(self):
        return load_text_encoder(self.path)


class TestTinyBert(TextFromFolder):
    folder = "bert"


class TestTinyBertWithClsPooling(TextFromFolder):
    folder = "cls"


class ImageFromFolder(ImageEncoderContract):
    folder: str

    @pytest.fixture(autouse=True)
    def _take(self, folders):
        self.path = folders[self.folder]

    def make_encoder(self):
        return load_image_encoder(self.path)


class TestTinyVit(ImageFromFolder):
    folder = "vit"


class TestTinyClip(ImageFromFolder):
    folder = "clip"


class TestCompactImage(ImageEncoderContract):
    def make_encoder(self):
        return load_image_encoder("compact")


@pytest.mark.slow
class TestCompactText(TextEncoderContract):
    def make_encoder(self):
        return load_text_encoder("compact")
