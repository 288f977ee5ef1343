"""Plotly's figures of fits, for the page: hover for values, choose a model or layer.

Each function gives one figure as an HTML fragment; the page holds plotly's script once. Colours of
text and grid suit a light and a dark page alike.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.results import MIN_RELIABILITY, Predictivity, Results
from convrnns_brainscore.fits.statistics import ByLayer, Comparison
from convrnns_brainscore.report.fit_numbers import (
    ALPHA,
    best_curves,
    best_layers,
    bin_middles,
    bin_names,
    colour_limit,
    colour_range,
    compared,
    crossed_maps,
    differs,
    jittered,
    latency_choices,
    layer_learning,
    layer_maps,
    layer_names,
    layer_places,
    neuron_r,
    neuron_scores,
    noise_ceiling,
)
from convrnns_brainscore.report.style import styles
from convrnns_brainscore.report.tables import with_error

MOST_DOTS = 1000
"""Neurons of a region that are drawn as dots of each model; of more, so many at random."""

MOST_BEHIND = 200
"""The same of dots behind each layer's r."""

_GRAY, _BLUE = "#808080", "#0072B2"
_FAINT = "rgba(128,128,128,0.35)"
_BLANK = "rgba(128,128,128,0.15)"
BEST = "best layer of each model"
CEILING = "noise ceiling, √reliability"

Array = NDArray[np.float64]


def draw_over_time(results: Results, region: str) -> str:
    """r of each bin with its error and the noise ceiling: each model's best layer, or all layers of
    one model, to be chosen; of a single bin, r of every layer."""
    if results.root.sizes["time_bin"] == 1:
        return draw_one_bin(results, region)
    figure = go.Figure()
    views: list[str] = []
    looks, curves = styles(results.models), best_curves(results, region)
    for curve in curves:
        look, name = looks[curve.model], _broken(f"{curve.name} {curve.layer}")
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
        x = bin_middles(results)
        figure.add_scatter(
            x=x.tolist(), y=_blank(top.r), mode="lines", name=CEILING, meta=["SD over halvings"],
            customdata=[_blank(top.high - top.r)],
            line={"color": _GRAY, "dash": "dash"}, hovertemplate="ceiling %{y:.3f}",
        )  # fmt: skip
        _band(figure, x, top.low, top.high, _GRAY, CEILING)
        views += ["always"] * 2
    figure.update_xaxes(title="time from image onset (ms)", rangemode="tozero")
    figure.update_yaxes(title="r on held-out stimuli", rangemode="tozero")
    return _html(figure, 420, views)


def draw_one_bin(results: Results, region: str) -> str:
    """r of every layer in the only bin with its error; single neurons behind, and the noise
    ceiling as a band."""
    figure = go.Figure()
    looks, maps = styles(results.models), layer_maps(results, region)
    names, dots = layer_names(maps), thinned(int(results.neurons(region).sum()), MOST_BEHIND)
    ids = results.root["neuroid_id"].values[results.neurons(region)][dots].tolist()
    for place, found in enumerate(maps):
        look, x = looks[found.model], layer_places(maps, place)
        every = [neuron_r(results, found.model, layer, region, 0)[dots] for layer in found.layers]
        figure.add_scatter(
            x=np.concatenate([jittered(middle, len(dots)) for middle in x]).round(3).tolist(),
            y=_blank(np.concatenate(every)), mode="markers", hoverinfo="skip", showlegend=False,
            name=f"{_broken(found.name)}: single neurons", legendgroup=found.name,
            meta=["layer", "neuron"], customdata=[
                [layer for layer in found.layers for _ in ids],
                [name for _ in found.layers for name in ids],
            ],
            marker={"color": look.colour, "size": 4, "opacity": 0.35},
        )  # fmt: skip
        values = found.values
        figure.add_scatter(
            x=x.tolist(), y=_blank(found.r[:, 0]), mode="markers", name=_broken(found.name),
            legendgroup=found.name, meta=["layer", "error", "ceiling", "neurons"],
            customdata=[
                found.layers, *(_blank(np.array([getattr(v, name)[0] for v in values]))
                                for name in ("error", "ceiling", "neurons")),
            ],
            text=[f"{layer}: {_told(v, 0)}" for layer, v in zip(found.layers, values, strict=True)],
            hovertemplate="%{text}", marker={
                "color": look.colour, "symbol": look.marker[1], "size": 8},
            error_y={"array": _blank(np.array([v.error[0] for v in values]))},
        )  # fmt: skip
    top = noise_ceiling(maps)
    if top is not None:
        ends = np.array([-0.5, len(names) - 0.5])
        figure.add_scatter(
            x=ends.tolist(), y=_blank(np.repeat(top.r, 2)), mode="lines", name=CEILING,
            line={"color": _GRAY, "dash": "dash"}, hovertemplate="ceiling %{y:.3f}",
        )  # fmt: skip
        _band(figure, ends, np.repeat(top.low, 2), np.repeat(top.high, 2), _GRAY, CEILING)
    figure.update_xaxes(
        tickvals=list(range(len(names))), ticktext=names, range=[-0.6, len(names) - 0.4],
        title=f"layer; responses in {bin_names(results)[0]} ms", zeroline=False,
    )  # fmt: skip
    figure.update_yaxes(title="r on held-out stimuli", rangemode="tozero")
    return _html(figure, 420)


def draw_layers(results: Results, region: str) -> list[str]:
    """r of every layer at every bin, a figure for each model; a ring marks each bin's best layer.
    Of a single bin there is nothing to show over time."""
    if results.root.sizes["time_bin"] == 1:
        return []
    maps = layer_maps(results, region)
    ends = colour_range(each.r for each in maps)
    drawn = []
    for found in maps:
        figure = go.Figure()
        told = [
            [why or _told(v, index) for index, why in enumerate(v.undefined)] for v in found.values
        ]
        _heat(figure, found.r, bin_names(results), found.layers, told, ends, found.name)
        if len(found.layers) > 1:
            best = [
                (time, layer) for time, layer in enumerate(best_layers(found)) if layer is not None
            ]
            figure.add_scatter(
                x=[bin_names(results)[time] for time, _ in best],
                y=[found.layers[layer] for _, layer in best],
                mode="markers", hoverinfo="skip", showlegend=False, name="best layer",
                marker={"color": "white", "symbol": "circle-open", "size": 7},
            )  # fmt: skip
        _add_title(figure, found.name)
        figure.update_xaxes(title="time bin (ms from image onset)", type="category")
        drawn.append(_html(figure, 190 + 26 * len(found.layers)))
    return drawn


def draw_choice(results: Results, region: str) -> list[str]:
    """r on validation stimuli of every layer at every latency, a figure for each model; a star
    marks the chosen pair. Nothing where only one latency was tried."""
    choices = latency_choices(results, region)
    ends = colour_range(choice.validated for choice in choices.values())
    drawn = []
    for model, choice in choices.items():
        figure, x = go.Figure(), [f"{latency:g}" for latency in choice.latencies]
        told = [
            [f"r {r:.3f}" if np.isfinite(r) else "undefined" for r in row]
            for row in choice.validated
        ]
        name = results.display_name(model)
        _heat(figure, choice.validated, x, choice.layers, told, ends, name)
        figure.add_scatter(
            x=[f"{choice.latency:g}"], y=[choice.layer], mode="markers", hoverinfo="skip",
            showlegend=False, name="chosen",
            marker={
                "color": "white", "symbol": "star", "size": 11,
                "line": {"color": "black", "width": 1},
            },
        )  # fmt: skip
        _add_title(figure, name)
        figure.update_xaxes(title="latency (ms)", type="category")
        drawn.append(_html(figure, 190 + 26 * len(choice.layers)))
    return drawn


def draw_neurons(results: Results, region: str) -> str:
    """Each neuron's r at the best bin of each model's best layer against its reliability there;
    where no neuron has a reliability, against its r from the image itself. Beside it the
    distribution of r."""
    figure = go.Figure()
    looks = styles(results.models)
    every = neuron_scores(results, region)
    reliable = any(found.reliable for found in every)
    base = next((found for found in every if found.model == control.NAME), None)
    for found in every:
        drawn = thinned(len(found.neurons))
        name = _broken(f"{found.name} {found.layer}, {bin_names(results)[found.time_bin]} ms")
        against = found.reliability if reliable else None if base is None else base.r
        if against is not None and (reliable or found is not base):
            figure.add_scatter(
                x=_blank(against[drawn]), y=_blank(found.r[drawn]), mode="markers", name=name,
                text=[found.neurons[index] for index in drawn], legendgroup=name,
                meta=["neuron"], customdata=[[found.neurons[index] for index in drawn]],
                hovertemplate="neuron %{text}<br>%{x:.2f}<br>r %{y:.3f}",
                marker={
                    "color": looks[found.model].colour, "symbol": looks[found.model].marker[1],
                    "size": 6, "opacity": 0.6,
                },
            )  # fmt: skip
        figure.add_histogram(
            y=_blank(found.r), nbinsy=30, xaxis="x2", name=name, legendgroup=name,
            showlegend=against is None or (not reliable and found is base), opacity=0.5,
            marker={"color": looks[found.model].colour}, hovertemplate="%{x} neurons, r %{y}",
        )  # fmt: skip
    if reliable:
        line = np.linspace(0, 1, 60)
        figure.add_scatter(
            x=line.tolist(), y=np.sqrt(line).tolist(), mode="lines", name="√reliability",
            hoverinfo="skip", line={"color": _GRAY, "dash": "dash"},
        )  # fmt: skip
        figure.add_vline(MIN_RELIABILITY, line={"color": _FAINT, "dash": "dot"})
        figure.update_xaxes(title="split-half reliability")
    elif base is not None:
        low, high = float(np.nanmin(base.r)), float(np.nanmax(base.r))
        figure.add_scatter(
            x=[low, high], y=[low, high], mode="lines", name="equal", hoverinfo="skip",
            line={"color": _GRAY, "dash": "dash"},
        )  # fmt: skip
        figure.update_xaxes(title="r of the control")
    figure.update_layout(
        barmode="overlay",
        xaxis={"domain": [0, 0.78]},
        xaxis2={"domain": [0.82, 1], "title": "n"},
    )
    figure.update_yaxes(title="r on held-out stimuli")
    return _html(figure, 440)


def thinned(neurons: int, most: int = MOST_DOTS) -> NDArray[np.intp]:
    """Positions of the neurons that are drawn, the same for all models."""
    if neurons <= most:
        return np.arange(neurons)
    return np.sort(np.random.default_rng(0).choice(neurons, most, replace=False))


def draw_crossed(results: Results, region: str) -> str | None:
    """r of features of one bin against responses of another, of the layer that is chosen; None:
    they were not fitted."""
    panels = crossed_maps(results, region)
    if not panels:
        return None
    figure = go.Figure()
    ends, names = colour_range(panels.values()), bin_names(results)
    for index, (name, cells) in enumerate(panels.items()):
        told = [[f"r {r:.3f}" if np.isfinite(r) else "undefined" for r in row] for row in cells]
        _heat(figure, cells, names, names, told, ends, name, index == 0)
    figure.update_xaxes(title="recording's bin (ms)", type="category")
    figure.update_yaxes(title="features' bin (ms)", type="category")
    return _html(figure, 520, list(panels))


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
            if not np.isfinite(values).any():
                continue
            for part, line in ((slice(None, -1), dash), (slice(-2, None), "dot")):
                figure.add_scatter(
                    x=found.sizes[part].tolist(), y=_blank(values[part]), mode="lines+markers",
                    name=_broken(f"{name}, {bin_names(results)[found.curve.time_bin]} ms: {what}"),
                    legendgroup=f"{name}{what}", showlegend=line != "dot",
                    meta=["extrapolated"], customdata=[[
                        "yes" if line == "dot" and size == found.sizes[-1] else "no"
                        for size in found.sizes[part]
                    ]],
                    line={"color": look.colour, "dash": line},
                    marker={"symbol": symbol, "size": 8},
                    hovertemplate="%{x:.0f} training stimuli<br>" + what + " %{y:.3f}",
                )  # fmt: skip
    figure.update_xaxes(title="training stimuli (dotted: extrapolated)", rangemode="tozero")
    figure.update_yaxes(title="r on held-out stimuli")
    return _html(figure, 420)


def draw_differences(results: Results, comparisons: Sequence[Comparison]) -> str | None:
    """How two models differ over time, with the error, of the pair that is chosen; bins that differ
    are filled. Of a single bin, all pairs beside each other."""
    defined = [each for each in comparisons if np.isfinite(each.over_time).any()]
    if not defined:
        return None
    figure, middles = go.Figure(), bin_middles(results)
    one_bin, views = len(middles) == 1, []
    for index, each in enumerate(defined):
        told = [
            f"difference {with_error(d, error)}, {_p(p)}"
            for d, error, p in zip(
                each.over_time, each.error_over_time, each.p_over_time, strict=True
            )
        ]
        pair, marked = _broken(compared(results, each)), differs(each)
        figure.add_scatter(
            x=[index] if one_bin else middles.tolist(), y=_blank(each.over_time),
            mode="lines+markers", text=told, hovertemplate="%{text}", name=pair,
            meta=["error", "p"], visible=one_bin or index == 0, line={"color": _BLUE},
            customdata=[_blank(each.error_over_time), _blank(each.p_over_time)],
            marker={"symbol": ["circle" if d else "circle-open" for d in marked], "size": 9},
            error_y={"array": _blank(each.error_over_time)} if one_bin else None,
            showlegend=not one_bin,
        )  # fmt: skip
        views.append("always" if one_bin else compared(results, each))
        if not one_bin:
            low, high = (each.over_time + sign * each.error_over_time for sign in (-1, 1))
            _band(figure, middles, low, high, _BLUE, pair, visible=index == 0)
            views.append(compared(results, each))
    figure.add_hline(0, line={"color": _FAINT})
    figure.update_yaxes(title="difference in r")
    if one_bin:
        names = [_broken(compared(results, each), 24) for each in defined]
        figure.update_xaxes(
            tickvals=list(range(len(defined))), ticktext=names,
            range=[-0.6, len(defined) - 0.4], zeroline=False,
        )  # fmt: skip
    else:
        figure.update_xaxes(title="time from image onset (ms)")
    return _html(figure, 360, views)


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
    name = f"{found.first} − {found.second}"
    _heat(
        figure, found.difference, names, found.layers, told, (-limit, limit), name, scale="RdBu_r"
    )
    layer, time = np.nonzero(found.p < ALPHA)
    figure.add_scatter(
        x=[names[index] for index in time], y=[found.layers[index] for index in layer],
        mode="markers", marker={"color": "black", "size": 5}, hoverinfo="skip", showlegend=False,
        name=f"p < {ALPHA}",
    )  # fmt: skip
    figure.update_xaxes(title="time bin (ms from image onset)", type="category")
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
    figure.add_scatter(
        x=x.tolist(), y=_blank(values.r), mode="lines+markers", name=name,
        text=[_told(values, index) for index in range(len(x))], visible=visible,
        hovertemplate="%{text}", legendgroup=name, line={"color": colour, "dash": dash},
        marker={"symbol": marker, "size": 7}, meta=["error", "ceiling", "neurons"],
        customdata=[
            _blank(values.error), _blank(values.ceiling), _blank(values.neurons.astype(float)),
        ],
    )  # fmt: skip
    _band(figure, x, values.r - values.error, values.r + values.error, colour, name, visible)


def _band(
    figure: go.Figure,
    x: Array,
    low: Array,
    high: Array,
    colour: str,
    group: str,
    visible: bool = True,
) -> None:
    """The area between two lines; each run of defined places by itself."""
    edge: list[float | None] = []
    height: list[float | None] = []
    places = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
    for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
        edge += [*x[run].tolist(), *x[run][::-1].tolist(), None]
        height += [*_blank(high[run]), *_blank(low[run][::-1]), None]
    figure.add_scatter(
        x=edge, y=height, fill="toself", fillcolor=colour, opacity=0.2, line={"width": 0},
        hoverinfo="skip", showlegend=False, visible=visible, legendgroup=group, mode="lines",
    )  # fmt: skip


def _heat(
    figure: go.Figure,
    cells: Array,
    x: Sequence[str],
    y: Sequence[str],
    told: Sequence[Sequence[str]],
    ends: tuple[float, float],
    name: str,
    visible: bool = True,
    scale: str = "Viridis",
) -> None:
    ticks = sorted({ends[0], 0.0, ends[1] / 2, ends[1]})
    figure.add_heatmap(
        z=[_blank(row) for row in cells], x=list(x), y=list(y), text=told, visible=visible,
        name=name,
        zmin=ends[0], zmax=ends[1], colorscale=scale,
        colorbar={
            "title": "r", "thickness": 14, "ticklen": 3,
            "tickvals": ticks, "ticktext": [f"{tick:.2f}" for tick in ticks],
        },
        hovertemplate="%{y}, %{x} ms<br>%{text}<extra></extra>", xgap=1, ygap=1,
    )  # fmt: skip


def _html(figure: go.Figure, height: int, views: Sequence[str] = ()) -> str:
    """The figure as HTML, and above it a menu of its views where there are several.

    Parameters
    ----------
    views : sequence of str
        The view of each trace; ``"always"``: of all.
    """
    titles = [each.text for each in figure.layout.annotations]
    above = 8 + 20 * (titles[0].count("<br>") + 1) if titles else 10
    figure.update_layout(
        template="none",
        height=height,
        margin={
            "l": 70,
            "r": 20,
            "t": above,
            "b": 90,
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor=_BLANK,
        hovermode="closest",
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={"orientation": "h", "yref": "container", "y": 0.01, "yanchor": "bottom"},
        hoverlabel={"bgcolor": "#fff", "bordercolor": "#888", "font": {"color": "#222"}},
    )
    figure.update_xaxes(gridcolor=_FAINT, zerolinecolor=_FAINT, automargin=True)
    figure.update_yaxes(
        gridcolor=_FAINT, zerolinecolor=_FAINT, automargin=True, exponentformat="none"
    )
    digest = hashlib.sha256(figure.to_json().encode()).hexdigest()[:12]  # the same in every run
    drawn: str = figure.to_html(
        config={"displayModeBar": False, "responsive": True},
        include_plotlyjs=False,
        full_html=False,
        default_height=height,
        div_id=f"figure-{digest}",
    )
    names = [name for name in dict.fromkeys(views) if name != "always"]
    if len(names) < 2:
        return drawn
    options = "".join(f"<option>{escape(name)}</option>" for name in names)
    shown = escape(json.dumps(list(views)))
    menu = f'<select data-views="{shown}" aria-label="what is shown">{options}</select>'
    return f'<label class="view">Show {menu}</label>{drawn}'


def _told(values: Predictivity, index: int) -> str:
    """What the mouse is told of a layer in a bin."""
    return (
        f"r {with_error(values.r[index], values.error[index])}<br>"
        f"{_known('ceiling', values.ceiling[index])}<br>{values.neurons[index]} neurons"
    )


def _add_title(figure: go.Figure, name: str) -> None:
    """A title that may have several lines, from the top of the panel upwards."""
    figure.add_annotation(
        text=_broken(name), x=0, y=1, xref="paper", yref="paper", xanchor="left",
        yanchor="bottom", align="left", showarrow=False,
    )  # fmt: skip


def _broken(name: str, width: int = 36) -> str:
    """A long name, such as that of a lesion, on several lines."""
    return "<br>".join(textwrap.wrap(name, width))


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
