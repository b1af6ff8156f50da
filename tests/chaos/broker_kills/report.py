"""What a run with one broker gave."""

from dataclasses import dataclass, field

HEAD = (
    "| broker | orders confirmed | kills (away for) | mails: missing, repeated | index updates: missing "
    "| places in the revenue: missing | last mail, index update, place after the last order | violations |\n"
    "|---|---|---|---|---|---|---|---|"
)


@dataclass
class Followed:
    """What had to follow from each order or change: how much did, and what did not. `after` is the seconds from the
    last order to the last of it."""

    came: int = 0
    missing: list[str] = field(default_factory=list)
    after: float = 0.0


@dataclass
class KillReport:
    """Times are in seconds. `mails` counts distinct Message-IDs about confirmed orders, `index` changed products whose
    document is as the database has them, and `revenue` confirmed orders with one place in Analytics' figures."""

    broker: str
    orders: int
    confirmed: int = 0
    changed: int = 0
    took: float = 0.0
    outages: list[float] = field(default_factory=list)
    mails: Followed = field(default_factory=Followed)
    index: Followed = field(default_factory=Followed)
    revenue: Followed = field(default_factory=Followed)
    repeats: int = 0
    violations: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether nothing is missing and nothing is wrong."""
        numbers = (self.confirmed, self.changed, self.mails.came, self.index.came, self.revenue.came)
        return set(numbers) == {self.orders} and not self.wrong

    @property
    def wrong(self) -> list[str]:
        """What is missing, and what is wrong, each in a line."""
        followed = {"mail": self.mails, "index update": self.index, "place in the revenue": self.revenue}
        missing = [f"no {what} of {one}" for what, found in followed.items() for one in found.missing]
        return [*missing, *self.violations]

    def line(self) -> str:
        """Gives the report as a row of the table in docs/reliability.md."""
        away = ", ".join(f"{one:.1f} s" for one in self.outages)
        after = ", ".join(f"{one.after:.1f} s" for one in (self.mails, self.index, self.revenue))
        return (
            f"| {self.broker} | {self.confirmed:,} in {self.took:.0f} s | {len(self.outages)} ({away}) "
            f"| {self.mails.came:,}: {len(self.mails.missing)}, {self.repeats} "
            f"| {self.index.came:,}: {len(self.index.missing)} | {self.revenue.came:,}: {len(self.revenue.missing)} "
            f"| {after} | {len(self.violations)} |"
        )
