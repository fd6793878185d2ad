"""The errors a person may see: each is one clear line and an exit code, never a traceback.

Every package raises subclasses of `FilterdError` for what a user can put right;
anything else that escapes is a bug.
"""


class FilterdError(Exception):
    """Something the person who runs filterd can put right; its text is one line that says how."""

    exit_code = 1


class SettingsError(FilterdError):
    """A setting is unknown, of the wrong type or out of range; the text names file and key."""

    exit_code = 78  # EX_CONFIG of sysexits.h


class BundleError(FilterdError):
    """A bundle is missing, incomplete, altered, or of a format this version cannot read.

    `what` is wrong with it, without the folder's name and what to do.
    """

    exit_code = 66  # EX_NOINPUT

    def __init__(self, text: str, *, what: str = "") -> None:
        super().__init__(text)
        self.what = what or text


class StoreError(FilterdError):
    """The database cannot be opened, migrated or written."""

    exit_code = 74  # EX_IOERR


class ImpossibleError(StoreError):
    """What was asked of the store cannot be, and trying again cannot help; the text says why."""


class MessageError(FilterdError):
    """A message file cannot be read."""

    exit_code = 66  # EX_NOINPUT


class NextHopError(FilterdError):
    """The next hop cannot be reached, or its URL cannot be understood."""

    exit_code = 69  # EX_UNAVAILABLE


class ListenError(FilterdError):
    """The address to listen on is in use, not ours, or not permitted."""

    exit_code = 69  # EX_UNAVAILABLE
