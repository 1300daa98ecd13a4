"""What is asked of the service, through huggingface_hub: its address (HF_ENDPOINT), cache (HF_HOME) and credentials (HF_TOKEN or
`hf auth login`) are that library's own configuration, and nothing else is read or passed.

    fetch    manifest first; the listing is judged before any other file is asked for; every hash is checked at every load
    push     one commit; a repository that holds something is replaced only where that was asked for
"""

__all__ = ["cached_runs", "fetch", "push"]

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from driftfield.errors import ConfigurationError, DataError, ExistsError, FileFormatError, UserError, need
from driftfield.hub.manifest import (
    CARD,
    MANIFEST,
    OF_THE_SERVICE,
    read_manifest,
    refuse_foreign,
    verify,
    write_manifest,
)
from driftfield.hub.reference import PREFIX, HubReference

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pushed:
    """What came of a push.

    Arguments:
        reference: Names exactly what was pushed: the commit.
        address: Of the page.
    """

    reference: HubReference
    address: str


def fetch(reference: HubReference) -> Path:
    """The folder of a run in the library's cache, fetched if need be, its hashes checked.

    Raises:
        DataError: no such repository or revision, no permission, or the service cannot be reached and nothing is cached.
        FileFormatError: it holds something that is no part of a run, or other bytes than were pushed.
        MissingExtraError: huggingface_hub is not installed.
    """
    library, where = _library(), str(reference)
    with _readable(where):
        manifest = Path(library.hf_hub_download(reference.repo, MANIFEST, revision=reference.revision))
        folder, commit = manifest.parent, manifest.parent.name
        hashes = read_manifest(manifest, where)
        missing = [name for name in hashes if not (folder / name).is_file()]
        if missing:
            listing = library.HfApi().list_repo_files(reference.repo, revision=commit)
            refuse_foreign(listing, where)
            for name in [*missing, *({CARD} & set(listing))]:
                library.hf_hub_download(reference.repo, name, revision=commit)
            log.info("%s: fetched commit %s", where, commit)
    verify(folder, hashes, where)
    return folder


def push(parts: Mapping[str, Path], card: str, repo: str, *, private: bool = False, overwrite: bool = False) -> Pushed:
    """Uploads a run, its card and its manifest in one commit; the repository is made if it is not there.

    Arguments:
        parts: Files by their names in the repository.
        card: Text of the card.
        repo: OWNER/NAME.
        private: Whether a repository that is made now can be seen by its owner only.
        overwrite: Whether what a repository holds may be replaced; its history keeps it.

    Raises:
        ExistsError: the repository holds something, and `overwrite` is false.
        FileFormatError: it holds something that is no part of a run.
        DataError: no permission, or the service cannot be reached.
    """
    library = _library()
    if HubReference.parse(repo) != HubReference(repo):
        raise ConfigurationError(f"Found {repo}: a push goes to a repository, OWNER/NAME, without a revision.")
    with _readable(f"{PREFIX}{repo}"):
        api = library.HfApi()
        api.create_repo(repo, private=private, exist_ok=True)
        present = set(api.list_repo_files(repo)) - set(OF_THE_SERVICE)
        refuse_foreign(present, f"{PREFIX}{repo}")
        if present and not overwrite:
            raise ExistsError(
                f"{PREFIX}{repo} holds {len(present)} files already. Name another repository, or pass --overwrite: its history "
                "keeps what is there now."
            )
        content: dict[str, Any] = {name: str(path) for name, path in parts.items()}
        content |= {CARD: card.encode(), MANIFEST: write_manifest(parts).encode()}
        operations = [library.CommitOperationAdd(name, at) for name, at in content.items()]
        operations += [library.CommitOperationDelete(name) for name in sorted(present - set(content))]
        commit = api.create_commit(repo, operations, commit_message="Push a run of Driftfield")
    return Pushed(HubReference(repo, commit.oid), str(commit.commit_url))


def cached_runs() -> dict[str, Path]:
    """Folders of runs that were fetched before, by the reference that names their commit; asks the service nothing."""
    if find_spec("huggingface_hub") is None:
        return {}
    library, runs = _library(), {}
    with suppress(library.errors.CacheNotFound):
        for repo in sorted(library.scan_cache_dir().repos, key=lambda each: each.repo_id):
            for revision in sorted(repo.revisions, key=lambda each: each.last_modified):
                folder = Path(revision.snapshot_path)
                if repo.repo_type == "model" and (folder / MANIFEST).is_file() and (folder / "run.json").is_file():
                    runs[str(HubReference(repo.repo_id, revision.commit_hash))] = folder
    return runs


def _library() -> Any:
    library = need("huggingface_hub", "hub", "A run on a hub")
    need("huggingface_hub.errors", "hub", "A run on a hub")
    return library


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Turns what the library raises into what a user can do."""
    errors = _library().errors
    # its own errors derive from those of the transport that it was built on
    transport = (OSError, *errors.HfHubHTTPError.__bases__)
    try:
        yield
    except UserError:
        raise
    except errors.GatedRepoError as error:
        raise DataError(f"{where} is gated: ask for access on its page, then log in with `hf auth login`.") from error
    except errors.RevisionNotFoundError as error:
        raise DataError(f"{where} has no such revision. Name a branch, a tag or a whole commit of it.") from error
    except errors.RepositoryNotFoundError as error:
        raise DataError(
            f"{where} is not there, or not to be seen by you. Check its name; log in with `hf auth login` if it is private."
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise DataError(
            f"{where} is not cached, and the service cannot be reached: {_first_line(error)} Try again later; HF_ENDPOINT says "
            "where it is."
        ) from error
    except errors.EntryNotFoundError as error:
        raise FileFormatError(
            f"{where} holds no {MANIFEST}: nothing of it was loaded. Expected what `driftfield hub push` writes."
        ) from error
    except errors.HFValidationError as error:
        raise ConfigurationError(f"{where} cannot be the name of a repository: {_first_line(error)}") from error
    except errors.HfHubHTTPError as error:
        status = None if error.response is None else error.response.status_code
        if status in (401, 403):
            raise DataError(
                f"{where} was refused with status {status}: no permission. Log in with `hf auth login`, or set HF_TOKEN."
            ) from error
        raise DataError(f"{where}: the service answered {_first_line(error)} Try again later.") from error
    except ValueError as error:  # metadata of the card, or an answer that is no JSON
        said = " ".join(str(error).split())
        raise DataError(f"{where} was refused, or answered with what cannot be read: {said}") from error
    except transport as error:
        raise DataError(f"{where}: the service cannot be reached: {_first_line(error)} Try again later.") from error


def _first_line(error: BaseException) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return text if text.endswith((".", "!", "?")) else f"{text}."
