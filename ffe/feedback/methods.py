"""The two curves that a calibration can be: from a number in [0, 1] to the share of such decisions that paid, strictly inside (0, 1).

`temperature` is a straight line on the logit (Platt's method, whose slope is one over the temperature): two parameters, for
few grades. `isotonic` is any rising curve, piecewise linear: it follows the grades wherever they lead and needs many of them. Neither falls: a
surer answer is never made less sure than a less sure one. Neither reaches beyond what was graded: a value outside counts as the nearest
graded one. Parameters are plain numbers and lists of them, so that they can be written down as JSON.

scipy is imported by the first fit: applying a curve needs none of it, and every decision is made by a process that should start soon.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ffe.feedback.scores import Floats

ISOTONIC, TEMPERATURE = "isotonic", "temperature"
# An answer of 0 or 100 % has no logit. One in a thousand leaves such an answer some weight, and not the whole line.
LEAST_INPUT = 1e-3
# Log-odds of the surest possible result, about one in a million.
SUREST = 14.0
# Log-odds that spread less than this are one value: no line can be told from them.
ONE_VALUE = 1e-6


def fit_curve(method: str, values: Sequence[float], paid: Sequence[bool]) -> dict[str, Any]:
    """Parameters of `method` for n values in [0, 1] (n at least 1) and whether each of those decisions paid.

    Raises:
        ValueError: the method is neither of the two.
    """
    fit = {ISOTONIC: _fit_isotonic, TEMPERATURE: _fit_temperature}.get(method)
    if fit is None:
        raise ValueError(f"calibration method {method!r} is neither {ISOTONIC} nor {TEMPERATURE}")
    return fit(np.asarray(values, dtype=float), np.asarray(paid, dtype=float))


def on_curve(method: str, parameters: Mapping[str, Any], value: float) -> float:
    """The share that paid among decisions with `value` (in [0, 1]), strictly inside (0, 1) and never falling in `value`.

    Raises:
        ValueError: the method is neither of the two.
    """
    if method == ISOTONIC:
        return float(np.interp(value, parameters["values"], parameters["shares"]))
    if method == TEMPERATURE:
        within = min(max(value, parameters["low"]), parameters["high"])
        return _share(parameters["slope"] * float(_logit(within)) + parameters["bias"])
    raise ValueError(f"calibration method {method!r} is neither {ISOTONIC} nor {TEMPERATURE}")


def _fit_isotonic(values: Floats, paid: Floats) -> dict[str, Any]:
    """Knots of the isotonic least-squares fit. Equal values are one point; a level stretch keeps its two ends.

    Shares are kept between 1/(n+2) and (n+1)/(n+2), what Laplace's rule of succession allows n grades that all ended alike.
    """
    from scipy.optimize import isotonic_regression

    points, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    means = np.bincount(group, weights=paid) / counts
    bound = 1 / (len(values) + 2)
    shares = np.clip(isotonic_regression(means, weights=counts).x, bound, 1 - bound)
    level = np.zeros(len(points), dtype=bool)
    level[1:-1] = (shares[1:-1] == shares[:-2]) & (shares[1:-1] == shares[2:])
    return {"values": points[~level].tolist(), "shares": shares[~level].tolist()}


def _fit_temperature(values: Floats, paid: Floats) -> dict[str, Any]:
    """Slope and bias by maximum likelihood with Platt's smoothed targets, which keep both finite whatever the outcomes are.

    Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2. A slope below 0 becomes 0, and the bias the log-odds of the
    mean target: the likelihood is concave, so its best point with a slope of at least 0 then has a slope of 0.
    """
    yes, no = float(paid.sum()), float(len(paid) - paid.sum())
    targets = np.where(paid > 0, (yes + 1) / (yes + 2), 1 / (no + 2))
    inputs = _logit(values)
    slope, bias = 0.0, float(_logit(targets.mean()))
    if inputs.std() > ONE_VALUE:
        found_slope, found_bias = _line(inputs, targets, bias)
        slope, bias = (found_slope, found_bias) if found_slope > 0 else (slope, bias)
    return {"slope": slope, "bias": bias, "low": float(values.min()), "high": float(values.max())}


def _line(inputs: Floats, targets: Floats, level: float) -> tuple[float, float]:
    """Slope and bias of the line whose cross-entropy with the targets is least; `level` is the best bias for slope 0.

    Solved on standardised inputs, because values that lie close together make the problem as they are badly conditioned.
    """
    from scipy.optimize import minimize

    middle, width = float(inputs.mean()), float(inputs.std())
    design = np.column_stack([(inputs - middle) / width, np.ones(len(inputs))])

    def loss(line: Floats) -> float:
        odds = design @ line
        return float(np.mean(np.logaddexp(0, odds) - targets * odds))

    def gradient(line: Floats) -> Floats:
        shares: Floats = design.T @ (_expit(design @ line) - targets) / len(targets)
        return shares

    def curvature(line: Floats) -> Floats:
        shares = _expit(design @ line)
        hessian: Floats = (design.T * (shares * (1 - shares))) @ design / len(targets)
        return hessian

    options = {"gtol": 1e-10}
    found = minimize(loss, (0.0, level), jac=gradient, hess=curvature, method="trust-exact", options=options)
    slope = float(found.x[0]) / width
    return slope, float(found.x[1]) - slope * middle


def _share(log_odds: float) -> float:
    return 1 / (1 + math.exp(-min(max(log_odds, -SUREST), SUREST)))


def _expit(log_odds: Floats) -> Floats:
    shares: Floats = np.exp(-np.logaddexp(0, -log_odds))
    return shares


def _logit(values: Floats | float) -> Floats:
    clipped = np.clip(values, LEAST_INPUT, 1 - LEAST_INPUT)
    odds: Floats = np.log(clipped) - np.log1p(-clipped)
    return odds
