"""Plotly's figures of fits, for the page: hover for values, choose a model or layer.

Each function gives one figure as an HTML fragment; the page holds plotly's script once. Colours of
text and grid suit a light and a dark page alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from convrnns_brainscore.fits.results import MIN_RELIABILITY, Predictivity, Results
from convrnns_brainscore.fits.statistics import ByLayer, Comparison
from convrnns_brainscore.report.fit_numbers import (
    ALPHA,
    best_curves,
    bin_middles,
    bin_names,
    colour_limit,
    compared,
    crossed_maps,
    differs,
    layer_learning,
    layer_maps,
    neuron_scores,
    noise_ceiling,
)
from convrnns_brainscore.report.style import styles
from convrnns_brainscore.report.tables import with_error

MOST_DOTS = 1000
"""Neurons of a region that are drawn as dots of each model; of more, so many at random."""

_FAINT = "rgba(128,128,128,0.35)"
_BLANK = "rgba(128,128,128,0.15)"
BEST = "best layer of each model"

Array = NDArray[np.float64]


def draw_over_time(results: Results, region: str) -> str:
    """r of each bin with its error and the noise ceiling: each model's best layer, or all layers of
    one model, to be chosen."""
    figure = go.Figure()
    views: list[str] = []
    looks, curves = styles(results.models), best_curves(results, region)
    for curve in curves:
        look, name = looks[curve.model], f"{curve.name} {curve.layer}"
        _line(figure, results, name, curve.values, look.colour, look.marker[1], look.dash[1])
        views += [BEST] * 2
    for found in layer_maps(results, region):
        several = len(found.layers) > 1
        pairs = zip(found.layers, found.values, strict=True) if several else ()
        for index, (layer, values) in enumerate(pairs):
            shade = _viridis(index / (len(found.layers) - 1))
            _line(figure, results, layer, values, shade, "circle", "solid", visible=False)
            views += [found.name] * 2
    top = noise_ceiling(curves)
    if top is not None:
        figure.add_scatter(
            x=bin_middles(results), y=_blank(top), mode="lines",
            name="noise ceiling, √reliability",
            line={"color": "#808080", "dash": "dash"}, hovertemplate="ceiling %{y:.3f}",
        )  # fmt: skip
        views.append("always")
    _choice(figure, views)
    figure.update_xaxes(title="time from image onset (ms)", rangemode="tozero")
    figure.update_yaxes(title="r on held-out stimuli")
    return _html(figure, 420)


def draw_layers(results: Results, region: str) -> str:
    """r of every layer at every bin, of the model that is chosen."""
    figure = go.Figure()
    maps = layer_maps(results, region)
    limit = colour_limit(each.r for each in maps)
    for index, found in enumerate(maps):
        told = [
            [
                why
                or f"r {with_error(r, error)}<br>{_known('ceiling', ceiling)}<br>{neurons} neurons"
                for why, r, error, ceiling, neurons in zip(
                    v.undefined, v.r, v.error, v.ceiling, v.neurons, strict=True
                )
            ]
            for v in found.values
        ]
        _heat(figure, found.r, bin_names(results), found.layers, told, limit, index == 0)
    _choice(figure, [found.name for found in maps])
    figure.update_xaxes(title="bin (ms)", type="category")
    most = max((len(found.layers) for found in maps), default=1)
    return _html(figure, 180 + 26 * most)


def draw_neurons(results: Results, region: str) -> str:
    """Each neuron's r at the best bin of each model's best layer against its reliability there."""
    figure = go.Figure()
    looks = styles(results.models)
    for found in neuron_scores(results, region):
        drawn = thinned(len(found.neurons))
        figure.add_scatter(
            x=_blank(found.reliability[drawn]),
            y=_blank(found.r[drawn]),
            mode="markers",
            name=f"{found.name} {found.layer}, {bin_names(results)[found.time_bin]}",
            text=[found.neurons[index] for index in drawn],
            hovertemplate="neuron %{text}<br>reliability %{x:.2f}<br>r %{y:.3f}",
            marker={
                "color": looks[found.model].colour, "symbol": looks[found.model].marker[1],
                "size": 6, "opacity": 0.6,
            },
        )  # fmt: skip
    line = np.linspace(0, 1, 60)
    figure.add_scatter(
        x=line, y=np.sqrt(line), mode="lines", name="√reliability", hoverinfo="skip",
        line={"color": "#808080", "dash": "dash"},
    )  # fmt: skip
    figure.add_vline(MIN_RELIABILITY, line={"color": _FAINT, "dash": "dot"})
    figure.update_xaxes(title="split-half reliability (Spearman–Brown)")
    figure.update_yaxes(title="r on held-out stimuli")
    return _html(figure, 420)


def thinned(neurons: int) -> NDArray[np.intp]:
    """Positions of the neurons that are drawn, the same for all models."""
    if neurons <= MOST_DOTS:
        return np.arange(neurons)
    return np.sort(np.random.default_rng(0).choice(neurons, MOST_DOTS, replace=False))


def draw_crossed(results: Results, region: str) -> str | None:
    """r of features of one bin against responses of another, of the layer that is chosen; None:
    they were not fitted."""
    panels = crossed_maps(results, region)
    if not panels:
        return None
    figure = go.Figure()
    limit, names = colour_limit(panels.values()), bin_names(results)
    for index, cells in enumerate(panels.values()):
        told = [[f"r {r:.3f}" if np.isfinite(r) else "undefined" for r in row] for row in cells]
        _heat(figure, cells, names, names, told, limit, index == 0)
    _choice(figure, list(panels))
    figure.update_xaxes(title="recording's bin (ms)", type="category")
    figure.update_yaxes(title="features' bin (ms)", type="category")
    return _html(figure, 520)


def draw_learning(results: Results, region: str) -> str | None:
    """r and noise-corrected r of each model's best layer against the number of training stimuli;
    None: there are no learning curves."""
    curves = layer_learning(results, region)
    if not curves:
        return None
    figure, looks = go.Figure(), styles(results.models)
    for found in curves:
        look, name = looks[found.model], f"{found.name} {found.layer}"
        for values, dash, symbol, what in (
            (found.r, "solid", look.marker[1], "r"),
            (found.noise_corrected, "dash", f"{look.marker[1]}-open", "noise-corrected r"),
        ):
            for part, line in ((slice(None, -1), dash), (slice(-2, None), "dot")):
                figure.add_scatter(
                    x=found.sizes[part].tolist(), y=_blank(values[part]), mode="lines+markers",
                    name=f"{name}, {bin_names(results)[found.curve.time_bin]} ms: {what}",
                    legendgroup=f"{name}{what}", showlegend=line != "dot",
                    line={"color": look.colour, "dash": line},
                    marker={"symbol": symbol, "size": 8},
                    hovertemplate="%{x:.0f} training stimuli<br>" + what + " %{y:.3f}",
                )  # fmt: skip
    figure.update_xaxes(title="training stimuli (dotted: extrapolated)", rangemode="tozero")
    figure.update_yaxes(title="r on the same held-out stimuli")
    return _html(figure, 420)


def draw_differences(results: Results, comparisons: Sequence[Comparison]) -> str | None:
    """How two models differ over time, of the pair that is chosen; bins that differ are filled."""
    defined = [each for each in comparisons if np.isfinite(each.over_time).any()]
    if not defined:
        return None
    figure = go.Figure()
    for index, each in enumerate(defined):
        told = [
            f"difference {d:.3f}, {_p(p)}"
            for d, p in zip(each.over_time, each.p_over_time, strict=True)
        ]
        figure.add_scatter(
            x=bin_middles(results), y=_blank(each.over_time), mode="lines+markers", text=told,
            hovertemplate="%{text}", name=compared(results, each), visible=index == 0,
            line={"color": "#0072B2"},
            marker={"symbol": ["circle" if d else "circle-open" for d in differs(each)], "size": 9},
        )  # fmt: skip
    _choice(figure, [compared(results, each) for each in defined])
    figure.add_hline(0, line={"color": _FAINT})
    figure.update_xaxes(title="time from image onset (ms)")
    figure.update_yaxes(title="difference of r")
    return _html(figure, 360)


def draw_layer_differences(results: Results, found: ByLayer) -> str:
    """How two models differ in each layer and bin; a dot where p, corrected for all, is < .05."""
    figure = go.Figure()
    told = [
        [
            "undefined" if not np.isfinite(d) else f"difference {d:.3f}<br>{_p(p)}"
            for d, p in zip(*rows, strict=True)
        ]
        for rows in zip(found.difference, found.p, strict=True)
    ]
    names = bin_names(results)
    limit = colour_limit([found.difference])
    _heat(figure, found.difference, names, found.layers, told, limit, True)
    layer, time = np.nonzero(found.p < ALPHA)
    figure.add_scatter(
        x=[names[index] for index in time], y=[found.layers[index] for index in layer],
        mode="markers", marker={"color": "black", "size": 5}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(title="bin (ms)", type="category")
    return _html(figure, 180 + 26 * len(found.layers))


def _line(
    figure: go.Figure,
    results: Results,
    name: str,
    values: Predictivity,
    colour: str,
    marker: str,
    dash: str,
    visible: bool = True,
) -> None:
    """A line with its band of error."""
    x = bin_middles(results)
    known = np.isfinite(values.r) & np.isfinite(values.error)
    edge: list[float | None] = []
    height: list[float | None] = []
    places = np.flatnonzero(known)
    low, high = values.r - values.error, values.r + values.error
    for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
        edge += [*x[run], *x[run][::-1], None]  # each run of defined bins by itself
        height += [*high[run], *low[run][::-1], None]
    told = [
        f"r {with_error(r, error)}, {_known('ceiling', ceiling)}, {neurons} neurons"
        for r, error, ceiling, neurons in zip(
            values.r, values.error, values.ceiling, values.neurons, strict=True
        )
    ]
    figure.add_scatter(
        x=x, y=_blank(values.r), mode="lines+markers", name=name, text=told, visible=visible,
        hovertemplate="%{text}", legendgroup=name, line={"color": colour, "dash": dash},
        marker={"symbol": marker, "size": 7},
    )  # fmt: skip
    figure.add_scatter(
        x=edge, y=height, fill="toself",
        fillcolor=colour, opacity=0.2, line={"width": 0}, hoverinfo="skip", showlegend=False,
        visible=visible, legendgroup=name, mode="lines",
    )  # fmt: skip


def _heat(
    figure: go.Figure,
    cells: Array,
    x: Sequence[str],
    y: Sequence[str],
    told: Sequence[Sequence[str]],
    limit: float,
    visible: bool,
) -> None:
    figure.add_heatmap(
        z=[_blank(row) for row in cells], x=list(x), y=list(y), text=told, visible=visible,
        zmin=-limit, zmax=limit, colorscale="RdBu_r", colorbar={"title": "r"},
        hovertemplate="%{y}, %{x} ms<br>%{text}<extra></extra>", xgap=1, ygap=1,
    )  # fmt: skip


def _choice(figure: go.Figure, views: Sequence[str]) -> None:
    """A menu of what is shown: the traces of one view, and those that always are."""
    names = [name for name in dict.fromkeys(views) if name != "always"]
    if len(names) < 2:
        return
    buttons = [
        {
            "label": name,
            "method": "restyle",
            "args": [{"visible": [view in (name, "always") for view in views]}],
        }
        for name in names
    ]
    menu = {
        "buttons": buttons, "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom",
        "bgcolor": "#f4f4f4", "bordercolor": "#888", "font": {"color": "#222"},
    }  # fmt: skip
    figure.update_layout(updatemenus=[menu])


def _html(figure: go.Figure, height: int) -> str:
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 70, "r": 20, "t": 50, "b": 90},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor=_BLANK,
        hovermode="closest",
        font={"family": "system-ui, sans-serif", "size": 13},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#888", "activecolor": "#888"},
        legend={"orientation": "h", "yref": "container", "y": 0.01, "yanchor": "bottom"},
        hoverlabel={"bgcolor": "#fff", "bordercolor": "#888", "font": {"color": "#222"}},
    )
    figure.update_xaxes(gridcolor=_FAINT, zerolinecolor=_FAINT, automargin=True)
    figure.update_yaxes(
        gridcolor=_FAINT, zerolinecolor=_FAINT, automargin=True, exponentformat="none"
    )
    # Named one by one: others would send the figure to a server.
    buttons = [["toImage", "zoom2d", "pan2d", "resetScale2d"]]
    config = {"displaylogo": False, "responsive": True, "modeBarButtons": buttons}
    digest = hashlib.sha256(figure.to_json().encode()).hexdigest()[:12]  # the same in every run
    drawn: str = figure.to_html(
        config=config,
        include_plotlyjs=False,
        full_html=False,
        default_height=height,
        div_id=f"figure-{digest}",
    )
    return drawn


def _p(p: float) -> str:
    return f"p {p:.3g}" if np.isfinite(p) else "not tested"


def _known(name: str, value: float) -> str:
    return f"{name} {value:.3f}" if np.isfinite(value) else f"no {name}"


def _blank(values: Array) -> list[float | None]:
    """NaN as what plotly draws nothing for; four digits, which is what a reader sees."""
    return [None if not np.isfinite(value) else round(float(value), 4) for value in values]


def _viridis(share: float) -> str:
    from plotly.colors import sample_colorscale

    (colour,) = sample_colorscale("Viridis", [0.9 * share])
    return str(colour)
