"""The report page: one small file, its own scripts alone, every text escaped, and never a reason for a job to fail."""

import base64
import hashlib
import html
import io
import json
import re
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infra.stores.local import LocalStore
from infra.stores.memory import MemoryStore
from jobs.cli import run
from jobs.reporting.page.gallery import MOST, Shown, gallery
from jobs.reporting.page.page import page
from jobs.reporting.page.scripts import as_data, inline
from jobs.reporting.page.thumbnail import SIDE, thumbnail
from jobs.reporting.page.within import within
from jobs.reporting.page.writing import write_page
from jobs.reporting.report import reported
from jobs.terminal_text import printable
from pipeline.errors import NotFoundError, StoreUnavailableError
from pipeline.layout import report_key
from pipeline.ports import PutMode, Store
from tests.browser.reports import HOSTILE
from tests.pipeline.reports.made_ledger import Batch, Life, make_ledger

MOST_BYTES = 3_000_000


def noise(side: int = 128) -> bytes:
    """The picture that compresses worst."""
    sink = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(sink, "PNG")
    return sink.getvalue()


def pictures(store: Store) -> None:
    """Put a picture under every image key of the ledger."""
    body = noise()
    with reported(store) as made:
        for row in made.ledger.rows("SELECT DISTINCT key FROM images WHERE key <> ''"):
            store.put(row["key"], body)


def made_page(store: Store, images: list[Shown] | None = None) -> str:
    """The page over all jobs of a store."""
    with reported(store, time_line=True) as made:
        shown = gallery(made.ledger, made.store) if images is None else images
        return page(made.report, shown).decode()


@pytest.fixture
def store() -> MemoryStore:
    """One job on two types of node, its images in the store."""
    store = MemoryStore()
    spot = [Life(name=f"n{number}", batches=[Batch()], ends="reclaimed") for number in range(3)]
    make_ledger(store, [*spot, Life(name="b", node_type="g5.xlarge", market="on_demand", batches=[Batch(images=9)])])
    pictures(store)
    return store


def test_thousands_of_images_on_hundreds_of_nodes_stay_below_3_mb() -> None:
    """What grows with the job is sampled; the rest is the charts' script."""
    store = MemoryStore()
    lives = [
        Life(
            name=f"{'n' * 40}{number}",
            node_type=f"type{number % 40}.xlarge",
            zone="",
            starts=number,
            batches=[Batch(images=9)],
        )
        for number in range(600)
    ]
    make_ledger(store, lives)
    pictures(store)
    text = made_page(store)
    assert "the 100 dearest of 600 sessions" in text
    assert text.count("<figure") == MOST
    assert f'<span id="shown">{MOST}</span> of 5,400' in text
    assert len(text.encode()) < MOST_BYTES


def test_page_names_its_own_scripts_and_allows_no_others(store: MemoryStore) -> None:
    """The policy holds the hash of each script and of the style, and no source that is fetched."""
    text = made_page(store)
    policy = html.unescape(re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[0])
    inside = re.findall(r'<script type="module">(.*?)</script>|<style>(.*?)</style>', text, re.DOTALL)
    assert len(inside) == 3
    for script, style in inside:
        digest = base64.b64encode(hashlib.sha256((script or style).encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert re.findall(r'(?:src|href)="(?!data:image/webp;base64,)[^"]*"', markup) == []


def test_every_prompt_is_escaped(store: MemoryStore) -> None:
    """Hostile prompts, types, zones and sessions are text, in the markup and in the charts' data."""
    images = [
        Shown(
            picture="data:image/webp;base64,",
            width=1,
            height=1,
            prompt=text,
            seed=1,
            usd=Decimal("0.001"),
            reused=False,
            type=text,
            zone=text,
            node_session=text,
        )
        for text in HOSTILE
    ]
    hostile = MemoryStore()
    lives = [
        Life(name=f"{number}", node_type=text, zone=text, batches=[Batch(tags={"x": text})], ends="reclaimed")
        for number, text in enumerate(HOSTILE)
    ]
    make_ledger(hostile, lives)
    text = made_page(hostile, images)
    markup = re.sub(r'<script type="module">.*?</script>', "", text, flags=re.DOTALL)
    assert re.findall(r"<(?:b>bold|img src=x|svg onload|script>)", markup) == []
    assert markup.lower().count("<script") == markup.lower().count("</script") == 1
    for prompt in HOSTILE:
        assert (
            html.escape(printable(prompt), quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in markup
        )
    data = json.loads(re.findall(r'id="charts">(.*?)</script>', text, re.DOTALL)[0])
    assert {row["type"] for row in data["nodes"]["datasets"]["nodes"]} == {f"{one} spot" for one in HOSTILE}


def test_data_cannot_end_its_element() -> None:
    """Brackets and line separators are escapes inside the script that holds them."""
    text = as_data({"a": "</script><!--\u2028&", "usd": Decimal("1E-9")})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--\u2028&", "usd": "0.000000001"}
    with pytest.raises(ValueError, match="ends its own element"):
        inline("x = '</SCRIPT>'")


def test_gallery_takes_node_types_in_turn(store: MemoryStore) -> None:
    """A type with few images is shown beside one with many, each with cost and node."""
    with reported(store) as made:
        some = gallery(made.ledger, store, most=6)
        everything = gallery(made.ledger, store)
    assert [image.type for image in some] == ["g5.xlarge on_demand", "g6.xlarge spot"] * 3
    assert len(everything) == 21
    assert all(image.usd > 0 and image.zone and image.node_session for image in everything)


def test_prompts_are_found_where_the_files_do_not_tell_them(tmp_path: Path) -> None:
    """With `metadata: none` the requests of the job know the words."""
    (tmp_path / "p.txt").write_text("a red fox\na blue bird\n")
    place = str(tmp_path / "out")
    options = ["--model", "synthetic", "--address", "in-process", "--set", "output.metadata=none"]
    assert run(["submit", str(tmp_path / "p.txt"), "--store", place, *options]) == 0
    store = LocalStore(place)
    with reported(store) as made:
        shown = gallery(made.ledger, store)
    assert {(image.prompt, image.seed) for image in shown} == {("a red fox", 0), ("a blue bird", 0)}


class Broken(MemoryStore):
    """A store that gives no image any more: gone, damaged, endless or silent."""

    def __init__(self, whole: MemoryStore, how: str) -> None:
        super().__init__()
        self.whole, self.how, self.never = whole, how, threading.Event()

    def get(self, key: str) -> bytes:
        if not key.startswith("images/"):
            return self.whole.get(key)
        if self.how == "silent":
            self.never.wait(30)
        if self.how == "down":
            raise StoreUnavailableError("no answer")
        if self.how == "damaged":
            return self.whole.get(key)[:200]
        if self.how == "text":
            return b"<svg onload=alert(1)>" * 99
        raise NotFoundError(key)


@pytest.fixture
def broken(store: MemoryStore, request: pytest.FixtureRequest) -> Iterator[Broken]:
    """The job's store, broken in one way."""
    found = Broken(store, request.param)
    yield found
    found.never.set()


@pytest.mark.parametrize("broken", ["gone", "down", "damaged", "text", "silent"], indirect=True)
def test_images_that_cannot_be_read_are_left_out(store: MemoryStore, broken: Broken) -> None:
    """The page is made all the same, and in bounded time."""
    with reported(store) as made:
        assert gallery(made.ledger, broken, seconds=0.2 if broken.how == "silent" else 20) == []


def test_work_that_fails_or_hangs_holds_up_nobody() -> None:
    """Results stand in the order of what was asked."""
    never = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            raise OSError("no")
        if number == 2:
            never.wait(30)
        return number * 10

    assert within(0.5, work, [0, 1, 2, 3], threads=4) == [0, None, None, 30]
    assert within(0.5, work, []) == []
    never.set()


class Full(MemoryStore):
    """A store that may become full."""

    full = False

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        if self.full:
            raise StoreUnavailableError("the disk is full")
        return super().put(key, body, mode=mode, if_match=if_match)


def test_page_that_cannot_be_written_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The job is done; what fails afterwards is a warning that says how to get the page."""
    store = Full()
    job = make_ledger(store, [Life(name="n", batches=[Batch()])])
    store.full = True
    assert not write_page(store, job.id)
    assert "the disk is full" in caplog.text
    assert "spotrender report --format html" in caplog.text


def test_submit_leaves_the_page_in_the_store(tmp_path: Path) -> None:
    """`jobs/<job>/report.html`, with the pictures of the job."""
    (tmp_path / "p.txt").write_text("a red fox\n")
    place = tmp_path / "out"
    options = ["--model", "synthetic", "--address", "in-process"]
    assert run(["submit", str(tmp_path / "p.txt"), "--store", str(place), *options]) == 0
    (job,) = (path.name for path in (place / "jobs").iterdir() if not path.name.startswith("."))
    text = (place / report_key(job)).read_text(encoding="utf-8")
    assert "SUCCEEDED" in text
    assert "a red fox" in text
    assert text.count("<figure") == 1


def test_report_of_nothing_has_a_page() -> None:
    """A store without a ledger is no error."""
    text = made_page(MemoryStore())
    assert "no jobs in this ledger" in text
    assert "Nothing was spent." in text


def test_thumbnails_are_small_and_of_pictures_alone() -> None:
    """At most 96 pixels a side, the shape kept; what is no picture of ours is refused."""
    sink = io.BytesIO()
    Image.new("RGB", (1024, 512), "red").save(sink, "PNG")
    uri, width, height = thumbnail(sink.getvalue())
    assert (width, height) == (SIDE, SIDE // 2)
    assert uri.startswith("data:image/webp;base64,")
    for body in (b"", b"GIF89a" + bytes(99), noise()[:300]):
        with pytest.raises((OSError, ValueError)):
            thumbnail(body)
    bomb = io.BytesIO()
    Image.new("1", (9000, 9000)).save(bomb, "PNG")
    with pytest.raises(ValueError, match="too many"):
        thumbnail(bomb.getvalue())
