"""Connects this process to a Ray: one of our own on this machine, started quietly, or somebody's cluster."""

import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import ray
from ray.exceptions import RayError
from ray.job_config import JobConfig

from infra.compute.code_version import PACKAGES, code_root, package_folder
from pipeline.errors import ClusterRefusedError

LOCAL_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "RAY_USAGE_STATS_ENABLED": "0",  # no telemetry
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run`, Ray would build every worker's environment anew
        "OMP_WAIT_POLICY": "PASSIVE",  # torch's threads sleep while they wait, else a busy machine slows them tenfold
        "RAY_health_check_initial_delay_ms": "1000",  # with these a dead node is seen after 2 s, not 15
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "2000",
        "RAY_health_check_failure_threshold": "3",
    }
)
"""What the processes of our own Ray are started with; what the user has set goes before."""

OBJECT_STORE_BYTES: Final = 80_000_000
"""About the least that Ray allows; only metadata passes through it."""

LONGEST_TMP_DIR: Final = 36
"""Characters; Ray appends 65 to make a Unix socket's path, which may have 107."""

REMEDY: Final = "where the cluster asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to its file"
"""For messages: what may be missing where a cluster refuses."""

_AUTH_MODE: Final = "RAY_AUTH_MODE"

_LOUD: Final = ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")
"""Loggers of Ray that set their own level."""

_IN_RAY_JOB: Final = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set where Ray's Jobs API started this process; the job's packages reach the workers without us."""


@contextlib.contextmanager
def local_ray(*, cpus: int, gpus: int | None, tmp_dir: str | None) -> Iterator[None]:
    """A Ray of our own on this machine, on loopback, gone when the context ends; never one that runs already.

    Enter and leave it on the main thread: Ray's processes die with the thread that started them, however it dies (after
    a kill -9, two small agents of Ray that serve nobody linger for a minute: they try that long to report it).

    Args:
        cpus: that Ray may hand out.
        gpus: the same; None lets Ray find them.
        tmp_dir: folder for Ray's files; None makes one and removes it.

    Raises:
        ClusterRefusedError: it does not start, or this process uses Ray already.
    """
    with contextlib.ExitStack() as stack:
        folder = tmp_dir or stack.enter_context(short_folder())
        if len(folder) > LONGEST_TMP_DIR:
            raise ClusterRefusedError(
                f"{folder}: too long for Ray's sockets, which must fit into 107 characters; "
                f"give a folder of at most {LONGEST_TMP_DIR}"
            )
        set_token()
        stack.enter_context(_environment(LOCAL_ENVIRONMENT))
        stack.enter_context(quiet())
        stack.enter_context(
            _initialised(
                "no Ray could be started on this machine",
                address="local",
                num_cpus=cpus,
                num_gpus=gpus,
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                job_config=JobConfig(_client_job=True, _py_driver_sys_path=code_path()),
                _temp_dir=folder,
                _node_ip_address="127.0.0.1",
            )
        )
        yield


@contextlib.contextmanager
def cluster(address: str, *, ship_code: bool) -> Iterator[None]:
    """A connection to a cluster that somebody else started and keeps.

    Args:
        address: `host:port` of its head (Ray's default port is 6379), or `auto` on one of its nodes.
        ship_code: send our packages to its workers.

    Raises:
        ClusterRefusedError: there is no cluster, or this kind of address cannot be used here.
    """
    check_address(address)
    shipped = {"py_modules": shipped_packages()} if ship_code and _IN_RAY_JOB not in os.environ else None
    with contextlib.ExitStack() as stack:
        stack.enter_context(_environment({"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}))
        stack.enter_context(quiet())
        what_failed = f"no Ray answers at {address}, or not to this process ({REMEDY})"
        stack.enter_context(_initialised(what_failed, address=address, runtime_env=shipped))
        yield


def check_address(address: str) -> None:
    """Refuse what is no address of a Ray head, or where none listens, in a second rather than in Ray's half minute.

    Raises:
        ClusterRefusedError: with what to give instead.
    """
    if "://" in address:
        raise ClusterRefusedError(
            f"{address}: a driver needs the address of the Ray head itself, such as 10.0.0.5:6379, from a machine in "
            "its network; from outside, hand the job to the cluster with --detach and the http:// address"
        )
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ClusterRefusedError(f"{address}: the address of a Ray head is host:port, such as 10.0.0.5:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise ClusterRefusedError(
            f"no Ray answers at {address} ({error}): start its head with `ray start --head`, or check the network"
        ) from error


def shipped_packages() -> list[str]:
    """The folders of our packages, as Ray's `py_modules` takes them."""
    return [str(package_folder(package)) for package in (*PACKAGES, "configs")]


def usable_cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def _initialised(what_failed: str, **options: Any) -> Iterator[None]:
    """Ray in this process, with its signal handlers taken back: how to stop is the command's business."""
    if ray.is_initialized():
        raise ClusterRefusedError("this process is connected to a Ray already: call ray.shutdown() first")
    main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)} if main else {}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
        ray.shutdown()
        reason = str(error).strip().partition("\n")[0]
        raise ClusterRefusedError(f"{what_failed}: {reason}; `spotrender doctor` looks closer") from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """These variables for the processes that Ray starts; what is set already stays, and what Ray sets is taken back."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in values.items() if name not in before})
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("RAY_") and name not in before]:
            del os.environ[name]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Ray from printing on our stdout and stderr; what matters comes as events."""
    levels = {logger: logger.level for logger in map(logging.getLogger, _LOUD)}
    for logger in levels:
        logger.setLevel(logging.ERROR)
    worker: Any = ray._private.worker  # noqa: SLF001 - Ray has no switch for messages of raylets, which go to stdout
    printing = worker.print_to_stdstream
    worker.print_to_stdstream = _drop
    try:
        yield
    finally:
        worker.print_to_stdstream = printing
        for logger, level in levels.items():
            logger.setLevel(level)


def _drop(data: Mapping[str, Any], **_: object) -> None:
    """Takes the place of Ray's printing."""
    logging.getLogger(__name__).debug("%s", data.get("lines"))


def set_token() -> None:
    """Give our own Ray a token, so that no other user of this machine can use it, and none is written to the home.

    It stays for the life of this process, as Ray reads it only once.
    """
    by_user = Path.home() / ".ray" / "auth_token"
    if not {_AUTH_MODE, "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ) and not by_user.exists():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


@contextlib.contextmanager
def token_required() -> Iterator[None]:
    """While this lasts, clusters that this process starts ask for its token, and it shows the token to clusters.

    Ray does so by itself only for `ray.init`; other clusters of ours would do what anybody in the network asks of them.
    """
    set_token()
    if _AUTH_MODE in os.environ:
        yield
        return
    from ray._private.authentication.authentication_token_setup import enable_token_auth_by_default
    from ray._raylet import Config  # type: ignore[attr-defined]

    with quiet():
        enable_token_auth_by_default()
    try:
        yield
    finally:
        os.environ.pop(_AUTH_MODE, None)
        Config.initialize("")  # Ray reads its environment only then


def code_path() -> list[str]:
    """Where workers find our packages, if not where every Python of this installation does."""
    root = code_root()
    return [] if root.name in {"site-packages", "dist-packages"} else [str(root)]


@contextlib.contextmanager
def short_folder() -> Iterator[str]:
    """A new folder with a short path, removed at the end."""
    parent = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="sr-", dir=parent if len(parent) <= LONGEST_TMP_DIR - 12 else "/tmp")  # noqa: S108
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
