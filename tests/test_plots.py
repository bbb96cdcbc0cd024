"""Every helper takes axes and gives them back, survives users' texts and edge cases, and draws the same bytes twice."""

import numpy as np
import pytest

from socialrm import plots
from socialrm.palette import COLOURS, figure, order_label, png, rank_labels, shorten, style

NASTY = ["$x^2 and $5", "a\nb\tc", "<b>&amp;</b>", "日本語 🙂", "", "x" * 500, "%s {0} \\frac"]
N = len(NASTY)
rng = np.random.default_rng(0)
HISTORY = [{"step": s, "loss": 1 / s, "rho": s / 9} for s in range(1, 9)]

DRAWINGS = {
    "scatter": lambda ax: plots.latent_scatter(ax, rng.normal(size=(50, 3)), np.arange(50) % N, names=NASTY),
    "scatter of a point": lambda ax: plots.latent_scatter(ax, np.ones((1, 4)), np.zeros(1, int)),
    "scatter of a line": lambda ax: plots.latent_scatter(ax, np.arange(5.0)[:, None], np.zeros(5, int)),
    "many kinds": lambda ax: plots.latent_scatter(ax, rng.normal(size=(40, 2)), np.arange(40) % 20),
    "mixture": lambda ax: plots.latent_scatter(
        ax, np.eye(3), np.arange(3), mean=np.eye(3), covariance=np.zeros((3, 3, 3))
    ),
    "criterion": lambda ax: plots.criterion_curve(ax, {("full", 1): 2.0}),
    "curves": lambda ax: plots.curves(ax, HISTORY, ["loss", "rho", "absent"]),
    "no curves": lambda ax: plots.curves(ax, [], ["loss"]),
    "masks": lambda ax: plots.mask_image(ax, np.eye(3, dtype=bool), ~np.eye(3, dtype=bool)),
    "orders": lambda ax: plots.order_frequencies(ax, NASTY, np.ones(N) / N, np.ones(N) / N, most=3),
    "order": lambda ax: plots.social_order(ax, NASTY, np.arange(N), np.arange(N)[::-1]),
    "one candidate": lambda ax: plots.social_order(ax, ["a"], np.zeros(1), np.zeros(1, int)),
    "slope": lambda ax: plots.slope(ax, NASTY, np.zeros(N, int), np.arange(N)),
    "margins": lambda ax: plots.margins_map(ax, rng.normal(size=(N, N)), NASTY),
    "support": lambda ax: plots.support_bars(ax, NASTY, np.linspace(0, 1, N)),
    "histogram": lambda ax: plots.rater_histogram(ax, np.array([1, 1, 2, 4218])),
    "one rater": lambda ax: plots.rater_histogram(ax, np.array([1])),
}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", DRAWINGS)
def test_axes_in_axes_out_and_it_renders(name, dark):
    with style(dark):
        drawn, ax = figure()
        assert DRAWINGS[name](ax) is ax
        assert png(drawn).startswith(b"\x89PNG")


def test_same_arrays_same_bytes():
    def once():
        with style():
            drawn, ax = figure()
            plots.latent_scatter(ax, np.arange(30.0).reshape(10, 3) % 7, np.arange(10) % 3)
            return png(drawn)

    first = once()
    assert first == once()
    assert b"Software" not in first and b"atplotlib" not in first


def test_style_gives_settings_back():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with pytest.raises(RuntimeError), style(dark=True):
        assert mpl.rcParams["figure.facecolor"] != before["figure.facecolor"]
        raise RuntimeError
    assert dict(mpl.rcParams) == before


def test_labels_show_ties_and_hide_mathematics():
    assert rank_labels(np.array([0, 1, 1, 3])) == ["0", "=1", "=1", "3"]
    assert order_label(np.array([1, 0, 0]), "abc") == "b = c > a"
    assert shorten("$x$ $y$") == r"\$x\$ \$y\$"
    assert len(set(COLOURS)) == 8


def test_total_variation_is_over_all_orders_not_the_pooled_ones():
    with style():
        _, ax = figure()
        plots.order_frequencies(ax, list("abcd"), [0.7, 0.3, 0, 0], [0.7, 0, 0.15, 0.15], most=1)
    assert "total variation 0.300" in [text.get_text() for text in ax.texts]


def test_ellipses_are_projected():
    z = np.array([[3.0, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]])
    covariance = np.diag([4.0, 1.0, 100.0])[None]
    with style():
        _, ax = figure()
        plots.latent_scatter(ax, z, np.zeros(4, int), mean=np.zeros((1, 3)), covariance=covariance)
    (ellipse,) = ax.patches
    assert (ellipse.width, ellipse.height) == pytest.approx((8, 4))  # two standard deviations each side
    assert ellipse.angle % 180 == pytest.approx(0)
