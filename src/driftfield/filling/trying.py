"""Every method on the hidden cells, as many at a time as there are processors.

heaviest first, a thread each          their time is spent in linear algebra, which does not hold the interpreter; its own threads
                                       are as many as leave a processor to each, for threads that wait for each other cost
scores in the order of the methods     a method has its own seed: the numbers are those of one after the other
"""

__all__ = ["each_line_once", "processors", "side_by_side", "try_all"]

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from driftfield.errors import UserError
from driftfield.filling.methods import Method
from driftfield.filling.validation import Scores, Withheld, validate

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

HEAVY = {"kriging": 10.0, "optimal interpolation": 12.0, "dineof": 4.0, "space-time interpolation": 30.0}
"""What a method costs, roughly, where the others cost 1."""


def processors() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def side_by_side(
    task: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None = None,
    done: Callable[[int], None] = lambda k: None,
) -> list[Result]:
    """Results of a task in the order of the items, which are begun in their order.

    Arguments:
        task: Of one item; it must not change what others read.
        items: What to do it with.
        workers: Threads; one for each processor if not given.
        done: Is told which item has been finished, by the thread that called.
    """
    workers = max(1, min(workers or processors(), len(items)))
    with _threads(max(1, processors() // workers)), ThreadPoolExecutor(max_workers=workers) as pool:
        futures = {pool.submit(task, item): k for k, item in enumerate(items)}
        try:
            for future in as_completed(futures):
                future.result()
                done(futures[future])
        except BaseException:
            # what has not begun is not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """That many threads, at most, in the linear algebra of numpy and torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(count, before))
    try:
        with threadpool_limits(limits=count, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def try_all(
    methods: list[Method],
    folds: list[Withheld],
    weights: np.ndarray,
    seed: int,
    progress: Callable[[str, float], None],
    *,
    workers: int | None = None,
) -> tuple[list[Scores], dict[str, str]]:
    """Scores of all methods that can be fitted, in their order, and why the others cannot."""
    order = sorted(range(len(methods)), key=lambda k: -HEAVY.get(methods[k].label, 1.0))
    costs = [HEAVY.get(m.label, 1.0) for m in methods]
    finished: list[float] = []

    def attempt(k: int) -> Scores | str:
        try:
            return validate(methods[k], folds, weights, seed=seed)
        except UserError as error:
            return " ".join(str(error).split())

    def done(turn: int) -> None:
        finished.append(costs[order[turn]])
        progress(f"tried {methods[order[turn]].label}", 0.8 * sum(finished) / sum(costs))

    progress(f"trying {methods[order[0]].label}", 0.0)
    outcomes = dict(zip(order, side_by_side(attempt, order, workers=workers, done=done), strict=True))
    scores, failed = [], {}
    for k, method in enumerate(methods):
        outcome = outcomes[k]
        if isinstance(outcome, Scores):
            scores.append(outcome)
            continue
        failed[method.label] = outcome
        log.info("%s: not tried, %s", method.label, outcome)
    return scores, failed


@contextmanager
def each_line_once(said: set[str]) -> Iterator[None]:
    """What the climatology says of the record is said once, however many methods and folds fit it."""
    lock = threading.Lock()

    def is_new(line: logging.LogRecord) -> bool:
        text = line.getMessage()
        with lock:
            new = text not in said
            said.add(text)
        return new

    climatology = logging.getLogger("driftfield.data.climatology")
    climatology.addFilter(is_new)
    try:
        yield
    finally:
        climatology.removeFilter(is_new)
