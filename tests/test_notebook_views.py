"""How objects look in a notebook."""

from __future__ import annotations

import numpy as np
import xarray as xr

from convrnns_brainscore import Presentation
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.fits.results import Results


def test_a_network_shows_its_layers_with_shapes_and_times(network: ConvRNN) -> None:
    html = network._repr_html_()
    assert "&lt;ConvRNN timedecay_shallow (untrained, seed 0)&gt;" in html
    assert "<td>conv5</td>" in html
    assert "4 × 4 × 512" in html


def test_a_presentation_shows_its_time_line() -> None:
    html = Presentation.custom(12, 10)._repr_html_()
    assert "<li>0–100 ms: image</li>" in html
    assert "<li>100–120 ms: 0.5 (normalised)</li>" in html


def test_results_without_a_score_show_what_they_are_of() -> None:
    root = xr.Dataset(
        {"region": ("neuroid", np.array(["IT"], object))},
        {"time_bin_start": ("time_bin", [70.0]), "time_bin_end": ("time_bin", [80.0])},
    )
    results = Results(root, {})
    assert repr(results) == "<Results: ; IT; 1 time bins>"
    assert "<table" in results._repr_html_()
