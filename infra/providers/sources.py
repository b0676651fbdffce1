"""Which sources speak for this node: the one that the configuration names, or those that answer here."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from infra.providers.aws import AwsProvider
from infra.providers.azure import AzureProvider
from infra.providers.gcp import GcpProvider
from infra.providers.kubernetes import IN_POD, KubernetesProvider
from infra.providers.reports import Source
from infra.providers.static import NOTICE_FILE, FileSource

CLOUDS: Final = (AwsProvider(), GcpProvider(), AzureProvider())
"""Those with a metadata service."""

AUTOMATIC: Final = frozenset({"", "auto", "local"})
"""Names of providers that leave open who the node is."""

DMI: Final = (Path("/sys/class/dmi/id/sys_vendor"), Path("/sys/hypervisor/uuid"))
"""Where the firmware, or Xen, says whose machine this is."""


def sources_of(
    provider: str, environ: Mapping[str, str], *, now_ns: Callable[[], int], node_id: str
) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Sources that speak for the node for certain, and clouds of which at most one will answer.

    Args:
        provider: the one that the offer names, or one of `AUTOMATIC`.
        environ: of the node.
        now_ns: the node's clock.
        node_id: Ray's id of the node, for the notice file's name.
    """
    if provider in AUTOMATIC:
        return candidates(environ, now_ns=now_ns, node_id=node_id)
    return named_sources(provider, environ, now_ns=now_ns, node_id=node_id), ()


def named_sources(
    provider: str, environ: Mapping[str, str], *, now_ns: Callable[[], int], node_id: str = ""
) -> tuple[Source, ...]:
    """The sources of a provider that the configuration names, and the notice file if there is one.

    Args:
        provider: a name of the table.
        environ: of the node.
        now_ns: the node's clock.
        node_id: Ray's id of the node, for the notice file's name.
    """
    found: list[Source] = []
    if provider == KubernetesProvider.name:
        found.append(KubernetesProvider().source(environ, now_ns))
    for cloud in CLOUDS:
        source = cloud.source(environ, now_ns) if cloud.name == provider else None
        if source is not None:
            found.append(source)
    return (*found, *_file(environ, now_ns, node_id))


def candidates(
    environ: Mapping[str, str], *, now_ns: Callable[[], int], node_id: str = ""
) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Sources that are certain, and clouds of which at most one will answer; redirected ones alone, if there are any.

    Args:
        environ: of the node.
        now_ns: the node's clock.
        node_id: Ray's id of the node, for the notice file's name.
    """
    redirected = [cloud for cloud in CLOUDS if cloud.redirected(environ)]
    clouds = [cloud.source(environ, now_ns) for cloud in redirected or CLOUDS]
    certain: list[Source] = list(_file(environ, now_ns, node_id))
    if environ.get(IN_POD):
        certain.append(KubernetesProvider().source(environ, now_ns))
    return tuple(certain), tuple(source for source in clouds if source is not None)


def worth_watching(environ: Mapping[str, str], *, dmi: tuple[Path, ...] = DMI) -> bool:
    """Whether anything hints that this machine is a cloud's, or is told of its end; asks nobody.

    Args:
        environ: of this process.
        dmi: files in which the firmware names the maker of the machine.
    """
    told = environ.get(NOTICE_FILE) or environ.get(IN_POD) or any(cloud.redirected(environ) for cloud in CLOUDS)
    return bool(told or makers(dmi))


def makers(dmi: tuple[Path, ...] = DMI) -> frozenset[str]:
    """Names of the clouds that the firmware says made this machine: one, or none."""
    texts = [_read(path) for path in dmi]
    return frozenset(cloud.name for cloud in CLOUDS for text in texts if text.startswith(cloud.vendors))


def _file(environ: Mapping[str, str], now_ns: Callable[[], int], node_id: str) -> Iterator[FileSource]:
    """The notice file, if the node's environment names one."""
    if path := environ.get(NOTICE_FILE, "").strip():
        yield FileSource(Path(path.replace("{node}", node_id)), now_ns=now_ns)


def _read(path: Path) -> str:
    """What the firmware says; nothing where it does not."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:100].strip()
    except OSError:
        return ""
