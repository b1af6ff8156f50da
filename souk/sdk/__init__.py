"""All that a service may import of the platform.

Everything else under `souk` may change from one version to the next; import-linter lets no service import it.
docs/sdk.md is generated from this list: `make sdk` writes it.
"""

from souk.descriptors.request_check import require_within_limits
from souk.events.consumer import Handler
from souk.events.envelope import Event
from souk.events.source import History, HistoryPage
from souk.faults import Faults
from souk.hosting.offline import ServiceFolder, offline, service_folder
from souk.http1.client import HttpClient, HttpResponse, NoAnswer, NotSent
from souk.kernel import private_files
from souk.kernel.clock import MICROSECONDS, Clock, SystemClock, to_datetime
from souk.kernel.context import CallContext, Caller, acting_as, current, use
from souk.kernel.currencies import decimals_of, format_amount
from souk.kernel.errors import (
    ConfigurationError,
    DomainError,
    InvalidArgument,
    Overloaded,
    PoisonedEvent,
    SoukError,
    StoreError,
    Unauthenticated,
    VersionConflict,
    Violation,
)
from souk.kernel.ids import new_id
from souk.kernel.key_locks import KeyLocks
from souk.kernel.paging import SHARED_LIST, PageAsked, page_of, page_size_of
from souk.kernel.state_machine import StateMachine
from souk.kernel.status_codec import decode_status
from souk.kernel.whole_numbers import whole_number
from souk.projections.follower import EventFollower
from souk.projections.generations import Generations
from souk.projections.projection import Comparison, Projection, RebuildBatch, RebuildRun
from souk.projections.rebuild import Rebuild, RebuildHeld, RebuildStep
from souk.resilience.backoff import Backoff
from souk.resilience.breaker.breaker import Breaker, BreakerSettings, Permit
from souk.rpc.call import CallFailed, failure_of
from souk.rpc.rest.transport import rest_channel
from souk.runtime.config.parsers import from_file
from souk.runtime.service import (
    Account,
    App,
    DatabaseNeeds,
    Emulator,
    Invariant,
    Recorded,
    RecordQuery,
    Records,
    Service,
    ServiceContext,
    ServiceParts,
    Setting,
    Subject,
    Subscription,
    TokenIssuer,
)
from souk.saga.definition import Refusal, Saga, SagaRef, Step, StepCall, parallel
from souk.saga.runner import SagaRunner
from souk.saga.settings import SagaSettings
from souk.saga.store import SagaProgress
from souk.saga.waiting.saga_message import MessageFate, MessageReceipt, SagaMessage
from souk.saga.waits import receive, timer
from souk.store.cache.read_cache import CacheSettings, ReadCache
from souk.store.database import Database, Row, RowChange, Transaction, Value, Work, changes_of, history_line
from souk.store.erased_subjects import ALL_ERASED, IS_NOT_ERASED, ErasedSubjects, account_erased
from souk.store.event_store import EventStore, NewEvent, RecordedEvent, decide
from souk.store.event_types import EventTypes
from souk.store.idempotency import Idempotency, KeyRecord, Scope, StoredReply, fingerprint
from souk.store.inbox import Inbox
from souk.store.outbox import Outbox
from souk.store.snapshots import Snapshots, StreamSnapshot
from souk.telemetry.logs import logger
from souk.telemetry.metrics import Collector, MeasuredAtScrape, counter
from souk.telemetry.tracing.span import Span, SpanKind
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.tracing.work import recorded
from souk.two_phase_commit.coordinator import TwoPhaseCoordinator, require_prepared_transactions
from souk.two_phase_commit.definition import AtomicAction, Branch
from souk.two_phase_commit.participant import TwoPhaseParticipant
from souk.two_phase_commit.resolver import BranchFate, TwoPhaseResolver

__all__ = [  # noqa: RUF022  # by theme, as docs/sdk.md shows them
    # A service and its app
    "Account",
    "App",
    "DatabaseNeeds",
    "Emulator",
    "Faults",
    "Handler",
    "Invariant",
    "Recorded",
    "RecordQuery",
    "Records",
    "Service",
    "ServiceContext",
    "ServiceFolder",
    "ServiceParts",
    "Setting",
    "Subject",
    "Subscription",
    "TokenIssuer",
    "from_file",
    "offline",
    "service_folder",
    # Calls: who is calling, and what came of a call
    "CallContext",
    "CallFailed",
    "rest_channel",
    "Caller",
    "acting_as",
    "current",
    "failure_of",
    "use",
    # Refusals and errors
    "ConfigurationError",
    "DomainError",
    "InvalidArgument",
    "Overloaded",
    "PoisonedEvent",
    "SoukError",
    "StoreError",
    "Unauthenticated",
    "VersionConflict",
    "Violation",
    "decode_status",
    "require_within_limits",
    # Data: the database, keys, events, caches
    "ALL_ERASED",
    "CacheSettings",
    "Database",
    "ErasedSubjects",
    "EventStore",
    "EventTypes",
    "IS_NOT_ERASED",
    "Idempotency",
    "KeyRecord",
    "NewEvent",
    "ReadCache",
    "RecordedEvent",
    "StreamSnapshot",
    "Snapshots",
    "Row",
    "RowChange",
    "Scope",
    "StoredReply",
    "Transaction",
    "Value",
    "Work",
    "account_erased",
    "changes_of",
    "decide",
    "fingerprint",
    "history_line",
    # Projections: what is made from a service's own data, and can be made anew
    "Comparison",
    "EventFollower",
    "Generations",
    "Projection",
    "Rebuild",
    "RebuildBatch",
    "RebuildHeld",
    "RebuildRun",
    "RebuildStep",
    # Events
    "Event",
    "History",
    "HistoryPage",
    "Inbox",
    "Outbox",
    # Sagas
    "MessageFate",
    "MessageReceipt",
    "Refusal",
    "Saga",
    "SagaMessage",
    "SagaProgress",
    "SagaRef",
    "SagaRunner",
    "SagaSettings",
    "Step",
    "StepCall",
    "parallel",
    "receive",
    "timer",
    # Two-phase commit, instead of a saga
    "AtomicAction",
    "Branch",
    "BranchFate",
    "TwoPhaseCoordinator",
    "TwoPhaseParticipant",
    "TwoPhaseResolver",
    "require_prepared_transactions",
    # Resilience
    "Backoff",
    "Breaker",
    "BreakerSettings",
    "Permit",
    # Time, identifiers, pages, money, states, locks, files
    "Clock",
    "KeyLocks",
    "MICROSECONDS",
    "PageAsked",
    "SHARED_LIST",
    "StateMachine",
    "SystemClock",
    "decimals_of",
    "format_amount",
    "new_id",
    "page_of",
    "page_size_of",
    "private_files",
    "to_datetime",
    "whole_number",
    # Telemetry
    "Collector",
    "MeasuredAtScrape",
    "counter",
    "logger",
    # HTTP to what is outside the system
    "HttpResponse",
    "HttpClient",
    "NoAnswer",
    "NotSent",
    "Span",
    "SpanKind",
    "Tracer",
    "recorded",
]
