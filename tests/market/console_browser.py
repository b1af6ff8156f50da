"""A browser at the console: its cookies, and the proofs in the forms of its pages."""

import re

import httpx

OWN = {"sec-fetch-site": "same-origin"}
_PROOF = re.compile(r'name="proof" value="([^"]+)"')


class ConsoleBrowser:
    """Logs in at /console as a person does; cookies of loopback are sent over plain HTTP, as browsers do there."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=60)
        self.cookies: dict[str, str] = {}

    def __enter__(self) -> "ConsoleBrowser":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, **more: object) -> httpx.Response:
        """Sends a request with the cookies, and keeps those of the answer."""
        sent = {"accept": "text/html", **({} if headers is None else headers)}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.client.request(method, path, headers=sent, **more)  # type: ignore[arg-type]  # as httpx has them
        self.client.cookies.clear()
        for line in answer.headers.get_list("set-cookie"):
            name, _, rest = line.partition("=")
            value, _, attributes = rest.partition(";")
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Gets a page."""
        return self.send("GET", path, headers=dict(headers))

    def log_in(self, email: str = "admin@souk.test", password: str = "admin-password") -> httpx.Response:
        """Logs in; by default as the demo admin."""
        return self.send("POST", "/console/login", headers=OWN, data={"email": email, "password": password})

    def proof(self, page: str) -> str:
        """Gets the proof in the forms of a page."""
        found = _PROOF.search(self.get(page).text)
        assert found, f"{page} has no form"
        return found[1]

    def act(self, path: str, page: str = "", **fields: str | list[str]) -> httpx.Response:
        """Sends a form of a page, with its proof."""
        return self.send("POST", path, headers=OWN, data={"proof": self.proof(page or path), **fields})
