"""How often Hypothesis tries a property: a fifth of its examples in `make test`, all of them in `make test-full`.

`make test-full` runs every test that Hypothesis marks, once more, with the profile "thorough". A test that
calls Hypothesis itself carries `pytest.mark.hypothesis`.
"""

from hypothesis import settings

QUICK, THOROUGH = "quick", "thorough"
_DEFAULT = 100
_FEWEST = 10


def examples(thorough: int) -> int:
    """Gives the `max_examples` of a property that `make test-full` tries so often."""
    if settings.get_current_profile_name() == THOROUGH:
        return thorough
    return max(thorough // 5, min(thorough, _FEWEST))


def register_profiles() -> None:
    """Makes "quick" the default profile, unless the command line names one."""
    settings.register_profile(THOROUGH, max_examples=_DEFAULT, deadline=None)
    settings.register_profile(QUICK, max_examples=_DEFAULT // 5, deadline=None)
    settings.load_profile(QUICK)
