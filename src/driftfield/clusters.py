"""Workers that share a job: of this machine, of a scheduler that runs already, or of a queue; they may come, die and be replaced.

    local:4 | tcp://HOST:8786 | cluster.yaml  --open_crew-->  Crew  --done(tasks)-->  results, in the order in which they come

A task is a function of a module and plain arguments, so that a worker needs nothing but the package and the same folders; what it
makes it leaves in a file there. A task whose worker has died is given to another one.
"""

__all__ = ["Crew", "Errand", "open_crew"]

import importlib
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from driftfield import __version__
from driftfield.errors import ConfigurationError, MissingExtraError, suggest

log = logging.getLogger(__name__)

CLUSTERS = {
    "LocalCluster": "distributed",
    "SSHCluster": "distributed",
    **dict.fromkeys(
        ("SLURMCluster", "PBSCluster", "LSFCluster", "SGECluster", "OARCluster", "HTCondorCluster", "MoabCluster"),
        "dask_jobqueue",
    ),
    "KubeCluster": "dask_kubernetes.operator",
}
"""What a file may name, and where it comes from; nothing else is imported."""

ANSWER_WITHIN = 30
"""Seconds that a scheduler has to answer."""

DEATHS = 10
"""Workers that may die under a task before it is taken to be the cause."""

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, eq=False)
class Errand:
    """One thing to do.

    Arguments:
        do: A function of a module.
        arguments: Its arguments, plain.
        label: What messages call it.
        after: Tasks that have to be done before; they come earlier in the list.
    """

    do: Callable[..., Any]
    arguments: tuple[Any, ...]
    label: str
    after: "Sequence[Errand]" = field(default=())


class Crew:
    """The workers of a cluster.

    Arguments:
        client: Of dask.distributed.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    @property
    def size(self) -> int:
        """How many there are now."""
        return len(self.client.scheduler_info(n_workers=-1)["workers"])

    def check(self, folder: Path) -> None:
        """Refuses workers of another version, and those that do not see a folder.

        Raises:
            ConfigurationError: names one.
        """
        for worker, (version, sees) in self.client.run(_state_of_worker, str(folder.absolute())).items():
            if version != __version__:
                raise ConfigurationError(
                    f"The worker {worker} has driftfield {version}, this is {__version__}: expected the same. Install it there."
                )
            if not sees:
                raise ConfigurationError(
                    f"The worker {worker} does not see {folder.absolute()}: expected a folder that all machines share. Name an "
                    "output on a shared disk."
                )

    def done(self, tasks: Sequence[Errand]) -> Iterator[tuple[Errand, Any]]:
        """Every task with its result, as they come.

        Raises:
            ConfigurationError: workers die whenever they do a certain task, or the cluster is gone.
        """
        from distributed import CancelledError, KilledWorker, as_completed

        futures: dict[int, Any] = {}
        names: dict[str, Errand] = {}
        for number, task in enumerate(tasks):
            key = f"{task.label}-{uuid.uuid4().hex}"
            after = [futures[id(other)] for other in task.after]
            futures[id(task)] = self.client.submit(
                _do, os.getcwd(), task.do, task.arguments, after, key=key, pure=False, priority=-number
            )
            names[key] = task
        try:
            for future in as_completed(list(futures.values()), loop=self.client.loop):
                task = names[future.key]
                try:
                    result = future.result()
                except KilledWorker as error:
                    raise ConfigurationError(
                        f"{task.label}: {DEATHS} workers or so have died over it, which a lack of memory does. Give them more "
                        "memory or fewer members at a time (--batch-size), and go on with --resume."
                    ) from error
                except CancelledError as error:
                    raise ConfigurationError(
                        f"{task.label}: the cluster has let go of it. Go on with --resume, once the cluster is there again."
                    ) from error
                yield task, result
        finally:
            self.client.cancel(list(futures.values()), force=True)


@contextmanager
def open_crew(text: str) -> Iterator[Crew]:
    """The workers that a word names, while the block lasts; those of a scheduler that ran before go on after it.

    Arguments:
        text: local:NUMBER, an address such as tcp://HOST:8786, or a YAML file.

    Raises:
        ConfigurationError: a text that is none of these, a scheduler that does not answer, or a cluster that cannot be made.
        MissingExtraError: dask.distributed is not there.
    """
    try:
        import dask.config
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError(
            "A cluster needs dask.distributed. Install it with: pip install 'driftfield[cluster]'."
        ) from error
    quiet = logging.getLogger("distributed")
    before = quiet.level
    with ExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": DEATHS}))
        stack.callback(quiet.setLevel, before)
        quiet.setLevel(logging.CRITICAL)  # a worker that dies is replaced, which is no news
        try:
            place = _place_of(text, stack)
            client = stack.enter_context(Client(place, timeout=ANSWER_WITHIN, set_as_default=False))
        except (OSError, TimeoutError) as error:
            raise ConfigurationError(
                f"No scheduler answers at {text}: {error}. Start one with `dask scheduler`, or say local:4."
            ) from error
        if not client.scheduler_info(n_workers=-1)["workers"]:
            log.info("waiting for the first worker of %s", text)
        client.wait_for_workers(1)
        yield Crew(client)


def _place_of(text: str, stack: ExitStack) -> Any:
    """A cluster that was made, and that ends with the stack, or an address."""
    kind, colon, number = text.partition(":")
    if kind == "local" and colon:
        if not number.isdigit() or not int(number):
            raise ConfigurationError(f"Found --cluster {text}: expected local:NUMBER of workers, such as local:4.")
        return stack.enter_context(_local(int(number)))
    if "://" in text:
        return text
    if text.endswith((".yaml", ".yml")):
        return stack.enter_context(_described(Path(text)))
    raise ConfigurationError(
        f"Found --cluster {text}: expected local:4, an address such as tcp://HOST:8786, or a file cluster.yaml."
    )


def _local(workers: int) -> Any:
    from distributed import LocalCluster

    threads = max(1, int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1) // workers)
    # no dashboard: it would take a port, and nobody has asked for it
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        memory_limit=None,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
        env={"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
    )


def _described(file: Path) -> Any:
    """A cluster as a file describes it: class, workers, and the arguments of the class."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"Cannot read the cluster {file}: {error}. Name a YAML file.") from error
    if not isinstance(content, Mapping) or "class" not in content or "workers" not in content:
        raise ConfigurationError(
            f"{file} is no cluster: expected 'class: SLURMCluster', 'workers: 8' and the arguments of the class."
        )
    arguments = {str(key): value for key, value in content.items() if key not in ("class", "workers")}
    name, workers = str(content["class"]), content["workers"]
    if name not in CLUSTERS:
        raise ConfigurationError(f"Unknown cluster {name!r} in {file}: {suggest(name, list(CLUSTERS))}")
    try:
        made = getattr(importlib.import_module(CLUSTERS[name]), name)
    except ImportError as error:
        package = CLUSTERS[name].split(".")[0].replace("_", "-")
        raise MissingExtraError(f"{name} needs {package}. Install it with: pip install {package}.") from error
    # a local cluster would begin with a worker for each processor
    begin = {"n_workers": workers if type(workers) is int else 0} if name == "LocalCluster" else {}
    cluster = _made(made, arguments | begin, file)
    if isinstance(workers, Mapping):
        _made(cluster.adapt, dict(workers), file)
    elif type(workers) is int and workers > 0:
        cluster.scale(workers)
    else:
        cluster.close()
        raise ConfigurationError(
            f"Found workers: {workers!r} in {file}: expected a number, or {{minimum: 1, maximum: 20}}."
        )
    return cluster


def _made(call: Callable[..., Any], arguments: Mapping[str, Any], file: Path) -> Any:
    try:
        return call(**arguments)
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise ConfigurationError(f"{file} makes no cluster: {error}. Mend its arguments.") from error


def _state_of_worker(folder: str) -> tuple[str, bool]:
    return __version__, os.path.isdir(folder)


def _do(folder: str, do: Callable[..., Any], arguments: tuple[Any, ...], after: Sequence[Any]) -> Any:
    """On a worker: the task, in the folder that its paths start from."""
    # a worker with several threads has one network, one open file and one folder
    import dask.config

    # arrays of the task are read here: asked of the cluster, they would wait for this worker
    with _ONE_AT_A_TIME, dask.config.set(scheduler="threads"):
        os.chdir(folder)
        logging.getLogger("driftfield").setLevel(logging.ERROR)  # the client has said it already
        return do(*arguments)
