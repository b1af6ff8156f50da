"""The meaning of every SQLSTATE of PostgreSQL. Total: a code that is not listed has the meaning of its class.

Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from collections.abc import Mapping

from souk.store.error_meaning import Meaning, Reuse, Server, StatementFate, undone

_AGAIN, _UNDONE, _UNSURE = StatementFate.AGAIN, StatementFate.UNDONE, StatementFate.UNSURE
_KEEP, _DISCARD, _ALL = Reuse.KEEP, Reuse.DISCARD, Reuse.DISCARD_ALL

_COLLISION = Meaning(_AGAIN, _KEEP, Server.BUSY, "other transactions keep changing the same rows")
AWAY = Meaning(_UNSURE, _DISCARD, Server.AWAY, "see that the server runs, and that the network leads to it")
_ENDING = Meaning(_UNSURE, _DISCARD, Server.AWAY, "it stops or starts; it is tried again")
READ_ONLY = Meaning(
    _UNDONE, _ALL, Server.READ_ONLY, "name the primary in SOUK_POSTGRES, or every host of its cluster: host1,host2"
)
REFUSES = Meaning(
    _UNDONE, _DISCARD, Server.REFUSES, "see user, password, certificates and pg_hba.conf; each try reads them anew"
)
_GONE = Meaning(_UNDONE, _DISCARD, Server.REFUSES, "the database is not there: create it, or restore it from a backup")
_DENIES = Meaning(_UNDONE, _KEEP, Server.DENIES, "grant it to the service's role, which should own its database")
_BROKEN_STATE = undone("the session is not in the state that it should be in", reuse=_DISCARD)
_OF_A_POOLER = undone("the session has lost its prepared statements, as behind a pooler", reuse=_DISCARD)
UNLISTED = undone("a class that is not in the documentation", reuse=_DISCARD)

CLASSES: Mapping[str, Meaning] = {
    "00": undone("success"),
    "01": undone("a warning"),
    "02": undone("no data"),
    "03": undone("the statement is not complete"),
    "08": AWAY,
    "09": undone("a trigger failed"),
    "0A": undone("the server cannot do that"),
    "0B": _BROKEN_STATE,
    "0F": undone("a locator"),
    "0L": undone("a grantor"),
    "0P": undone("a role"),
    "0Z": undone("diagnostics"),
    "10": undone("an XQuery"),
    "20": undone("no case fits"),
    "21": undone("more rows than one"),
    "22": undone("a value"),
    "23": undone("a constraint"),
    "24": undone("a cursor", reuse=_DISCARD),
    "25": _BROKEN_STATE,
    "26": _OF_A_POOLER,
    "27": undone("a trigger changed the same rows"),
    "28": REFUSES,
    "2B": undone("privileges depend on it"),
    "2D": _BROKEN_STATE,
    "2F": undone("a routine failed"),
    "34": undone("a cursor", reuse=_DISCARD),
    "38": undone("a routine failed"),
    "39": undone("a routine failed"),
    "3B": _BROKEN_STATE,
    "3D": _GONE,
    "3F": undone("a schema"),
    "40": _COLLISION,
    "42": undone("the statement"),
    "44": undone("a view's condition"),
    "53": Meaning(_UNDONE, _KEEP, Server.FULL, "give the server more of what it lacks"),
    "54": undone("the statement is too large"),
    "55": undone("an object is not in the state that it should be in"),
    "57": _ENDING,
    "58": Meaning(_UNSURE, _DISCARD, Server.AWAY, "its disk or its operating system fails: see the server's log"),
    "72": undone("a snapshot is too old"),
    "F0": Meaning(_UNSURE, _DISCARD, Server.AWAY, "its configuration cannot be read: see the server's log"),
    "HV": undone("a foreign table"),
    "P0": undone("a function failed"),
    "XX": undone("a fault of the server", reuse=_DISCARD),
}
"""The meanings of the classes, by the first two characters of the SQLSTATE."""

CODES: Mapping[str, Meaning] = {
    "25006": READ_ONLY,
    "25P03": Meaning(_UNDONE, _DISCARD, Server.BUSY, "the transaction was idle for longer than the server allows"),
    "25P04": Meaning(_UNDONE, _DISCARD, Server.BUSY, "the transaction took longer than the server allows"),
    "40002": undone("a constraint, at the commit"),
    "40003": AWAY,
    "42501": _DENIES,
    "42P05": _OF_A_POOLER,
    "53100": Meaning(_UNDONE, _KEEP, Server.FULL, "make room on its disk"),
    "53200": Meaning(_UNDONE, _DISCARD, Server.FULL, "give the server more memory"),
    "53300": Meaning(_UNDONE, _DISCARD, Server.FULL, "raise max_connections there, or lower SOUK_POSTGRES_POOL here"),
    "55006": Meaning(_UNDONE, _KEEP, Server.BUSY, "somebody else uses the object"),
    "55P03": Meaning(_UNDONE, _KEEP, Server.BUSY, "somebody else holds the lock"),
    "57014": Meaning(_UNDONE, _KEEP, Server.BUSY, "the statement was cancelled, or took longer than the server allows"),
    "57P04": _GONE,
    "XX001": Meaning(_UNDONE, _DISCARD, Server.DAMAGED, "restore it from a backup"),
    "XX002": Meaning(_UNDONE, _DISCARD, Server.DAMAGED, "its index has to be built anew: REINDEX DATABASE"),
}
"""The codes whose meaning differs from that of their class."""


def meaning_of_state(state: str) -> Meaning:
    """Returns the meaning of a SQLSTATE."""
    return CODES.get(state) or CLASSES.get(state[:2]) or UNLISTED
