"""The report in a real browser: it opens, answers the mouse, prints, and asks for nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pypdf
import pytest
import xarray as xr
from playwright.sync_api import Browser, Page, sync_playwright

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.choices import FigureName
from convrnns_brainscore.cli import app
from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.results import Results, scored_neurons
from convrnns_brainscore.fits.results_file import read_results, write_results
from convrnns_brainscore.fits.statistics import compare_layers, compare_models
from convrnns_brainscore.report.fit_figures import write_figure
from convrnns_brainscore.report.fit_report import _flagged, write_report
from convrnns_brainscore.report.methods import methods

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WHOLE, LESIONED = "rgc_shallow", "rgc_shallow-without-recurrence"


def made_results(
    models: dict[str, dict[str, float]],
    neurons: int = 40,
    bins: int = 6,
    control_score: float = 0.1,
) -> Results:
    """Fits with known scores: model → layer → r, the same for each neuron but for a little noise.

    The first bin is before onset; V4 and IT have half of the neurons each.
    """
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.standard_normal((10, neurons, bins), np.float32)
    regions = np.array(["V4", "IT"], object)[np.arange(neurons) * 2 // neurons]
    coords = {
        "neuroid_id": ("neuroid", np.array([f"n{index}" for index in range(neurons)], object)),
        "region": ("neuroid", regions),
        "subject": ("neuroid", np.array(["A"] * neurons, object)),
        "time_bin_start": ("time_bin", 10.0 * np.arange(-1, bins - 1)),
        "time_bin_end": ("time_bin", 10.0 * np.arange(bins)),
    }
    axes = ("split", "neuroid", "time_bin")
    halves = xr.DataArray(noise + np.float32(0.5), dims=("halving", "neuroid", "time_bin"))
    before = np.where(np.arange(bins) == 0, np.nan, 0)
    part, learned = ("training_part", "split", "neuroid"), np.array([0.5, 0.8, 0.9, 1])
    fits = {}
    for model, layers in {**models, control.NAME: {control.LAYER: control_score}}.items():
        attributes = {"model": model.split("-")[0], "label": "made", "seen": "nothing",
                      "lesion": "recurrence" if "without" in model else "none"}  # fmt: skip
        for layer, score in layers.items():
            r = xr.DataArray(noise + np.float32(score) + before.astype(np.float32), dims=axes)
            resampled = score + before + 0.02 * rng.standard_normal((2, 2, 500, bins))
            fits[model, layer] = xr.Dataset(
                {
                    "r": r,
                    "prediction_halves": halves,
                    "response_halves": halves,
                    "resampled": (
                        ("statistic", "population", "resample", "time_bin"),
                        resampled,
                    ),
                    "note": (axes[1:], np.full((neurons, bins), "", object)),
                    "undefined": ("time_bin", ["before onset"] + [""] * (bins - 1)),
                    "training_stimuli": (part[:2], np.tile([[10], [20], [30], [40]], 10)),
                    "learning_r": (part, score * learned[:, None, None] + noise[None, ..., 0]),
                    "learning_prediction_halves": (
                        ("training_part", "halving", "neuroid"),
                        np.full((4, 10, neurons), 0.5),
                    ),
                    "learning_bin": ("learning_region", [1, 1]),
                },
                {
                    **coords,
                    "population_region": ("population", ["V4", "IT"]),
                    "population_subject": ("population", ["all", "all"]),
                    "learning_region": np.array(["V4", "IT"], object),
                },
                attributes,
            )
    root = xr.Dataset(
        {"half_correlation": halves, "test": (("split", "stimulus"), np.eye(10, dtype=np.int8))},
        coords,
        {
            "schema": 2,
            "models": ", ".join([*models, control.NAME]),
            "settings": json.dumps({"method": "PLS", "time": "per-bin"}),
            "notes": "made for a test",
        },
    )
    return Results(root, fits)


def test_a_lesion_that_leaves_no_response_counts_as_r_0_in_the_same_bins_as_all() -> None:
    lost = made_results({WHOLE: {"conv3": 0.6}, LESIONED: {"conv3": float("nan")}})
    pairs = {(each.first, each.second): each for each in compare_models(lost, "IT")}
    found = pairs[WHOLE, LESIONED]
    assert found.difference == pytest.approx(0.6, abs=0.02)
    assert found.p < 0.001
    for each in pairs.values():  # the control too, which has an r where networks have none
        assert each.counted.tolist() == [False] + [True] * 5
    assert pairs[LESIONED, control.NAME].difference == pytest.approx(-0.1, abs=0.02)
    by_layer = compare_layers(lost, WHOLE, LESIONED, "IT")
    assert by_layer.difference[0, 1:] == pytest.approx(0.6, abs=0.02)
    assert np.isnan(by_layer.difference[0, 0])  # before onset


def test_neurons_of_which_the_same_is_said_stand_together(tmp_path: Path) -> None:
    results = made_results({WHOLE: {"conv3": 0.3}})
    note = results.fits[WHOLE, "conv3"]["note"].values
    note[:15], note[15] = "misses 60 responses: fitted separately", "does not vary"
    flagged = _flagged(results)
    assert flagged == [
        ("15 neurons", "misses 60 responses: fitted separately"),
        ("n15", "does not vary"),
    ]


@pytest.fixture(scope="module")
def results() -> Results:
    return made_results(
        {WHOLE: {"conv3": 0.3, "conv5": 0.4}, LESIONED: {"conv3": 0.2, "conv5": 0.395}}
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory, results: Results) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(results, folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("NO BROWSER: `apt-get install chromium` to have the report tested")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which nothing may go wrong, and which may ask for nothing but files."""
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    wrong: list[str] = []
    page.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda asked: None if asked.url.startswith(("file:", "data:")) else wrong.append(asked.url),
    )
    yield page
    page.close()
    assert wrong == []


def opened(page: Page, report: Path) -> Page:
    page.goto(report.as_uri())
    page.wait_for_function("document.querySelectorAll('.main-svg').length > 0")
    return page


def hovered(page: Page, figure: int, x: float, y: float) -> str:
    """What a figure tells at a place of its plotting area (shares of width and height)."""
    area = page.locator(".js-plotly-plot").nth(figure).locator(".nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box is not None
    told = page.locator(".js-plotly-plot").nth(figure).locator(".hovertext")
    # The text of the place before stays until Plotly draws the next one: on a busy machine it
    # would be read for it.
    page.mouse.move(0, 0)
    told.first.wait_for(state="detached", timeout=10_000)
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.mouse.move(box["x"] + x * box["width"] + 1, box["y"] + y * box["height"])
    told.first.wait_for(timeout=10_000)
    return " ".join(told.all_text_contents())


LAYERS = 1
"""The place of the figure of layers over time among the figures."""


def test_hover_tells_values_and_why_a_cell_is_blank(page: Page, report: Path) -> None:
    opened(page, report)
    assert "before onset" in hovered(page, LAYERS, 0.05, 0.25)
    told = hovered(page, LAYERS, 0.9, 0.25)
    assert "conv5" in told
    assert "r 0.40" in told or "r 0.39" in told
    assert "20 neurons" in told


def test_layers_of_a_model_and_a_region_can_be_chosen(page: Page, report: Path) -> None:
    opened(page, report)
    drawn = page.locator(".js-plotly-plot").first
    assert drawn.locator(".legendtext", has_text=f"{WHOLE} conv5").count() == 1
    page.locator("select[data-views]").first.select_option(LESIONED)
    drawn.locator(".legendtext", has_text="conv3").wait_for(timeout=10_000)
    assert drawn.locator(".legendtext", has_text=WHOLE).count() == 0
    assert "image" in hovered(page, LAYERS + 2, 0.9, 0.5)  # the control's map stands beside

    sections = page.locator("section[data-region]")
    page.select_option("#region", "IT")
    assert [sections.nth(index).is_visible() for index in (0, 1)] == [False, True]
    page.select_option("#region", "")
    assert [sections.nth(index).is_visible() for index in (0, 1)] == [True, True]


def test_the_numbers_and_the_drawing_of_a_figure_can_be_saved(
    page: Page, report: Path, tmp_path: Path
) -> None:
    opened(page, report)
    with page.expect_download() as saved:
        page.locator("button", has_text="Numbers (CSV)").first.click()
    saved.value.save_as(tmp_path / "numbers.csv")
    table = pd.read_csv(tmp_path / "numbers.csv")
    of_layer = table[table["series"] == f"{WHOLE} conv5"]
    assert of_layer["y"].tolist()[1:] == pytest.approx([0.4] * 5, abs=0.02)
    assert {"x", "error", "ceiling", "neurons"} <= set(table)
    with page.expect_download() as saved:
        page.locator("button", has_text="Figure (SVG)").first.click()
    saved.value.save_as(tmp_path / "figure.svg")
    assert ElementTree.parse(tmp_path / "figure.svg").getroot().tag.endswith("svg")


def test_neurons_without_a_score_are_not_counted(tmp_path: Path) -> None:
    results = made_results({WHOLE: {"conv5": 0.4}})
    recorded = int(results.neurons("V4").sum())
    for fit in results.fits.values():
        fit["r"][:, int(np.flatnonzero(results.neurons_of(fit, "V4"))[0])] = np.nan
    assert scored_neurons(results, "V4") == recorded - 1
    (said, *_) = methods(results)
    assert f"V4: {recorded - 1}" in said
    assert "1 neuron without a score excluded" in said
    write_report(results, tmp_path)
    assert f"n = {recorded - 1} neurons" in (tmp_path / "report.html").read_text("utf-8")


def test_nothing_runs_out_of_a_phone(page: Page, report: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    opened(page, report)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for place in page.locator(".js-plotly-plot, .legendtext, .xtitle").all():
        box = place.bounding_box()
        assert box is None or box["x"] + box["width"] <= 390, place.text_content()


def test_a_single_bin_shows_layers_beside_each_other_and_the_ceiling(
    page: Page, tmp_path: Path
) -> None:
    """Bins of one window are the commonest recordings: there is no time to draw along."""
    results = made_results({WHOLE: {"conv3": 0.3, "conv5": 0.4}}, bins=2)
    one = Results(
        results.root.isel(time_bin=[1]),
        {
            key: fit.isel(time_bin=[1]).assign(learning_bin=("learning_region", [0, 0]))
            for key, fit in results.fits.items()
        },
    )
    write_report(one, tmp_path)
    opened(page, tmp_path / "report.html")
    drawn = page.locator(".js-plotly-plot").first
    assert drawn.locator(".xtick text").all_text_contents() == ["conv3", "conv5", "image"]
    assert drawn.locator(".yerror").count() == 3
    ticks = [
        float(text.replace("−", "-")) for text in drawn.locator(".ytick text").all_text_contents()
    ]
    assert min(ticks) == 0
    assert max(ticks) >= 0.8
    assert "time from image onset" not in page.inner_text("section >> nth=0")
    for kind in ("over-time", "layers", "neurons", "differences"):
        write_figure(one, kind, tmp_path / f"{kind}.pdf")


def test_without_repetitions_neurons_stand_against_the_control(tmp_path: Path) -> None:
    results = made_results({WHOLE: {"conv5": 0.4}})
    results.root["half_correlation"][:] = np.nan
    write_report(results, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No stimulus was repeated" in text
    assert "r of the control" in text
    write_figure(results, "neurons", tmp_path / "neurons.svg")


def test_the_page_says_how_much_data_it_rests_on_and_how_to_repeat_it(tmp_path: Path) -> None:
    results = made_results({WHOLE: {"conv5": 0.4}})
    results.root["repetitions"] = ("stimulus", [4] * 10)
    write_report(results, tmp_path, "convrnns fit rgc_shallow lab.nc --stimuli images")
    text = " ".join((tmp_path / "report.html").read_text(encoding="utf-8").split())
    assert "10 stimuli, 40 presentations (median 4 per stimulus); 10 splits with 1 test" in text
    assert "<code>convrnns fit rgc_shallow lab.nc --stimuli images</code>" in text
    assert "Responses of 40 neurons (V4: 20, IT: 20; 1 subject) to 10 stimuli" in text


def test_it_prints_whole_and_is_legible_in_the_dark(page: Page, report: Path, tmp_path) -> None:
    opened(page, report)
    page.select_option("#region", "IT")
    page.emulate_media(media="print")
    page.pdf(path=tmp_path / "report.pdf")
    text = "".join(each.extract_text() for each in pypdf.PdfReader(tmp_path / "report.pdf").pages)
    for told in ("V4", "IT", "erences between models", "time from image onset"):
        assert told in text
    page.emulate_media(media="screen", color_scheme="dark")
    colour = "e => getComputedStyle(e).fill"
    assert page.locator(".xtick text").first.evaluate(colour) == "rgb(221, 221, 221)"


def test_the_worked_page_has_the_numbers(page: Page, report: Path, results: Results) -> None:
    opened(page, report)
    page.click("text=How ceilings and normalised values are computed")
    text = page.inner_text("body")
    assert f"predicted from {WHOLE} conv5" in text
    assert re.search(r"ceiling = 0\.66\d", text)  # halves of r .5: 2 · .5 / 1.5
    assert "r = 0.40" in text


def test_lesioned_and_whole_are_compared_layer_by_layer(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert f"<h3>{WHOLE} − {LESIONED}</h3>" in text
    assert f'<td>{WHOLE}</td><td>{LESIONED}</td><td class="number">0.00' in text


def test_of_two_neurons_nothing_is_tested_and_that_is_said(tmp_path: Path) -> None:
    write_report(made_results({WHOLE: {"conv5": 0.4}}, neurons=4), tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "2 neurons are too few: 6 are needed" in text
    assert ">nan<" not in text


@pytest.mark.slow
def test_many_models_layers_and_neurons_stay_light(page: Page, tmp_path: Path) -> None:
    """20 models × 10 layers × 26 bins × 2,100 neurons; the scatter is thinned, and says so."""
    layers = {f"conv{index}": 0.02 * index for index in range(1, 11)}
    models = {f"{WHOLE}-{index}": layers for index in range(20)}
    write_report(made_results(models, neurons=4200, bins=26), tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 20e6
    opened(page, tmp_path / "report.html")
    # A browser draws some tens of thousands in seconds.
    drawn = page.evaluate("document.querySelectorAll('svg *').length")
    assert drawn < 100_000, drawn
    assert "1000 of 2100, drawn at random" in page.inner_text("body")


@pytest.mark.parametrize("kind", sorted({*FigureName} - {"predicted", "latency"}))
@pytest.mark.parametrize("suffix", ["pdf", "svg"])
def test_figures_for_papers(results: Results, tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"figure.{suffix}"
    write_figure(results, kind, path)
    if suffix == "pdf":
        assert len(pypdf.PdfReader(path).pages) == 1
    else:
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    first = path.read_bytes()
    write_figure(results, kind, path)
    assert (path.read_bytes() == first) or suffix == "svg"  # whose ids are random


def test_a_figure_of_another_format_or_region_is_refused(results: Results, tmp_path: Path) -> None:
    with pytest.raises(ConvRNNError, match=r"figure\.doc: expected a name that ends in \.pdf"):
        write_figure(results, "layers", tmp_path / "figure.doc")
    with pytest.raises(ConvRNNError, match=r"unknown region 'V1'\..* Known: V4, IT"):
        write_figure(results, "layers", tmp_path / "figure.pdf", "V1")
    with pytest.raises(ConvRNNError, match="nothing to draw: only one latency was tried"):
        write_figure(results, "latency", tmp_path / "figure.pdf")
    assert not list(tmp_path.iterdir())


def test_a_region_is_found_in_any_case(results: Results, tmp_path: Path) -> None:
    write_figure(results, "over-time", tmp_path / "figure.svg", "it")
    assert (tmp_path / "figure.svg").stat().st_size > 10_000


def test_results_without_any_score_are_no_figure(tmp_path: Path) -> None:
    undefined = made_results({WHOLE: {"conv3": float("nan")}}, control_score=float("nan"))
    with pytest.raises(ConvRNNError, match="nothing to draw: no bin of V4, IT has a score"):
        write_figure(undefined, "over-time", tmp_path / "figure.pdf")
    assert not list(tmp_path.iterdir())


def test_fits_on_disk_are_read_one_at_a_time(tmp_path: Path) -> None:
    """A report of many models must not need all of their fits in memory."""
    write_results(made_results({WHOLE: {"conv3": 0.3, "conv5": 0.4}}), tmp_path / "results.nc")
    stored = read_results(tmp_path / "results.nc")
    fit = stored.fits[WHOLE, "conv3"]
    before = fit["r"].values
    assert fit["r"].values is not before, "arrays are kept"
    assert stored.predictivity(WHOLE, "conv3", "IT").r[1:] == pytest.approx(0.3, abs=0.02)
    assert not fit["r"]._in_memory


def test_the_command_takes_the_folder_of_a_fit(results: Results, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    write_results(results, tmp_path / "results.nc")
    told = CliRunner().invoke(app, ["plot", str(tmp_path), "--out", str(tmp_path / "figure.svg")])
    assert told.exit_code == 0, told.output
    assert (tmp_path / "figure.svg").stat().st_size > 10_000


def test_fits_that_are_not_there_are_named(results: Results) -> None:
    model, layer = next(iter(results.fits))
    region = results.regions[0]
    for asked, said in (
        ((model, "conv99", region), "unknown fit"),
        ((model, layer, "V9"), "unknown region and subject 'V9 of all'"),
        ((model, layer, region, "nobody"), "unknown region and subject"),
    ):
        with pytest.raises(ConvRNNError, match=said):
            results.predictivity(*asked)
