"""Asks a model the questions of an exam, a few at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import copy_context
from queue import SimpleQueue
from time import perf_counter
from typing import Any, Final

from ..compress.notation.features import PROFILES
from ..compress.roles import Role
from ..errors import ConfigurationError
from ..middleware.compress import Compress
from ..types import Usage
from ..wrapping.adapt import Wrapping
from .exam import Answer, Exam, Job, exam_of
from .judge import is_right
from .report import Report
from .scoring import check_margin, report_of

__all__ = ["Asking", "ask", "compress"]

_MAX_CONCURRENCY: Final = 32


def compress(
    model: Any,
    values: Sequence[Any],
    *,
    profiles: Sequence[str] = tuple(PROFILES),
    questions: int = 100,
    seed: int = 7,
    role: Role | str | None = None,
    legend: bool = True,
    margin: float = 0.05,
    concurrency: int = 4,
    options: Mapping[str, Any] | None = None,
) -> Report:
    """Ask a model questions about data in every encoding, and report how often it was right.

    Each question is asked about pretty JSON, compact JSON and the text of each profile; where two of these
    are the same, once for both. Wrap the model for retries, a log, or a cache that makes a second run free.

    Args:
        model: a sync llm model, wrapped or not.
        values: what to ask about: JSON as Python has it, a few values that look like those in production.
        profiles: those to be compared with JSON.
        questions: how many questions; fewer where the values do not give as many.
        seed: what they are drawn with.
        role: prunes and rounds the values first; a `Role` or the name of one.
        legend: whether the model is told how to read what it has not seen, as for `Compress`.
        margin: by how much less a profile's share of right answers may be for it to be chosen, as a fraction.
        concurrency: how many calls are under way at a time.
        options: the model's options.

    Raises:
        ConfigurationError: an argument is wrong, or there is nothing to ask about.
        EncodingError: a value is no JSON.
        Exception: what the model raises; the first failure ends it. `ask` keeps what was answered before.

    Example:
        >>> from llmopt.testing import ScriptedModel
        >>> squad = [{"id": n, "hp": n * n % 50} for n in range(8)]
        >>> report = compress(ScriptedModel(lambda prompt: "7"), [squad], questions=10)
        >>> [result.encoding for result in report.results], report.choice
        (['pretty', 'compact', 'safe', 'balanced', 'dense'], None)
    """
    _check_model(model)
    check_margin(margin)
    exam = exam_of(
        values, model.model_id, profiles=profiles, count=questions, seed=seed, role=role, legend=legend
    )
    answers = tuple(ask(model, exam, concurrency=concurrency, options=options))
    return report_of(exam, answers, model.model_id, margin=margin)


def ask(model: Any, exam: Exam, *, concurrency: int = 4, options: Mapping[str, Any] | None = None) -> Asking:
    """Return the answers of a model, an iterator of them as they come. Nothing is asked before its first.

    When a call fails no other is begun, those under way are waited for, and then the error is raised.

    Args:
        model: a sync llm model.
        exam: what to ask it.
        concurrency: how many calls are under way at a time, up to 32.
        options: the model's options.

    Raises:
        ConfigurationError: an argument is wrong.

    Example:
        >>> from llmopt.testing import ScriptedModel
        >>> exam = exam_of([[{"id": n, "hp": n * n} for n in range(5, 9)]], profiles=["safe"], count=1)
        >>> {answer.reply for answer in ask(ScriptedModel(lambda prompt: "25"), exam)}
        {'25'}
    """
    _check_model(model)
    if type(concurrency) is not int or not 1 <= concurrency <= _MAX_CONCURRENCY:
        raise ConfigurationError(f"concurrency={concurrency!r}: give a number from 1 to {_MAX_CONCURRENCY}")
    return Asking(exam.jobs, lambda job: _answer(model, exam, job, options or {}), concurrency)


def _check_model(model: Any) -> None:
    import llm

    if not isinstance(model, (llm.Model, llm.KeyModel)):
        raise ConfigurationError(f"{model!r} is no sync llm model; get one with llm.get_model(...)")
    wrapping: Wrapping | None = getattr(model, "__llmopt__", None)
    if wrapping is not None and any(isinstance(middleware, Compress) for middleware in wrapping.middlewares):
        raise ConfigurationError(
            f"{model.model_id} is wrapped with Compress, which would rewrite what it is asked: leave that out"
        )


def _answer(model: Any, exam: Exam, job: Job, options: Mapping[str, Any]) -> Answer:
    question = exam.questions[job.question]
    begun = perf_counter()
    response = model.prompt(question.text, fragments=[job.text], system=job.system, stream=False, **options)
    reply: str = response.text()
    seconds = perf_counter() - begun
    trace: Any = getattr(response, "llmopt", None)
    return Answer(
        job.question,
        job.encodings,
        reply,
        is_right(reply, question.answer),
        Usage(response.input_tokens, response.output_tokens, response.token_details),
        None if getattr(trace, "source", None) == "cache" else seconds,
    )


class Asking(Iterator[Answer]):
    """The answers of a model as they come. Whoever drops it, or calls `stop`, begins no more calls.

    After an interrupt it goes on where it was: `stop()`, and the next answers are of the calls under way.
    """

    def __init__(self, jobs: Iterator[Job], perform: Callable[[Job], Answer], concurrency: int) -> None:
        self._workers = _Workers(jobs, perform)
        self._idle = concurrency

    def __next__(self) -> Answer:
        while self._idle:
            self._idle -= 1
            self._workers.start()
        return self._workers.next()

    def __del__(self) -> None:
        self.stop()

    def stop(self) -> None:
        """Begin no more calls; the answers to those under way still come."""
        self._idle = 0
        self._workers.stop()


class _Workers:
    """Threads that take jobs in turn. They are daemons: whoever interrupts a run does not wait for them."""

    def __init__(self, jobs: Iterator[Job], perform: Callable[[Job], Answer]) -> None:
        self._jobs = jobs
        self._perform = perform
        self._lock = threading.Lock()
        self._stopped = False
        self._running = 0
        self._error: BaseException | None = None
        self._done: SimpleQueue[Answer | BaseException | None] = SimpleQueue()

    def start(self) -> None:
        """Begin one more, in the context of the caller."""
        run = copy_context().run
        threading.Thread(target=run, args=(self._work,), name="llmopt-eval", daemon=True).start()
        self._running += 1

    def next(self) -> Answer:
        """Return the next answer; raise the first error when no call is under way any more."""
        while self._running:
            done = self._done.get()
            if done is None:
                self._running -= 1
            elif isinstance(done, BaseException):
                self._error = self._error or done
            else:
                return done
        error, self._error = self._error, None
        raise error or StopIteration

    def stop(self) -> None:
        """Begin nothing any more."""
        with self._lock:
            self._stopped = True

    def _next(self) -> Job | None:
        with self._lock:
            return None if self._stopped else next(self._jobs, None)

    def _work(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._done.put(self._perform(job))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self.stop()
            self._done.put(error)
        finally:
            self._done.put(None)
