"""What is read of an operator's rules and steps, and what is said of a mistake."""

import pytest

from souk.kernel.errors import ConfigurationError
from souk.mesh.canary.judging.rules import AbortRule, RuleLimit, parse_rule
from souk.mesh.canary.release import CanaryRelease
from souk.mesh.canary.steering.plan import CanaryPlan, checked_plan


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("failures>1%", AbortRule("failures>1%", None, 0.01, RuleLimit.SHARE)),
        ("failures > 1.5x", AbortRule("failures>1.5x", None, 1.5, RuleLimit.TIMES)),
        ("p99>1.5x", AbortRule("p99>1.5x", 0.99, 1.5, RuleLimit.TIMES)),
        (" p99>300ms ", AbortRule("p99>300ms", 0.99, 0.3, RuleLimit.SECONDS)),
        ("p99.9>2s", AbortRule("p99.9>2s", 0.999, 2.0, RuleLimit.SECONDS)),
    ],
)
def test_a_rule_is_read_as_it_is_written(text: str, rule: AbortRule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("errors>1%", "write it as failures>1%"),
        ("failures<1%", "write it as"),
        ("failures>1", "write it as"),
        ("failures>300ms", "failures are a share or a multiple"),
        ("p99>5%", "a quantile is a time or a multiple"),
        ("p10>300ms", "take p50 to p99.9"),
        ("failures>0%", "above 0% and below 100%"),
        ("failures>100%", "above 0% and below 100%"),
        ("p99>0.5x", "1x to 100x"),
        ("p99>0ms", "every call takes longer"),
    ],
)
def test_what_is_no_rule_is_answered_with_one(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_rule(text)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("text", "calls"), [("failures>1%", 100), ("failures>0.1%", 1000), ("p99.9>1.5x", 1000)])
def test_a_rule_needs_the_calls_in_which_one_is_expected_to_break_it(text: str, calls: int) -> None:
    assert parse_rule(text).least_calls == calls


@pytest.mark.parametrize("steps", [(), (0.0, 5.0), (5.0, 101.0), (5.0, 5.0), (50.0, 5.0), (float("nan"),)])
def test_steps_that_are_none_are_refused(steps: tuple[float, ...]) -> None:
    with pytest.raises(ConfigurationError, match="as in 1,5,25,50,100"):
        checked_plan(CanaryPlan(release=CanaryRelease(service="payment", version="v2"), steps=steps))


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (CanaryPlan(release=CanaryRelease(service="payment", version="../x")), "no name of a version"),
        (CanaryPlan(release=CanaryRelease(service="payment", version="v2", instances=0)), "1 to 50 instances"),
        (CanaryPlan(release=CanaryRelease(service="a", version="v2", header=("x tester", "1"))), "name of a header"),
        (CanaryPlan(release=CanaryRelease(service="a", version="v2", header=(":path", "/"))), "name of a header"),
        (CanaryPlan(release=CanaryRelease(service="a", version="v2", header=("X-Tester", "a,b"))), "mark of a tester"),
        (CanaryPlan(release=CanaryRelease(service="payment", version="v2"), every=0.0), "a step takes 1 s"),
        (CanaryPlan(release=CanaryRelease(service="payment", version="v2"), every=float("nan")), "a step takes 1 s"),
        (CanaryPlan(release=CanaryRelease(service="payment", version="v2"), rules=()), "without a rule"),
        (CanaryPlan(release=CanaryRelease(service="payment", version="v2"), least_calls=0), "one call at least"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(plan: CanaryPlan, reason: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        checked_plan(plan)
    assert reason in str(refused.value)
