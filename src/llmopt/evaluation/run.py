"""Asks a model the questions of an exam, a few at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextvars import copy_context
from queue import SimpleQueue
from time import perf_counter
from typing import Any, Final

from ..compress.notation.features import PROFILES
from ..compress.roles import Role
from ..errors import ConfigurationError
from ..types import Usage
from .exam import Answer, Exam, Job, exam_of
from .judge import is_right
from .report import Report, check_margin, report_of

__all__ = ["ask", "compress"]

_MAX_CONCURRENCY: Final = 32


def compress(
    model: Any,
    values: Sequence[Any],
    *,
    profiles: Sequence[str] = tuple(PROFILES),
    questions: int = 100,
    seed: int = 7,
    role: Role | str | None = None,
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
    exam = exam_of(values, model.model_id, profiles=profiles, count=questions, seed=seed, role=role)
    answers = tuple(ask(model, exam, concurrency=concurrency, options=options))
    return report_of(exam, answers, model.model_id, margin=margin)


def ask(
    model: Any, exam: Exam, *, concurrency: int = 4, options: Mapping[str, Any] | None = None
) -> Generator[Answer, None, None]:
    """Yield the answers of a model as they come.

    When a call fails no other is begun, those under way are waited for, and then the error is raised.

    Args:
        model: a sync llm model.
        exam: what to ask it.
        concurrency: how many calls are under way at a time, up to 32.
        options: the model's options.

    Raises:
        ConfigurationError: an argument is wrong.
        Exception: what the model raises.
    """
    _check_model(model)
    if type(concurrency) is not int or not 1 <= concurrency <= _MAX_CONCURRENCY:
        raise ConfigurationError(f"concurrency={concurrency!r}: give a number from 1 to {_MAX_CONCURRENCY}")
    return _in_threads(exam.jobs, lambda job: _answer(model, exam, job, options or {}), concurrency)


def _check_model(model: Any) -> None:
    import llm

    if not isinstance(model, (llm.Model, llm.KeyModel)):
        raise ConfigurationError(f"{model!r} is no sync llm model; get one with llm.get_model(...)")


def _answer(model: Any, exam: Exam, job: Job, options: Mapping[str, Any]) -> Answer:
    question = exam.questions[job.question]
    begun = perf_counter()
    response = model.prompt(question.text, fragments=[job.text], stream=False, **options)
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


def _in_threads(
    jobs: Iterator[Job], perform: Callable[[Job], Answer], concurrency: int
) -> Generator[Answer, None, None]:
    workers = _Workers(jobs, perform)
    try:
        yield from workers.answers(concurrency)
    finally:
        workers.stop()


class _Workers:
    """Threads that take jobs in turn. They are daemons: whoever interrupts a run does not wait for them."""

    def __init__(self, jobs: Iterator[Job], perform: Callable[[Job], Answer]) -> None:
        self._jobs = jobs
        self._perform = perform
        self._lock = threading.Lock()
        self._stopped = False
        self._done: SimpleQueue[Answer | Exception | None] = SimpleQueue()

    def answers(self, concurrency: int) -> Generator[Answer, None, None]:
        """Yield answers; raise the first error when no call is under way any more."""
        for _ in range(concurrency):
            run = copy_context().run
            threading.Thread(target=run, args=(self._work,), name="llmopt-eval", daemon=True).start()
        error: Exception | None = None
        running = concurrency
        while running:
            done = self._done.get()
            if done is None:
                running -= 1
            elif isinstance(done, Exception):
                error = error or done
            else:
                yield done
        if error is not None:
            raise error

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
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits
            self.stop()
            self._done.put(error)
        finally:
            self._done.put(None)
