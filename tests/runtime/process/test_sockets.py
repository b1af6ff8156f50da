import socket

import pytest

from souk.kernel.errors import ConfigurationError
from souk.runtime.process.sockets import listen


def test_a_port_is_never_shared() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"port {port} is taken.*--port"):
            listen("127.0.0.1", port)
        assert first.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0


def test_not_even_with_somebody_who_would_share() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigurationError, match="is taken"):
            listen("127.0.0.1", other.getsockname()[1])


def test_an_address_of_another_machine_is_said_in_one_line() -> None:
    with pytest.raises(ConfigurationError, match="SOUK_HOST"):
        listen("192.0.2.1", 0)
