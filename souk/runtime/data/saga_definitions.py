"""Compares the definitions of a service's sagas with the runs in its database, when the service starts."""

from souk.kernel.errors import ConfigurationError, StoreUnavailable
from souk.runtime.service import Service, ServiceParts
from souk.telemetry.logs import logger


async def require_compatible_sagas(service: Service, parts: ServiceParts) -> None:
    """Raises ConfigurationError, in one line, when a definition changed under its open runs."""
    if parts.sagas is None:
        return
    try:
        await parts.sagas.require_compatible()
    except ConfigurationError as error:
        raise ConfigurationError(f"{service.name}: {error}") from error
    except StoreUnavailable as error:  # such as a full disk, on which the system answers what it can
        logger("hosting").warning("definitions of sagas are not compared", service=service.name, error=str(error))
