"""SIPp as the crowd of senders: one scenario, one rate, and its own count of what came of it."""

from __future__ import annotations

import csv
import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

BODY_BYTES = 100
"""About this many bytes are in a body."""


class Sent(msgspec.Struct, frozen=True):
    """What SIPp counted in one run."""

    offered: int
    """Requests sent for the first time."""
    accepted: int
    """202 received."""
    refused: int
    """503 received; one without Retry-After stands among the failed too."""
    failed: int
    """Calls that ended otherwise: another answer, 503 without Retry-After, no answer."""
    retransmissions: int
    seconds: float
    """From SIPp's start to its end, its last answers included."""
    cpu: float
    """Seconds of processor time SIPp used."""


_SCENARIO = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="messages">
  <nop><action><gettimeofday assign_to="sec,usec"/></action></nop>
  <send retrans="500"><![CDATA[
MESSAGE sip:[field0]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
Max-Forwards: 70
From: <sip:{sender}@[remote_ip]>;tag=[call_number]
To: <sip:[field0]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 MESSAGE
Content-Type: text/plain
Content-Length: [len]

{run} [call_number] [$sec] [$usec] {padding}]]></send>
  <recv response="100" optional="true"/>
  <recv response="503" optional="true" next="end">
    <action>
      <ereg regexp="[0-9]+" search_in="hdr" header="Retry-After:" check_it="true" assign_to="after"/>
    </action>
  </recv>
  <recv response="202"/>
  <label id="end"/>
  <Reference variables="after"/>
</scenario>
"""


def send_messages(
    node: tuple[str, int],
    *,
    rate: int,
    count: int,
    run: str,
    users: int = 100,
    first: int = 0,
    give_up: float = 40.0,
) -> Sent:
    """Send `count` messages at `rate` a second to users u{first} and on, in turn; wait for every answer."""
    sipp = shutil.which("sipp")
    if sipp is None:
        raise RuntimeError("sipp is not installed (Debian: apt install sip-tester)")
    with tempfile.TemporaryDirectory(prefix="angarium-load-") as folder:
        place = Path(folder)
        padding = "x" * (BODY_BYTES - 45)
        (place / "s.xml").write_text(_SCENARIO.format(sender="load", run=run, padding=padding))
        names = "".join(f"u{first + number};\n" for number in range(users))
        (place / "users.csv").write_text("SEQUENTIAL\n" + names)
        command = [
            *(sipp, f"{node[0]}:{node[1]}", "-sf", "s.xml", "-inf", "users.csv", "-i", node[0], "-t", "u1"),
            *("-r", str(rate), "-m", str(count), "-l", "1000000", "-nd", "-deadcall_wait", "0", "-nostdin"),
            *(
                "-buff_size",
                str(8 << 20),
                "-max_retrans",
                "5",
                "-trace_stat",
                "-stf",
                "stat.csv",
                "-fd",
                "100",
            ),
            *("-trace_counts", "-timeout", f"{count / rate + give_up:.0f}s"),
        ]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with (place / "out").open("wb") as out:
            subprocess.run(
                command,
                cwd=place,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TERM": "dumb"},
                timeout=count / rate + give_up + 30,
                check=False,
            )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if not (place / "stat.csv").exists():
            raise RuntimeError(f"sipp did not run: {(place / 'out').read_text(errors='replace')[-1000:]}")
        return _read(place, cpu)


def _read(place: Path, cpu: float) -> Sent:
    totals = _last_row(place / "stat.csv")
    counts = _last_row(next(place.glob("*_counts.csv")))

    def total(ending: str) -> int:
        return sum(int(value) for name, value in counts.items() if name.endswith(ending))

    failed = int(totals["FailedCall(C)"])
    # A call that SIPp ended itself stands nowhere else: what was created and not finished failed too.
    failed += int(totals["TotalCallCreated"]) - failed - int(totals["SuccessfulCall(C)"])
    return Sent(
        offered=total("MESSAGE_Sent"),
        accepted=total("202_Recv"),
        refused=total("503_Recv"),
        failed=failed,
        retransmissions=int(totals["Retransmissions(C)"]),
        seconds=_seconds(totals["ElapsedTime(C)"]),
        cpu=cpu,
    )


def _last_row(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    return rows[-1]


def _seconds(text: str) -> float:
    parts = text.split(":")
    return int(parts[0]) * 3600 + int(parts[1]) * 60 + float(parts[2]) + (int(parts[3]) / 1e6 if parts[3:] else 0)
