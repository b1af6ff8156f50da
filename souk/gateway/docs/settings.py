"""What the pages can be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DocsSettings:
    """What the API's page offers besides the API: `demo_logins` are bodies of the login by the accounts' names, and
    `python_client` is the package of the generated Python client; without it the examples use httpx.
    """

    demo_logins: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    python_client: str = ""
