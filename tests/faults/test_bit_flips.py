"""S2 and S3: a flipped bit, a cut or missing file: what is sound is delivered, what is not is put aside and told."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.messages.storage import StoreOutcome
from actors.model import End, Seq, UserName
from actors.stores.opening import DATABASE, WAL
from actors.stores.pages import PAGE
from actors.stores.sqlite import SqliteStore
from actors.testing import VirtualClock
from tests.actors.stores.build import (
    BOB,
    BOBS,
    DESK,
    PHONE,
    accounts,
    ack,
    acknowledge,
    device,
    item,
    key_of,
    register,
    stored,
)
from tests.faults.mailroom import show

FULL = os.environ.get("ANGARIUM_FAULTS") == "full"
FLIPS = 4000 if FULL else 400
SEED = int(os.environ.get("ANGARIUM_SEED", "2"))
WAITING = 120
USERS = 40


def body_of(name: str) -> bytes:
    chance = random.Random(name)
    return chance.randbytes(12_000 if chance.random() < 0.1 else chance.randrange(20, 400))


def name_of(number: int) -> str:
    return f"message-{number}"


def open_store(folder: Path) -> SqliteStore:
    held = SqliteStore(data_dir=folder, realm=None, clock=VirtualClock())
    held.open()
    return held


def fill(folder: Path) -> SqliteStore:
    """A store with mail that waits, mail that is gone, users and devices; open."""
    held = open_store(folder)
    held.commit([accounts("bob", *(f"user-{n}" for n in range(USERS)))])
    held.commit([register(device(PHONE, contact=b"sip:bob@127.0.0.1:5070"), device(DESK))])
    for n in range(USERS):
        held.commit([register(device(contact=b"sip:u@127.0.0.1"), user=UserName(f"user-{n}"))])
    for n in range(2 * WAITING):
        (result,) = stored(held, item(name_of(n), body=body_of(name_of(n))))
        if n % 2:
            held.commit([acknowledge(ack(result.seq, name_of(n), end=End.DELIVERED))])
    return held


def messages_of(held: SqliteStore) -> dict[str, bytes]:
    messages, _ = held.read_queue(BOBS, Seq(0), 10_000, 1 << 30, ())
    return {message.envelope.id: message.envelope.body for message in messages}


EXPECTED = {name_of(n): body_of(name_of(n)) for n in range(0, 2 * WAITING, 2)}


def judge(folder: Path) -> tuple[list[str], set[str]]:
    """Open a damaged folder and read all; what is wrong, and which messages are missing."""
    held = open_store(folder)
    found = messages_of(held)
    users = held.read_users(UserName(""), 1000)
    told = bool(held.open().alarms) or held.damaged() > 0
    stats = held.stats()
    held.close()
    failures = [f"{name} has a wrong body" for name, body in found.items() if EXPECTED.get(name) != body]
    missing = EXPECTED.keys() - found.keys()
    if missing and not told:
        failures.append(f"{len(missing)} messages are missing and nobody was told")
    devices = sum(len(user.devices) for user in users)
    if (len(users), devices) != (USERS + 1, USERS + 2) and not told:
        failures.append(f"{len(users)} users, {devices} devices, and nobody was told")
    if told and not stats.damaged and not list(folder.glob("*.damaged-*")):
        failures.append("nothing was put aside")
    return failures, set(missing)


def flip(path: Path, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def pages_of_messages(database: Path) -> dict[str, set[int]]:
    """In which pages each message's body stands, by its bytes."""
    data = database.read_bytes()
    pages: dict[str, set[int]] = {}
    for name, body in EXPECTED.items():
        parts = [body[at : at + 16] for at in range(0, len(body) - 15, 1000)]
        pages[name] = {data.find(part) // PAGE for part in parts}
    return pages


@pytest.mark.faults
@pytest.mark.timeout(3600 if FULL else 600)
def test_a_flipped_bit_delivers_no_wrong_body_and_hides_no_message(tmp_path: Path) -> None:
    start = time.monotonic()
    fill(tmp_path / "sound").close()
    places = pages_of_messages(tmp_path / "sound" / DATABASE)
    chance = random.Random(SEED)
    bits = 8 * (tmp_path / "sound" / DATABASE).stat().st_size
    failures: list[str] = []
    effective = lost = 0
    for number in range(FLIPS):
        folder = tmp_path / "flipped"
        shutil.copytree(tmp_path / "sound", folder)
        bit = chance.randrange(bits)
        flip(folder / DATABASE, bit)
        wrong, missing = judge(folder)
        failures += [f"flip {number} at {bit}: {text}" for text in wrong]
        others = {name for name in missing if bit // 8 // PAGE not in places[name]}
        failures += [f"flip {number} at {bit}: {name} is missing, too" for name in others]
        effective += bool(missing)
        lost += len(missing)
        shutil.rmtree(folder)
    show("S2", FLIPS, len(failures), time.monotonic() - start, SEED, effective=effective, put_aside=lost)
    assert failures == []
    assert effective > FLIPS // 20


@pytest.mark.faults
def test_the_harness_sees_bodies_without_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.stores.records.checksum", lambda head, payload: 0)
    fill(tmp_path / "sound").close()
    data = (tmp_path / "sound" / DATABASE).read_bytes()
    name, body = next(iter(EXPECTED.items()))
    flip(tmp_path / "sound" / DATABASE, 8 * data.find(body) + 3)
    failures, _ = judge(tmp_path / "sound")
    assert failures == [f"{name} has a wrong body"]


# S3: what happens to whole files. Each is given the folder of a killed node: a database, and a log with new commits.


def halve(folder: Path) -> None:
    with (folder / DATABASE).open("r+b") as file:
        file.truncate((folder / DATABASE).stat().st_size // 2)


def cut_odd(folder: Path) -> None:
    with (folder / DATABASE).open("r+b") as file:
        file.truncate((folder / DATABASE).stat().st_size - 1000)


def empty(folder: Path) -> None:
    (folder / DATABASE).write_bytes(b"")


def zero_header(folder: Path) -> None:
    with (folder / DATABASE).open("r+b") as file:
        file.write(bytes(100))


def zero_page(folder: Path) -> None:
    with (folder / DATABASE).open("r+b") as file:
        file.write(bytes(PAGE))


def zero_middle(folder: Path) -> None:
    size = (folder / DATABASE).stat().st_size
    with (folder / DATABASE).open("r+b") as file:
        file.seek(size // 2)
        file.write(bytes(size // 4))


def replace_by_text(folder: Path) -> None:
    (folder / DATABASE).write_text("this is no database\n" * 500)


def remove_database(folder: Path) -> None:
    (folder / DATABASE).unlink()


def remove_log(folder: Path) -> None:
    (folder / WAL).unlink()


def zero_log(folder: Path) -> None:
    with (folder / WAL).open("r+b") as file:
        file.write(bytes(32))


DAMAGES: list[Callable[[Path], None]] = [
    halve,
    cut_odd,
    empty,
    zero_header,
    zero_page,
    zero_middle,
    replace_by_text,
    remove_database,
    remove_log,
    zero_log,
]


CASES = [
    pytest.param(damage, log_has, id=f"{damage.__name__}-log-has-{log_has}")
    for damage in DAMAGES
    for log_has in ("all", "some", "nothing")
    if log_has != "nothing" or damage not in (remove_log, zero_log)
]


@pytest.mark.faults
@pytest.mark.parametrize(("damage", "log_has"), CASES)
def test_a_damaged_file_is_put_aside_and_what_is_left_is_saved(
    tmp_path: Path, damage: Callable[[Path], None], log_has: str
) -> None:
    start = time.monotonic()
    folder = tmp_path / "killed"
    held = fill(tmp_path / "running")
    if log_has == "some":
        held.close()
        held = open_store(tmp_path / "running")
        stored(held, *(item(f"late-{n}") for n in range(10)))
    if log_has == "nothing":
        held.close()
    shutil.copytree(tmp_path / "running", folder)
    held.close()
    damage(folder)

    held = open_store(folder)
    alarms = [alarm.name for alarm in held.open().alarms]
    found = messages_of(held)
    wrong = [name for name, body in found.items() if name in EXPECTED and EXPECTED[name] != body]
    back = [name for name in found if name not in EXPECTED and not name.startswith("late-")]
    (new,) = stored(held, item("new"))
    assert new.outcome is StoreOutcome.STORED
    assert new.seq > max((m.seq for m in held.read_queue(BOBS, Seq(0), 999, 1 << 30, ())[0][:-1]), default=0)
    if "late-1" in found:
        assert stored(held, item("again", key=key_of("late-1")))[0].outcome is StoreOutcome.KNOWN
    held.close()
    show("S3", 1, len(wrong) + len(back), time.monotonic() - start, 0, damage=damage.__name__, saved=len(found))
    assert wrong == []
    assert back == []
    late = {f"late-{n}" for n in range(10)} if log_has == "some" else set()
    # What was damaged may stand in the log as well: then nothing is missing, and there is nothing to tell.
    assert alarms == ["database-damaged"] or (not alarms and found.keys() >= EXPECTED.keys() | late)
    again = open_store(folder)
    assert again.open().alarms == ()
    assert "new" in messages_of(again)
    again.close()


@pytest.mark.faults
@pytest.mark.parametrize("damage", [zero_header, zero_page], ids=lambda damage: damage.__name__)
def test_no_mail_is_lost_with_the_header(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    fill(tmp_path).close()
    damage(tmp_path)
    held = open_store(tmp_path)
    assert messages_of(held) == EXPECTED
    user = held.read_user(BOB)
    assert user is not None
    assert {d.key for d in user.devices} == {PHONE, DESK}
    (known,) = stored(held, item("again", key=key_of(name_of(1))))
    assert (known.outcome, known.id) == (StoreOutcome.KNOWN, name_of(1))
    ended = held.find_message(known.id).ended
    assert ended is not None
    assert ended.end is End.DELIVERED
    held.close()
