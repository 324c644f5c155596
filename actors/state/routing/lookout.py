"""The lookout: which names are searched for, for whom, and what the end of a search means.

Three want to know: messages that wait (`wanted`), those who ask (`questions`), and we ourselves, whether another node
has a name of ours (`confirmations`). There is one search a name at a time, and `searches_at_once` in all.
"""

from __future__ import annotations

from random import Random

from actors.messages.router import Claim, FindNames, Found, NameAnswer
from actors.model import NodeName, UserName
from actors.state.routing.confirming import Confirmations
from actors.state.routing.ladder import Ladder
from actors.state.routing.questions import OpenQuestions
from actors.state.routing.search import SearchEnded, Searches
from actors.state.routing.settings import SEARCH, RouterSettings
from actors.state.routing.told import Told
from actors.state.routing.wanted import Senders, WantedNames
from actors.state.routing_table import RoutingTable

QUESTIONS_A_MINUTE = 120
"""Searches caused by questions: REGISTERs of strangers cause them, so they must not be free."""
CONFIRMATIONS_AT_ONCE = 8
SHORT = 24
"""Budget of a search that looks whether one near node has a name of ours."""
ALL_AGAIN = 60.0
"""Seconds between two calls to all whose names found no room."""


class Lookout:
    """Decides about searches. Times are monotonic seconds."""

    def __init__(
        self,
        settings: RouterSettings,
        table: RoutingTable,
        ladder: Ladder,
        wanted: WantedNames,
        searches: Searches,
        random: Random,
        told: Told,
    ) -> None:
        self._settings = settings
        self._table = table
        self._ladder = ladder
        self._searches = searches
        self._told = told
        self._may_search = SEARCH in settings.rungs
        self.wanted = wanted
        self.confirmations = Confirmations(random)
        self.questions = OpenQuestions()
        self._to_ask: dict[UserName, None] = {}
        """Names of questions whose search has not begun."""
        self._strangers = Senders(QUESTIONS_A_MINUTE)
        self._running: set[UserName] = set()
        self._all_again = 0.0

    # Questions.

    def find(self, question: FindNames, now: float) -> None:
        """Answer a question at once, or keep it until a search has ended."""
        known: dict[UserName, NameAnswer] = {}
        missing: list[UserName] = []
        for name in question.names:
            answer = self._known(name, question, now)
            if answer is not None:
                known[name] = answer
            elif self._may_ask(question, now):
                missing.append(name)
            else:
                known[name] = NameAnswer(name, Found.INCOMPLETE)
        if not missing:
            self._told.answers.append((question, tuple([known[name] for name in question.names])))
            return
        self._to_ask.update(dict.fromkeys(name for name in missing if name not in self._running))
        self.questions.add(question, known, now + self._settings.search_seconds)

    def _may_ask(self, question: FindNames, now: float) -> bool:
        if not question.search or not self._may_search or self.questions.full:
            return False
        if question.elsewhere:
            return True  # an operator's, who adds users
        return self._strangers.charge(UserName(""), now) <= self._settings.search_seconds

    def _known(self, name: UserName, question: FindNames, now: float) -> NameAnswer | None:
        """Answer from what is known; a question whether anybody else has it is not answered from memory."""
        ladder = self._ladder
        if not question.elsewhere and name in self._table:
            return NameAnswer(name, Found.HERE, epoch=self._table.epoch(name))
        if not ladder.neighbours:
            return NameAnswer(name, Found.UNKNOWN)
        if question.elsewhere and question.search:
            return None
        claim = ladder.known(name, now)
        if claim is not None:
            return self._elsewhere(name, claim.home, claim.epoch, question, now)
        if ladder.unknown.holds(name, now):
            return NameAnswer(name, Found.UNKNOWN)
        if question.elsewhere:
            return None
        for home in ladder.candidates(name, now):
            answer = self._elsewhere(name, home, 0, question, now)
            if answer.next_hop:
                return answer
        return None

    def _elsewhere(self, name: UserName, home: NodeName, epoch: int, question: FindNames, now: float) -> NameAnswer:
        hop = self._ladder.towards(name, home, question.visited, now)
        return NameAnswer(name, Found.ELSEWHERE, home, hop or NodeName(""), epoch)

    # Searches.

    def work(self, now: float) -> None:
        """Begin searches whose turn it is, end questions whose time is over."""
        self._told.answers.extend(self.questions.due(now))
        if self.wanted.overflowed and now >= self._all_again:
            self._all_again = now + ALL_AGAIN
            self.wanted.overflowed = False
            self._told.again_all = True
        if not self._may_search:
            return
        while self._to_ask and self._room:
            name = next(iter(self._to_ask))
            del self._to_ask[name]
            if name in self.questions:
                self._start(name, now)
        if not self._anybody_up:
            return
        for name in self.wanted.due(now, self._room):
            self._start(name, now)
        room = min(self._room, CONFIRMATIONS_AT_ONCE)
        for name in self.confirmations.due(now, room):
            self._start(name, now)
        for name in self.confirmations.suspected(min(self._room, room)):
            if name in self._table:
                self._start(name, now, budget=SHORT)

    @property
    def _anybody_up(self) -> bool:
        """Without a link each search would end at once: thousands in one go. `link_up` gives all names their turn."""
        links = self._ladder.neighbours.values()
        return any(links) or not links

    @property
    def _room(self) -> int:
        return max(0, self._settings.searches_at_once - len(self._running))

    def _start(self, name: UserName, now: float, budget: int = 0) -> None:
        if name in self._running:
            return
        self._running.add(name)
        self._searches.start(name, now, budget or self._settings.search_budget, self._settings.search_seconds)

    def ended(self, end: SearchEnded, now: float) -> None:
        """A search ended: tell all who wanted to know."""
        name = end.name
        self._running.discard(name)
        found = Found.ELSEWHERE if end.found else Found.UNKNOWN if end.complete else Found.INCOMPLETE
        if name in self._table:
            self._ended_ours(end, now)
        elif end.found:
            self.claimed(Claim(name, end.home, end.epoch), end.neighbour, end.hops, now)
        elif end.complete and self._ladder.reachable(name, now):
            self._ladder.learned.drop(name)
            self._ladder.unknown.put(name, now + self._settings.unknown_life)
            if self.wanted.drop(name):
                self._told.tell_again((name,))
        else:
            found = Found.INCOMPLETE
            if self.wanted.failed(name, now):
                self._told.tell_again((name,))
        self._told.count(f'searches_total{{found="{"found" if end.found else found}"}}')
        self._answer(end, found, now)

    def _ended_ours(self, end: SearchEnded, now: float) -> None:
        if end.found:
            self._told.conflicts.append(Claim(end.name, end.home, end.epoch))
        self.confirmations.ended(end.name, end.found or end.complete, now)

    def _answer(self, end: SearchEnded, found: Found, now: float) -> None:
        def answer(question: FindNames) -> NameAnswer:
            if found is Found.ELSEWHERE:
                return self._elsewhere(end.name, end.home, end.epoch, question, now)
            if end.name in self._table and not question.elsewhere:
                return NameAnswer(end.name, Found.HERE, epoch=self._table.epoch(end.name))
            return NameAnswer(end.name, found)

        self._told.answers.extend(self.questions.answer(end.name, answer))

    # What becomes known otherwise.

    def claimed(self, claim: Claim, neighbour: NodeName, hops: int, now: float) -> None:
        """A claim is certain: its home said so. Messages for the name may go there."""
        if claim.home == self._settings.node:
            return
        if claim.name in self._table:
            self._told.conflicts.append(claim)
            return
        self._ladder.learned.learn(claim, neighbour, hops, now)
        self._ladder.confirmed(claim.name, claim.home)
        if self.wanted.drop(claim.name):
            self._told.tell_again((claim.name,))

    def ours(self, names: tuple[UserName, ...], fresh: bool, now: float) -> None:
        """These have their home here now."""
        for name in names:
            self._ladder.learned.drop(name)
            self._ladder.unknown.drop(name)
            if self.wanted.drop(name):
                self._told.tell_again((name,))
        if fresh and self._ladder.neighbours:
            self.confirmations.add(names, now)

    def gone(self, names: tuple[UserName, ...]) -> None:
        """These have their home here no longer."""
        for name in names:
            self.confirmations.drop(name)

    def link_up(self, now: float) -> None:
        """Whoever is behind the new link may know what was not found before."""
        self._ladder.unknown.clear()
        self.wanted.hurry(now)
        self.confirmations.hurry(now)

    def next_deadline(self) -> float | None:
        """Tell when there is work again, None for never."""
        times = [self.questions.next()]
        if self._may_search and self._room and self._anybody_up:
            times += [self.wanted.next(), self.confirmations.next()]
        if self.wanted.overflowed:
            times.append(self._all_again)
        return min((time for time in times if time is not None), default=None)

    @property
    def running(self) -> int:
        """How many searches of ours are under way."""
        return len(self._running)
