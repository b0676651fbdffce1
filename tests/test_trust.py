"""What SECURITY.md promises of the code: no pickles, no shell, few doors to the network, keys that nobody can bend."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.providers.metadata import name_in
from infra.stores.keys import check_key
from jobs.cli import run
from pipeline.layout import image_key, is_job_id, job_key, model_manifest_key, nightly_key, node_key
from tests.imports import ROOT, modules
from tests.licences import licences

OURS = modules("pipeline", "infra", "jobs")

NEVER = re.compile(
    r"^\s*(import|from) (pickle|cloudpickle|dill|marshal|shelve|joblib)\b"
    r"|(?<![\w.])(eval|exec|__import__)\("
    r"|\b(os\.(system|popen)|torch\.load|yaml\.(load|load_all|unsafe_load|full_load))\("
    r"|\bshell=True\b",
    re.MULTILINE,
)
"""Reading data that are code, and starting programs through a shell."""

DOORS = {
    "infra.compute.ray_nodes",  # knocks at a raylet
    "infra.compute.ray_session",  # knocks at a Ray head
    "infra.notifiers.post",  # webhooks
    "infra.providers.metadata",  # metadata services
}
"""Modules that open connections by themselves; boto3, the hub's client, Ray and Apprise open the others."""

HOSTILE = [
    "../../../etc/passwd",
    "/etc/passwd",
    "a/../../b",
    "..",
    "s3://other-bucket/x",
    "jobs/x/lease.json",
    "name\u202egpj.exe",
    "con",
    "$(reboot)",
    "`reboot`; rm -rf ~",
    "'; DROP TABLE images; --",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "%2e%2e%2f",
    "x" * 300,
]

LAYOUT = re.compile(
    r"images/[0-9a-f]{2}/[0-9a-f]{64}-[0-9a-f]{16}\.png"
    r"|index/(images|collected)/[0-9a-f]+\.parquet"
    r"|jobs/hostile-[0-9a-f]{16}/(job\.json|lease\.json|control\.json|report\.html|failures\.jsonl|index\.(csv|parquet)"
    r"|(settings|status)/\d+\.json|requests/\d+\.parquet|records/[0-9a-z-]+\.json|nodes/[0-9A-Za-z-]+/\d+\.json"
    r"|logs/[0-9a-z.-]+)"
    r"|ledger/(images|nodes)/date=[0-9-]{10}/job=hostile-[0-9a-f]{16}/[0-9a-z-]+\.parquet"
    r"|(memory|prices)/[0-9A-Za-z./_-]+"
)
"""Every key that a job writes; `DESIGN` has them by name."""


def test_nothing_of_ours_reads_data_that_are_code() -> None:
    """No pickle, no eval, no shell; YAML is read by the safe loader, weights as safetensors."""
    texts = {name: path.read_text(encoding="utf-8") for name, path in OURS.items()}
    assert {(name, found[0].strip()) for name, text in texts.items() for found in NEVER.finditer(text)} == set()


def test_few_modules_open_connections() -> None:
    """Each of them limits time and size, and says to whom it speaks; a new one belongs into SECURITY.md."""
    opens = re.compile(
        r"\bcreate_connection\(|\bHTTPS?Connection\b|\burlopen\(|^\s*import (requests|httpx)\b", re.MULTILINE
    )
    assert {name for name, path in OURS.items() if opens.search(path.read_text(encoding="utf-8"))} == DOORS
    security = (ROOT / "SECURITY.md").read_text()
    assert all(f"{name.replace('.', '/')}.py" in security for name in DOORS)


def test_hostile_manifest_bends_no_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole job of hostile texts writes the documented keys and nothing else, in the store and beside it."""
    rows = [
        {"prompt": text, "custom_id": text, "negative_prompt": text, "tags": {f"t{number}": text}}
        for number, text in enumerate(HOSTILE)
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    store = tmp_path / "store"
    words = ["--name", "hostile", "--model", "synthetic", "--store", str(store), "--address", "in-process", "--json"]
    assert run(["submit", str(tmp_path / "p.jsonl"), *words]) == 0
    job = json.loads(capsys.readouterr().out)["job"]
    assert run(["download", job, "--store", str(store), "--to", str(tmp_path / "images")]) == 0
    capsys.readouterr()
    keys = [str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()]
    visible = [key for key in keys if not any(part.startswith(".") for part in Path(key).parts)]
    assert [key for key in visible if not LAYOUT.fullmatch(key)] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "p.jsonl", "store"]
    assert len(list((tmp_path / "images").rglob("*.png"))) == len(HOSTILE)


@given(st.text(max_size=200) | st.sampled_from(HOSTILE))
def test_only_job_ids_name_jobs_and_names_of_nodes_are_plain(text: str) -> None:
    """Whatever text takes the place of an id, it is refused, or makes a legal key in its own folder."""
    if is_job_id(text):
        assert check_key(job_key(text)) == f"jobs/{text}/job.json"
        assert "/" not in text
    named = name_in(text)
    assert named in {"", text}
    assert named.isascii()
    assert not set(named) & set("\\'\"`$;&|<>(){}\n\r\t ")


@given(st.text("0123456789abcdef", min_size=64, max_size=64), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_keys_of_hashes_are_legal(first: str, second: str) -> None:
    """What is named by a hash stays in its folder."""
    for key in (
        image_key(first, second, "png"),
        node_key(f"job-{first[:16]}", first[:12], 1),
        nightly_key(f"n{first[:8]}"),
        model_manifest_key(f"m{first[:8]}", first),
    ):
        assert check_key(key) == key


def test_everything_that_comes_along_may_be_passed_on() -> None:
    """Each dependency names a licence, and none that binds whoever uses it with us."""
    found = licences()
    assert {"ray", "torch", "diffusers", "boto3"} <= {one.name for one in found}
    assert [f"{one.name}: {one.text}" for one in found if not one.free] == []
