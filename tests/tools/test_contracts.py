"""`make proto` changes the generated code as a whole or not at all; a change that breaks a caller is refused."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONG_ENOUGH = 60.0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what `make proto` needs."""
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("contracts", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    return tmp_path


def command(tree: Path) -> list[str]:
    return [sys.executable, str(tree / "tools" / "contracts.py"), "generate"]


def objections(tree: Path) -> str:
    """What buf objects to, a line each; without what differs from the generated code."""
    tool = [sys.executable, str(tree / "tools" / "contracts.py"), "check"]
    done = subprocess.run(tool, text=True, capture_output=True, check=False, timeout=LONG_ENOUGH)
    lines = (done.stdout + done.stderr).splitlines()
    return "\n".join(line for line in lines if not line.startswith("generated code differs"))


def content(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_typo_is_named_by_file_and_line_and_changes_nothing(tree: Path) -> None:
    proto = tree / "contracts" / "shop" / "order" / "v1" / "order.proto"
    lines = proto.read_text().splitlines()
    number = next(index for index, line in enumerate(lines) if line.startswith("message "))
    lines[number] = lines[number].replace("message", "massage")
    proto.write_text("\n".join(lines) + "\n")
    before = content(tree / "contracts")

    done = subprocess.run(command(tree), text=True, capture_output=True, check=False, timeout=LONG_ENOUGH)

    assert done.returncode == 1
    assert done.stderr.startswith(f"contracts/shop/order/v1/order.proto:{number + 1}:1: ")
    assert "Traceback" not in done.stderr
    assert all(".proto:" in line for line in done.stderr.splitlines())
    assert content(tree / "contracts") == before


def test_ctrl_c_in_the_middle_changes_nothing(tree: Path) -> None:
    pipe = tree / "contracts" / "shop" / "order" / "v1" / "pipe.proto"
    before = content(tree / "contracts")
    os.mkfifo(pipe)
    with subprocess.Popen(command(tree), stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        wait_for_a_reader(pipe)  # protoc is now in the middle of its work, and stays there
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=LONG_ENOUGH)
    pipe.unlink()

    assert process.returncode == 130
    assert said.strip() == "stopped; contracts/gen is as it was"
    assert content(tree / "contracts") == before


def wait_for_a_reader(pipe: Path) -> None:
    end = time.monotonic() + LONG_ENOUGH
    while time.monotonic() < end:
        try:
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # ENXIO: there is no reader yet
            time.sleep(0.02)
        else:
            return
    raise AssertionError("nobody reads the pipe")


def test_what_went_well_replaces_the_whole_tree(tree: Path) -> None:
    generated = tree / "contracts" / "gen"
    stale = generated / "shop" / "gone" / "v1" / "gone_pb2.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    (generated / "shop" / "order" / "v1" / "order_pb2.py").unlink()
    (tree / "contracts" / ".gen-left-by-a-kill").mkdir()

    done = subprocess.run(command(tree), text=True, capture_output=True, check=False, timeout=LONG_ENOUGH)

    assert (done.returncode, done.stderr) == (0, "")
    assert not stale.exists()
    assert content(generated) == {
        name: text for name, text in content(ROOT / "contracts" / "gen").items() if "__pycache__" not in name
    }
    assert sorted(path.name for path in (tree / "contracts").glob(".gen-*")) == []


# What would break a caller, in each of the three files of Order's contract: before, after, and what buf says of it.
BREAKS = {
    "order.proto": (
        ("rpc GetOrder(GetOrderRequest) returns (Order)", "rpc GetOrder(GetOrderRequest) returns (OrderItem)"),
        ("string idempotency_key = 4", "string idempotency_key = 5"),
    ),
    "order_messages.proto": (
        ("int64 total = 4", "int64 sum = 4"),
        ("int64 refunded_total = 9", "int32 refunded_total = 9"),
        ("optional bool retryable = 13", "bool retryable = 13"),
        ("ORDER_STATUS_SHIPPED = 6", "ORDER_STATUS_SENT = 6"),
        ("int64 available = 2", 'int64 available = 2 [json_name = "left"]'),
    ),
    "order_events.proto": (
        ("message OrderDelivered", "message OrderArrived"),
        ("string reason = 3", "int32 reason = 3"),
    ),
}
OBJECTIONS = (
    'RPC "GetOrder" on service "OrderService" changed response type',
    'field "4" with name "idempotency_key" on message "PlaceOrderRequest" was deleted',
    'Field "4" on message "Order" changed name from "total" to "sum"',
    'Field "9" with name "refunded_total" on message "Order" changed type',
    'Field "13" with name "retryable" on message "Order" changed cardinality',
    'Enum value "6" on enum "OrderStatus" changed name from "ORDER_STATUS_SHIPPED" to "ORDER_STATUS_SENT"',
    'changed option "json_name" from "available" to "left"',
    'message "OrderDelivered" was deleted from package',
    'Field "3" with name "reason" on message "OrderRejected" changed type',
)


def test_a_change_that_breaks_a_caller_is_refused_in_every_file_of_a_package(tree: Path) -> None:
    folder = tree / "contracts" / "shop" / "order" / "v1"
    for name, changes in BREAKS.items():
        text = (folder / name).read_text()
        for before, after in changes:
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        (folder / name).write_text(text)
    found = objections(tree)
    assert [each for each in OBJECTIONS if each.lower() not in found.lower()] == [], found


def test_a_message_may_move_to_another_file_of_its_package_and_to_no_other_package(tree: Path) -> None:
    order, user = (tree / "contracts" / "shop" / name / "v1" for name in ("order", "user"))
    text = (order / "order_messages.proto").read_text()
    start = text.index("// Detail of PAYMENT_DECLINED.")
    moved = text[start : text.index("}\n", start) + 2]
    (order / "order_messages.proto").write_text(text.replace(moved, "").rstrip() + "\n")
    with (order / "order.proto").open("a") as file:
        file.write("\n" + moved)
    assert objections(tree) == ""

    text = (order / "order.proto").read_text()
    (order / "order.proto").write_text(text.replace(moved, ""))
    (user / "decline.proto").write_text(f'syntax = "proto3";\n\n// Moved.\npackage shop.user.v1;\n\n{moved}')
    assert 'message "DeclineInfo" was deleted from package "shop.order.v1"' in objections(tree)
