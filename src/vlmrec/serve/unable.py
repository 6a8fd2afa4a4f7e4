"""What the service cannot do now, for a reason that is not in the request."""

from vlmrec.core.errors import VlmrecError


class UnableError(VlmrecError):
    """Something of the service's own machine is in the way; the cause is for its log alone."""


def unable_to_read() -> UnableError:
    """Returns the error where words or pictures of an item cannot be read."""
    return UnableError(
        "The item cannot be taken in now: what reads words and pictures is missing, damaged or "
        "not what the run was trained with. Nothing was stored.",
        "Whoever runs the service finds the cause in its log.",
    )
