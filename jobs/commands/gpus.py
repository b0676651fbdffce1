"""The commands that answer before a GPU is rented: gpus, fit."""

from typing import Annotated

import typer

from jobs.commands.output import JsonOption, answer

CardsOption = Annotated[
    str | None,
    typer.Option("--gpu", help="Cards by name, or by memory: L4, 'RTX 4090', 24GB..80GB.", metavar="GPU,..."),
]


def gpus(
    *,
    model: Annotated[str | None, typer.Option(help="Show images per hour and $/image of this model.")] = None,
    sort: Annotated[
        str | None,
        typer.Option(help="name, vram, bandwidth, fp16, fp8, watts, year, price, images-per-hour or usd-per-image."),
    ] = None,
    gpu: CardsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is known of GPUs: memory, speed, prices, and what an image of a model costs on each."""
    from jobs.planning.gpus import list_cards
    from jobs.planning.gpus_table import cards_text

    found = list_cards(model, sort=sort, gpu=gpu)
    answer(found, lambda: cards_text(found), as_json=as_json)


def fit(
    model: Annotated[str, typer.Argument(help="A model of the catalogue, or a diffusers folder.", metavar="MODEL")],
    *,
    gpu: CardsOption = None,
    size: Annotated[str | None, typer.Option(help="The model's own when left out.", metavar="WxH")] = None,
    batch: Annotated[int, typer.Option(help="Images at once.")] = 1,
    precision: Annotated[str | None, typer.Option(help="fp32, fp16 or bf16; the model's own when left out.")] = None,
    quantization: Annotated[str, typer.Option(help="Of the denoiser: none, int8, fp8 or int4.")] = "none",
    memory: Annotated[str, typer.Option(help="fit, tiling, text_offload, offload or group_offload.")] = "fit",
    as_json: JsonOption = False,
) -> None:
    """Will it fit: peak memory of a model, the largest batch on each GPU, and what helps where it does not fit.

    Ends with exit code 2 where none of the GPUs that --gpu names takes it.
    """
    from jobs.planning.fit import fit as find
    from jobs.planning.fit_table import fit_text

    found = find(model, gpu=gpu, size=size, batch=batch, precision=precision, quantization=quantization, memory=memory)
    answer(found, lambda: fit_text(found), as_json=as_json)
    if gpu is not None and found.refused:
        raise typer.Exit(2)
