"""A comparison of runs to be read: as text for a terminal, and as one page of HTML.

The page asks no other host for anything, fits a phone and takes the reader's light or dark.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from bessvpp.runs.compare import Band, Comparison, Pair
from bessvpp.runs.headline import LAKH, text_table
from bessvpp.runs.names import figure_text, policy_name, worst_share
from bessvpp.runs.parameter_names import parameter_name, value_in_words

Rows = Sequence[Mapping[str, str]]
FIGURES = {  # key: name with unit, divisor, form
    "mean_rs": ("Mean of a day, lakh Rs", LAKH, "{:,.2f}"),
    "cvar_rs": ("CVaR of a day, lakh Rs", LAKH, "{:,.2f}"),
    "worst_day_rs": ("Worst day, lakh Rs", LAKH, "{:,.2f}"),
    "gain_over_nothing_rs": ("Gain of a day over nothing committed, lakh Rs", LAKH, "{:+,.2f}"),
    "capture": ("Share of the ceiling", 1.0, "{:.1%}"),
    "cycles_per_day": ("Cycles a day", 1.0, "{:.2f}"),
    "mean_rs_per_mwh_nameplate": ("Mean of a day by nameplate, Rs/MWh", 1.0, "{:,.0f}"),
    "e_end_mwh": ("Energy left after the last day, MWh", 1.0, "{:,.0f}"),
    "planned_mean_rs": ("Mean of a day as planned, lakh Rs", LAKH, "{:,.2f}"),
    "promise_missed": ("Promise of the fan missed by", 1.0, "{:.1%}"),
}
DATA = {
    "market": "Market",
    "source": "Read from, or made as",
    "prices_first_day": "First day of prices",
    "prices_last_day": "Last day of prices",
    "prices_sha256": "Prices, sha256",
    "block_minutes": "Block, minutes",
    "settled_first_day": "First settled day",
    "settled_last_day": "Last settled day",
    "settled_days": "Settled days",
    "fan_original_sha256": "Original fan, sha256",
    "fan_recalibrated_sha256": "Recalibrated fan, sha256",
    "commit": "Code, commit",
}
OPEN = "these days do not tell the two apart"


def as_text(found: Comparison) -> str:
    """The comparison for a terminal."""
    parts = [
        _title(found),
        "\n".join(pair_in_words(pair) for pair in found.pairs),
        text_table("Figures of each run's plan", figure_rows(found)),
        text_table("Mean of a day by policy, lakh Rs", policy_rows(found)),
    ]
    if points := frontier_rows(found):
        parts.append(text_table("Frontier: mean / CVaR of a day as realised, lakh Rs", points))
    if parameters := parameter_rows(found):
        parts.append(text_table("Parameters that differ", parameters))
    else:
        parts.append("No parameter differs.")
    parts += [text_table("Data (* differs)", data_rows(found))]
    parts += [textwrap.fill(_meanings(found), 100)]
    return "\n\n".join(parts)


def _title(found: Comparison) -> str:
    first, *others = (run.name for run in found.runs)
    return f"{', '.join(others)} against {first}"


def _meanings(found: Comparison) -> str:
    """What figures and bands are, the tail share of each run's CVaR among them."""
    shares = {run.name: worst_share(run.alpha) for run in found.runs}
    of_each = ", ".join(f"{share} in {name}" for name, share in shares.items())
    share = next(iter(shares.values())) if len({*shares.values()}) == 1 else of_each
    return (
        "Money in lakh Rs (Rs 100,000). Bands hold 90 % of 20,000 draws of the days in blocks, the "
        f"same days for both runs. CVaR is the mean of {share}. Energy that is left in the battery "
        "after the last day counts in no figure."
    )


def pair_in_words(pair: Pair) -> str:
    """What a pair of runs comes to, in a sentence."""
    if pair.mean is None:
        return f"{pair.run} and {pair.against}: no paired band: {pair.why_not}."
    told = f"{pair.run}: {_band_in_words(pair.mean)} lakh Rs a day over {pair.against}"
    tail = f"; CVaR {_band_in_words(pair.cvar)}" if pair.cvar else "; CVaR with another tail share"
    doubt = f"; {OPEN}" if pair.mean.verdict == "open" else ""
    return f"{told}{tail}; {pair.n_days} days in pairs{doubt}."


def _band_in_words(band: Band) -> str:
    value, low, high = (
        figure_text(x / LAKH, "+,.2f") for x in (band.difference_rs, band.low_rs, band.high_rs)
    )
    return f"{value} ({low} to {high})"


def figure_rows(found: Comparison) -> Rows:
    """A row a figure of the plans, a column a run."""
    plans = [policy_name(run.plan) for run in found.runs]
    ways = [run.way.removeprefix("with ") for run in found.runs]
    rows = [_row(found, "Plan", plans), _row(found, "Settled", ways)]
    for key, values in found.figures.items():
        name, unit, form = FIGURES[key]
        if any(value is not None for value in values):
            rows.append(_row(found, name, [_figure(value, unit, form) for value in values]))
    return rows


def policy_rows(found: Comparison) -> Rows:
    """A row a policy, a column a run."""
    return [
        _row(found, policy_name(name), [_figure(value, LAKH, "{:,.2f}") for value in values])
        for name, values in found.policies.items()
    ]


def frontier_rows(found: Comparison) -> Rows:
    """A row a lambda that two runs have, a column a run."""
    lambdas = sorted({at for run in found.runs for at in run.frontier})
    shared = [at for at in lambdas if sum(at in run.frontier for run in found.runs) > 1]
    return [
        _row(found, f"λ {at:g}", [_point(run.frontier.get(at)) for run in found.runs])
        for at in shared
    ]


def _point(point: Mapping[str, float] | None) -> str:
    if point is None:
        return "–"
    mean, tail = (point[f"realised_{kind}_rs"] / LAKH for kind in ("mean", "cvar"))
    return f"{mean:,.2f} / {tail:,.2f}"


def parameter_rows(found: Comparison) -> Rows:
    """A row a parameter that differs, a column a run."""
    return [
        _row(
            found,
            parameter_name(place),
            ["–" if v is ... else value_in_words(v, place.split(".")[-1]) for v in values],
        )
        for place, values in found.parameters.items()
    ]


def data_rows(found: Comparison) -> Rows:
    """A row a fact of the data, a column a run; those that differ carry a star."""
    return [
        _row(found, DATA[key] + " *" * (len({*values} - {"–"}) > 1), values)
        for key, values in found.data.items()
        if {*values} != {"–"}
    ]


def _row(found: Comparison, name: str, values: Sequence[str]) -> dict[str, str]:
    names = (run.name for run in found.runs)
    return {" ": name, **dict(zip(names, values, strict=True))}


def _figure(value: float | None, unit: float, form: str) -> str:
    return "–" if value is None else form.format(value / unit).replace("-", "−")


# ---------------------------------------------------------------------- the page

STYLE = """
:root { color-scheme: light dark; --ink: #17202a; --soft: #55606d; --line: #d5dae0; --page: #fff;
  --up: #00664a; --down: #a84300; --open: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #a9b1bb; --line: #414852;
  --page: #14181d; --up: #4cc9a0; --down: #f0925a; --open: #9aa3ae; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1, p, .pair span { overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin: 2rem 0 0.4rem; }
p { max-width: 44rem; } .note { color: var(--soft); font-size: 0.92rem; }
.box { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.35rem 0.6rem; text-align: right; vertical-align: baseline;
  border-bottom: 1px solid var(--line); }
th, td { min-width: 6rem; max-width: 16rem; }
thead :is(th, td) { border-bottom: 2px solid var(--soft); }
tbody th { font-weight: normal; text-align: left; min-width: 8rem; max-width: 40vw;
  position: sticky; left: 0; background: var(--page); }
.pair { display: grid; grid-template-columns: minmax(6rem, 12rem) 1fr; gap: 0 1rem; }
.pair p { grid-column: 1 / -1; margin: 0.8rem 0 0; }
.track { position: relative; height: 1.5rem; border-bottom: 1px solid var(--line); }
.track i { position: absolute; display: block; }
.pair .unit, .axis { color: var(--soft); font-size: 0.8rem; }
.axis { position: relative; }
.axis span { position: absolute; top: 0; padding-top: 0.3rem; transform: translateX(-50%);
  white-space: nowrap; }
.axis span::before { content: ""; position: absolute; left: 50%; top: 0; height: 0.3rem;
  border-left: 1px solid var(--soft); }
.zero { width: 1px; top: 0; bottom: 0; background: var(--soft); }
.band { height: 4px; top: 10px; background: currentColor; }
.dot { width: 12px; height: 12px; top: 6px; margin-left: -6px; border-radius: 50%;
  background: currentColor; }
.ahead { color: var(--up); } .behind { color: var(--down); } .open { color: var(--open); }
"""


def as_html(found: Comparison) -> str:
    """The comparison as one page that stands by itself."""
    title = escape(_title(found))
    parameters = parameter_rows(found)
    points = frontier_rows(found)
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="note">{escape(_meanings(found))}</p>',
        "<h2>How far apart</h2>",
        _pairs(found.pairs),
        _section("Figures of each run's plan", figure_rows(found)),
        _section("Mean of a day by policy, lakh Rs", policy_rows(found)),
        _section("Frontier: mean / CVaR of a day as realised, lakh Rs", points) if points else "",
        _section("Parameters that differ", parameters)
        if parameters
        else "<h2>Parameters</h2><p>None differs.</p>",
        _section("Data (* differs)", data_rows(found)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _section(title: str, rows: Rows) -> str:
    heads = "".join(f'<th scope="col">{escape(head.strip())}</th>' for head in rows[0])
    heads = heads.replace('<th scope="col"></th>', "<td></td>", 1)
    body = "".join(f"<tr>{_cells(list(row.values()))}</tr>" for row in rows)
    return (
        f'<h2>{escape(title)}</h2><div class="box" tabindex="0" role="region" '
        f'aria-label="{escape(title)}"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(cells: Sequence[str]) -> str:
    first, *rest = map(escape, cells)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest)


def _pairs(pairs: Sequence[Pair]) -> str:
    """Each pair in a sentence; the differences of the means drawn on one axis with zero."""
    ends = [rs for p in pairs if p.mean for rs in (p.mean.low_rs, p.mean.high_rs)]
    low, high = min(0.0, *ends, 0.0), max(0.0, *ends, 0.0)
    width = high - low or 1.0

    def place(rs: float) -> float:
        return 2 + 96 * (rs - low) / width

    axis = "".join(
        f'<span style="left:{place(lakh * LAKH):.2f}%">{figure_text(lakh, "+g") if lakh else 0}'
        "</span>"
        for lakh in round_figures(low / LAKH, high / LAKH)
    )
    return "".join(_drawn(pair, place, axis) for pair in pairs)


def round_figures(low: float, high: float) -> list[float]:
    """Figures of an axis from ``low`` to ``high``, which has zero: two to five of them."""
    least = (high - low or 1.0) / 4
    power = 10.0 ** math.floor(math.log10(least))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= least)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _drawn(pair: Pair, place: Callable[[float], float], axis: str) -> str:
    words = f"<p>{escape(pair_in_words(pair))}</p>"
    if pair.mean is None:
        return f'<div class="pair">{words}</div>'
    at: dict[str, Any] = {key: place(getattr(pair.mean, f"{key}_rs")) for key in ("low", "high")}
    middle = place(pair.mean.difference_rs)
    return (
        f'<div class="pair">{words}<span>{escape(pair.run)}</span>'
        f'<div class="track {pair.mean.verdict}" role="img" '
        f'aria-label="{escape(_band_in_words(pair.mean))} lakh Rs a day, with zero marked">'
        f'<i class="zero" style="left:{place(0.0):.2f}%"></i>'
        f'<i class="band" style="left:{at["low"]:.2f}%;width:{at["high"] - at["low"]:.2f}%"></i>'
        f'<i class="dot" style="left:{middle:.2f}%"></i></div>'
        f'<span class="unit">lakh Rs a day</span><div class="axis">{axis}</div></div>'
    )
