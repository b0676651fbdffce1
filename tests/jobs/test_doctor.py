"""Doctor: each thing that a job needs, with the remedy, and never a secret."""

from pathlib import Path

import pytest

from infra.stores.memory import MemoryStore
from jobs.doctor import (
    Check,
    credentials_check,
    disk_check,
    examine,
    package_check,
    python_check,
    store_checks,
    to_json,
    to_text,
    token_check,
    torch_answer,
    torch_check,
    worst,
)
from pipeline.ports import PutMode


class ForgetfulStore(MemoryStore):
    """A store that ignores `mode="create"`, as some do."""

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        """See `Store.put`."""
        return super().put(key, body)


def test_this_machine_can_run_the_demo(tmp_path: Path) -> None:
    """Here and now nothing fails, every check is named, and what is not ok has a remedy."""
    checks = examine(store_uri=str(tmp_path / "store"), address=None, environ={"HOME": str(tmp_path)})
    assert {check.name for check in checks} >= {"python", "torch", "ray", "store", "disk", "hub token"}
    assert [check for check in checks if check.level == "fail"] == []
    assert all(check.remedy for check in checks if check.level != "ok")


def test_torch_is_asked_in_another_process() -> None:
    """It loads here, and its version is told."""
    assert torch_check().level in {"ok", "warn"}
    assert python_check().level == "ok"


def test_gpus_are_told_with_their_memory() -> None:
    """What torch sees is what a job would render on."""
    devices = [{"name": "NVIDIA L4", "bytes": 24 * 1024**3}]
    said = torch_answer({"version": "2.13", "cuda": "12.8", "devices": devices})
    assert (said.level, said.message) == ("ok", "2.13, CUDA 12.8: NVIDIA L4 (24.0 GiB)")


def test_missing_library_fails_with_the_remedy() -> None:
    """What is not installed is named."""
    check = package_check("spotrender-nothing-of-that-name")
    assert (check.level, check.remedy) == ("fail", "pip install spotrender-nothing-of-that-name")


def test_store_that_ignores_create_only_puts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can hold a job, but two drivers are not kept apart."""
    monkeypatch.setattr("jobs.wiring.open_store", ForgetfulStore)
    (check,) = store_checks("memory:x", {})
    assert check.level == "warn"
    assert "never run two drivers" in check.remedy


def test_store_that_is_none_fails(tmp_path: Path) -> None:
    """A bad URI and a folder that cannot be made are failures with a reason."""
    assert store_checks("ftp://x", {})[0].level == "fail"
    (tmp_path / "file").touch()
    assert store_checks(str(tmp_path / "file" / "store"), {})[0].level == "fail"


def test_credentials_are_found_and_never_shown(tmp_path: Path) -> None:
    """Only where they come from is told."""
    environ = {"AWS_ACCESS_KEY_ID": "AKIASECRET", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "HF_TOKEN": "hf_secret"}
    said = to_text([credentials_check(environ), token_check(environ)])
    assert "from the environment" in said
    assert "from HF_TOKEN" in said
    assert not [secret for secret in environ.values() if secret in said]
    nowhere = {"HOME": str(tmp_path)}
    assert {credentials_check(nowhere).level, token_check(nowhere).level} == {"warn"}
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").touch()
    assert credentials_check(nowhere).level == "ok"


def test_disk_is_looked_at_where_the_folder_will_be(tmp_path: Path) -> None:
    """A folder that is not there yet lies on the disk of the nearest one above."""
    assert str(tmp_path) in disk_check("disk", tmp_path / "a" / "b").message


def test_worst_check_decides() -> None:
    """One failure is a failure of all."""
    checks = [Check(name=level, level=level, message="") for level in ("ok", "warn", "fail")]
    assert [worst(checks[:count]) for count in (0, 1, 2, 3)] == ["ok", "ok", "warn", "fail"]
    assert to_json(checks)["result"] == "fail"
