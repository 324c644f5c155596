"""Questions about names that wait for the end of a search."""

from __future__ import annotations

from collections.abc import Callable

from actors.messages.router import FindNames, Found, NameAnswer
from actors.model import UserName
from actors.state.timers import Deadlines

LIMIT = 10_000
"""Questions that wait at most; others are answered at once by what is known."""
Answered = tuple[FindNames, tuple[NameAnswer, ...]]


class OpenQuestions:
    """Each question is answered as a whole: when its last name has an answer, or at its deadline."""

    def __init__(self) -> None:
        self._questions: dict[int, tuple[FindNames, dict[UserName, NameAnswer]]] = {}
        self._asking: dict[UserName, set[int]] = {}
        self._deadlines = Deadlines[int]()
        self._last = 0

    @property
    def full(self) -> bool:
        """Tell whether no other question may wait."""
        return len(self._questions) >= LIMIT

    def add(self, question: FindNames, known: dict[UserName, NameAnswer], deadline: float) -> None:
        """Keep a question; the names that have no answer yet are waited for."""
        self._last += 1
        self._questions[self._last] = (question, known)
        for name in question.names:
            if name not in known:
                self._asking.setdefault(name, set()).add(self._last)
        self._deadlines.set(self._last, deadline)

    def answer(self, name: UserName, answer: Callable[[FindNames], NameAnswer]) -> list[Answered]:
        """A search for a name ended; gives the questions that are answered by it as a whole."""
        done: list[Answered] = []
        for number in sorted(self._asking.pop(name, ())):
            question, known = self._questions[number]
            known[name] = answer(question)
            if all(asked in known for asked in question.names):
                self._deadlines.drop(number)
                done.append(self._finish(number))
        return done

    def due(self, now: float) -> list[Answered]:
        """Give the questions whose time is over: what is still missing is `INCOMPLETE`."""
        return [self._finish(number) for number in self._deadlines.due(now)]

    def _finish(self, number: int) -> Answered:
        question, known = self._questions.pop(number)
        for name in question.names:
            asking = self._asking.get(name)
            if asking is not None:
                asking.discard(number)
                if not asking:
                    del self._asking[name]
        missing = Found.INCOMPLETE
        return question, tuple([known.get(name) or NameAnswer(name, missing) for name in question.names])

    def names(self) -> list[UserName]:
        """List the names that are waited for."""
        return list(self._asking)

    def next(self) -> float | None:
        """Tell when the next question's time is over."""
        return self._deadlines.next()

    def __contains__(self, name: UserName) -> bool:
        return name in self._asking

    def __len__(self) -> int:
        return len(self._questions)
