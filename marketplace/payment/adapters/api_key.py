"""The API key of a card provider, read from a file."""

from pathlib import Path

from marketplace.payment.ports import ProviderUnavailable


class ApiKey:
    """Reads the key when it is first needed, and again after the provider refused it: it may have been replaced."""

    def __init__(self, file: str = "") -> None:
        self._file = file
        self._headers: dict[str, str] | None = None if file else {}

    def headers(self) -> dict[str, str]:
        """Returns a request's headers; none without a file. Raises ProviderUnavailable for a file without a key."""
        if self._headers is None:
            self._headers = {"Authorization": f"Bearer {self._read()}"}
        return self._headers

    def refused(self) -> None:
        """Notes that the provider refused the key, so that it is read again."""
        if self._file:
            self._headers = None

    def _read(self) -> str:
        try:
            words = Path(self._file).read_text(encoding="ascii").split()
        except (OSError, UnicodeDecodeError) as error:
            raise ProviderUnavailable(f"the API key of the card provider cannot be read: {error}") from error
        if len(words) != 1:
            raise ProviderUnavailable(f"{self._file} must hold the API key of the card provider, one word")
        return words[0]
