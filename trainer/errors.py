"""What can go wrong in training that a person can put right: one line and an exit code each."""

from filterd.errors import FilterdError


class CorporaError(FilterdError):
    """The corpora folder is missing, empty, or holds something that cannot be read."""

    exit_code = 66  # EX_NOINPUT


class PackageError(FilterdError):
    """A package of the index cannot be fetched, or does not hold what it should."""

    exit_code = 69  # EX_UNAVAILABLE


class BaseModelError(FilterdError):
    """The base weights cannot be fetched, are not the pinned ones, or are no BERT."""

    exit_code = 69  # EX_UNAVAILABLE


class DamagedError(FilterdError):
    """A run's bundle is not, or no longer, what was made; it must not serve."""

    exit_code = 70  # EX_SOFTWARE


class TrainingError(FilterdError):
    """A run cannot go on: its work folder belongs to another run, or its result is not fit."""

    exit_code = 70  # EX_SOFTWARE
