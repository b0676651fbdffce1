"""What `reproduce` prints."""

from jobs.reproducing.reproduce import Reproduced
from jobs.terminal_text import printable
from jobs.watching.summary import table

_VERDICTS = {
    "identical": "identical: the same bytes",
    "same_pixels": "the same pixels, in other bytes",
    "alike": "the same to the eye",
    "different": "another picture",
}

_PROFILES = {
    True: "the same device, software and batch shape, so bits are promised",
    False: "another device, software or batch shape, so only the same to the eye is promised",
    None: "not known; with --store the job that made it tells",
}


def reproduced_text(result: Reproduced) -> str:
    """The verdict and what it rests on."""
    rows = [("verdict", _VERDICTS[result.verdict] + ("" if result.reproduced else "; NOT reproduced"))]
    if result.psnr is not None and result.ssim is not None:
        rows.append(("difference", f"PSNR {result.psnr:.1f} dB, SSIM {result.ssim:.3f}"))
    else:
        rows.append(("difference", "they are not even of one size"))
    rows += [
        ("profile", _PROFILES[result.same_profile]),
        ("prompt", printable(result.prompt, most=200)),
        ("seed", str(result.seed)),
        ("model", printable(result.model)),
        ("image id", result.image_id),
    ]
    if result.job:
        rows.append(("job", result.job))
    return "\n".join([printable(result.image), table(rows)])
