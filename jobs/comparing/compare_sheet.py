"""The sheet of a comparison: one HTML file in which every image stands beside itself under the other profiles."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor

from jinja2 import Environment, StrictUndefined
from PIL import Image

from jobs.comparing.compare import Comparison, Pair
from jobs.comparing.picture_difference import SAME_DECIBELS
from jobs.wiring import open_store

MOST_IMAGES = 60
"""Rows of the sheet; the figures above it count all images."""

_SIDE = 320
"""Longest side of a picture on the sheet, pixels."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Profiles compared</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 1.5rem auto; max-width: 75rem; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .3rem .9rem .3rem 0; vertical-align: top; }
thead th { border-bottom: 1px solid #8888; white-space: nowrap; }
td.n { white-space: nowrap; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; } figcaption { overflow-wrap: anywhere; }
.row { display: flex; gap: .75rem; overflow-x: auto; margin-top: .4rem; }
.row div { flex: 0 0 auto; width: min(320px, 42vw); } .row img { width: 100%; height: auto; display: block; }
small { opacity: .75; }
</style></head><body>
<h1>Profiles compared</h1>
<p>{{ images }} images under each profile; differences are to <b>{{ profiles[0].profile }}</b>.</p>
<div class="wide"><table><thead><tr><th>profile</th><th class="n">images/s</th><th class="n">$/image</th>
<th class="n">memory</th><th class="n">PSNR (worst)</th><th class="n">SSIM</th><th>in force</th></tr></thead><tbody>
{% for one in profiles %}<tr><td>{{ one.profile }}</td><td class="n">{{ one.images_per_second|pace }}</td>
<td class="n">{{ one.usd_per_image|money }}</td><td class="n">{{ one.memory_bytes|gib }}</td>
<td class="n">{{ one.psnr|db }}{% if one.worst_psnr is not none %} ({{ one.worst_psnr|db }}){% endif %}</td>
<td class="n">{{ one.ssim|share }}</td><td>{{ one.levers|join(", ") or "nothing" }}</td></tr>
{% endfor %}</tbody></table></div>
{% if profiles|selectattr("images_per_second", "none")|list %}<p><small>No speed: all images of that profile were in the
store already, or are those of another profile.</small></p>{% endif %}
{% for pair, pictures in rows %}<figure><figcaption>{{ pair.prompt }} <small>seed {{ pair.seed }}</small></figcaption>
<div class="row">{% for picture in pictures %}<div>{% if picture %}<img loading="lazy" alt="" src="{{ picture }}">
{% else %}<em>no image</em>{% endif %}<small>{{ profiles[loop.index0].profile }}{% if pair.psnr[loop.index0] is not none
and not loop.first %}, {{ pair.psnr[loop.index0]|db }}{% endif %}</small></div>{% endfor %}</div></figure>
{% endfor %}
{% if images > rows|length %}<p><small>The first {{ rows|length }} images of {{ images }}.</small></p>{% endif %}
</body></html>
"""


def sheet(comparison: Comparison) -> str:
    """The whole page, with its pictures inside; it needs no network."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "pace": lambda value: "-" if value is None else f"{value:.3g}",
        "money": lambda value: "-" if value is None else f"${value:.6f}",
        "gib": lambda value: f"{value / 2**30:.2f} GiB" if value else "-",
        "db": lambda value: "-" if value is None else "same" if value >= SAME_DECIBELS else f"{value:.1f} dB",
        "share": lambda value: "-" if value is None else f"{value:.3f}",
    }
    pairs = comparison.pairs[:MOST_IMAGES]
    with ThreadPoolExecutor(8) as executor:
        pictures = list(executor.map(lambda pair: _pictures(comparison, pair), pairs))
    return environment.from_string(_PAGE).render(
        profiles=comparison.profiles, images=len(comparison.pairs), rows=list(zip(pairs, pictures, strict=True))
    )


def _pictures(comparison: Comparison, pair: Pair) -> list[str]:
    """The images of one row as `data:` URLs; empty where there is none."""
    store = open_store(comparison.store)
    return [_data_url(store.get(key)) if key else "" for key in pair.keys]


def _data_url(body: bytes) -> str:
    with Image.open(io.BytesIO(body)) as image:
        image.thumbnail((_SIDE, _SIDE))
        sink = io.BytesIO()
        image.convert("RGB").save(sink, "WEBP", quality=85)
    return f"data:image/webp;base64,{base64.b64encode(sink.getvalue()).decode()}"
