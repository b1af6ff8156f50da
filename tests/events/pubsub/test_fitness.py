"""Whether a broker gives what the contracts of events need."""

from dataclasses import replace

import pytest
from shop.payment.v1.payment_pb2 import PaymentRefunded

from souk.descriptors.event_contract import event_of
from souk.events.broker import Guarantees
from souk.events.brokers.kafka.guarantees import TopicFacts, guarantees_of
from souk.events.pubsub.fitness import unfit_for

DAY = 86_400.0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (Guarantees(), ""),
        (Guarantees(keeps=7 * DAY), ""),
        (
            Guarantees(keeps=2 * DAY),
            "shop.payment.v1.PaymentRefunded is of use for 7 d, as its contract says, and this broker keeps an event "
            "that a consumer has not handled for 2 d",
        ),
        (Guarantees(durable="no disk"), "no disk"),
        (Guarantees(ordered="no order"), "no order"),
    ],
)
def test_an_event_needs_a_broker_that_keeps_it_for_as_long_as_its_contract_says(given: Guarantees, says: str) -> None:
    event = event_of(PaymentRefunded.DESCRIPTOR)
    assert event is not None
    assert unfit_for([event], given) == says
    assert unfit_for([], given) == (given.unfit)
    assert unfit_for([replace(event, retention=30 * DAY)], replace(given, keeps=14 * DAY))


def test_a_topic_of_kafka_that_deletes_by_age_keeps_events_for_that_long() -> None:
    def facts(age: str) -> TopicFacts:
        return TopicFacts("souk.order", 3, {"retention.ms": age, "min.insync.replicas": "2"})

    assert guarantees_of([facts("-1"), facts("172800000")]).keeps == 2 * DAY
    assert guarantees_of([facts("-1")]).keeps == float("inf")
