"""Who may send and register here, and the envelope a MESSAGE becomes (PROTOCOL 1 to 3, 6)."""

from __future__ import annotations

from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from actors.messages.requests import Answer, Challenge, DigestResponse, Submission
from actors.model import POSTMASTER, Envelope, Flow, Header, Proof, TransactionKey, UserName
from actors.state.client_registry import ClientRegistry
from actors.state.digest import NonceBook, NonceVerdict, ha1, proves
from actors.state.ids import CallIdMemory, IdMint, client_id_key, ingress_key
from actors.state.outbox import Candidate

DATE_TOLERANCE = 300.0
"""A sender's Date counts only within this many seconds of our clock (PROTOCOL 15)."""


class Rules:
    """What this node asks of its clients."""

    def __init__(self, *, realm: str, open_mode: bool, algorithms: tuple[str, ...] = ("MD5",), life: float = 432_000.0):
        self.realm = realm
        self.open_mode = open_mode
        self.algorithms = algorithms
        self.life = life


class Admission:
    """Judges requests. Stateless but for nonces, ids and Call-IDs seen; `now` is monotonic, `wall` for display."""

    def __init__(self, registry: ClientRegistry, rules: Rules, nonces: NonceBook, mint: IdMint) -> None:
        self._registry = registry
        self._rules = rules
        self._nonces = nonces
        self._mint = mint
        self._call_ids = CallIdMemory()

    def authenticate(
        self, user: UserName, credentials: DigestResponse | None, flow: Flow, now: float, token: bytes = b""
    ) -> Proof | NonceVerdict | tuple[int, str]:
        """Prove that a request comes from `user`.

        Answers a `Proof`; `NonceVerdict.STALE` if only the nonce is wrong; or the status and reason to refuse with
        (401: challenge). Unknown users and wrong passwords are indistinguishable from outside. `token` is the edge's
        name for a flow over other servers.
        """
        record = self._registry.get(user)
        account = record.account if record else None
        if self._rules.open_mode and (account is None or not account.has_password):
            return Proof.FLOW if self._registry.is_bound(user, flow, token) else Proof.OPEN
        if credentials is None or credentials.realm != self._rules.realm:
            return 401, "Who are you?"
        if credentials.algorithm not in self._rules.algorithms:
            return 401, "Another digest algorithm is asked for"
        secret = ""
        if account is not None:
            secret = account.ha1_sha256 if credentials.algorithm == "SHA-256" else account.ha1_md5
        known = bool(secret) and credentials.username == user
        # The arithmetic is done for unknown users too: time must not tell them apart.
        right = proves(credentials, secret or ha1(credentials.algorithm, user, self._rules.realm, "")) and known
        fresh = self._nonces.judge(credentials.nonce, flow.host, now) is NonceVerdict.FRESH
        if not right:
            return (403, "Wrong user name or password") if fresh else (401, "Who are you?")
        return Proof.DIGEST if fresh else NonceVerdict.STALE

    def spend(self, credentials: DigestResponse | None, now: float) -> bool:
        """Use up the count of a nonce, last of all checks; False: it was used before (PROTOCOL 1)."""
        if credentials is None:
            return True
        return self._nonces.use(credentials.nonce, credentials.nc, now) is NonceVerdict.FRESH

    def challenge(
        self, transaction: TransactionKey, flow: Flow, now: float, *, stale: bool, reason: str = ""
    ) -> Answer:
        """Ask for a digest."""
        nonce = self._nonces.make(flow.host, now)
        challenge = Challenge(realm=self._rules.realm, nonce=nonce, stale=stale, algorithms=self._rules.algorithms)
        return Answer(transaction=transaction, status=401, reason=reason, challenge=challenge)

    def candidate(self, request: Submission, proof: Proof, wall: float) -> Candidate:
        """Make the envelope and ingress key of an authenticated request."""
        sender, recipient = request.sender, request.recipient
        proved = proof is Proof.DIGEST or (proof is Proof.PEER and request.credentials is not None)
        if request.client_id and proved:
            key = client_id_key(sender, recipient, request.client_id)
        else:
            who = sender if proved else f"{sender}\0{request.flow.host}:{request.flow.port}"
            key = ingress_key(who, recipient, request.call_id, request.from_tag, request.cseq, request.body)
        message = self._mint.mint(wall)
        envelope = Envelope(
            id=message,
            sender=sender,
            recipient=recipient,
            call_id=self._call_ids.outgoing(sender, recipient, request.call_id, message),
            headers=_dated(request.headers, wall),
            body=request.body,
            accepted=wall,
            proof=proof,
            display=request.display,
        )
        life = self._rules.life if request.life is None else min(request.life, self._rules.life)
        return Candidate(submission=request, key=key, envelope=envelope, life=life)

    def may_send_as(self, request: Submission) -> bool:
        """Tell whether From names somebody of this network: another host's alice must not look like ours."""
        return request.sender_is_ours and request.sender != POSTMASTER


@lru_cache(maxsize=8)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


def _dated(headers: tuple[Header, ...], wall: float) -> tuple[Header, ...]:
    """Add a Date, or replace one that is not near our clock: a stored message tells when it was sent (RFC 3428 4)."""
    for place, (name, value) in enumerate(headers):
        if name == b"Date":
            if _is_near(value, wall):
                return headers
            return (*headers[:place], (b"Date", _date(int(wall))), *headers[place + 1 :])
    return (*headers, (b"Date", _date(int(wall))))


def _is_near(value: bytes, wall: float) -> bool:
    try:
        date = parsedate_to_datetime(value.decode("ascii"))
        return abs(date.timestamp() - wall) <= DATE_TOLERANCE
    except (ValueError, TypeError, UnicodeDecodeError, OverflowError):
        return False
