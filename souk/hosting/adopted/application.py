"""Finds an ASGI application by its name, as `package.module:attribute`."""

import inspect
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import meant

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def imported(name: str, folder: Path) -> Application:
    """Imports the application `package.module:attribute`; modules are looked for in `folder` first.

    Raises ConfigurationError, in one line, for what is no ASGI 3 application.
    """
    module, _, attribute = name.partition(":")
    if (
        not module
        or not attribute
        or not all(part.isidentifier() for part in (*module.split("."), *attribute.split(".")))
    ):
        raise ConfigurationError(f"{name!r} names no application; write MODULE:NAME, as in package.module:app")
    return _checked(name, _attribute(_module(module, folder), module, attribute))


def _module(name: str, folder: Path) -> Any:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"there is no module {error.name!r}; it is looked for in {folder} and among installed packages: go to "
                "the folder that it is in, or install its package beside souk"
            ) from error
        raise _broken(name, error) from error
    except Exception as error:
        raise _broken(name, error) from error


def _broken(name: str, error: Exception) -> ConfigurationError:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return ConfigurationError(
        f"module {name!r} cannot be imported: {type(error).__name__}: {error} ({where.filename}, line {where.lineno})"
    )


def _attribute(module: Any, name: str, attribute: str) -> Any:
    try:
        return reduce(getattr, attribute.split("."), module)
    except AttributeError:
        known = [one for one, value in vars(module).items() if _is_application(value)]
        hint = meant(attribute, known) if known else ""
        raise ConfigurationError(f"module {name!r} has no {attribute!r}{hint}") from None


def _checked(name: str, found: Any) -> Application:
    if not callable(found):
        raise ConfigurationError(f"{name} is a {type(found).__name__} and no ASGI application: it cannot be called")
    if not _is_application(found):
        raise ConfigurationError(
            f"{name} is no ASGI 3 application: it is not called with `await`. A WSGI application, such as Flask's, is "
            "wrapped by asgiref.wsgi.WsgiToAsgi; a function that makes an application is called in the module"
        )
    return found  # type: ignore[no-any-return]


def _is_application(found: Any) -> bool:
    if inspect.isclass(found):
        return False
    return inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(getattr(found, "__call__", None))  # noqa: B004
