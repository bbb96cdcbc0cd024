"""Controls where somebody can move them, a figure where nobody can."""

import builtins
import importlib.util
import sys

import pytest
from matplotlib.figure import Figure

from socialrm import widgets
from socialrm.palette import png

CHOICES = {"others": (0.1, 0.9, 0.5), "rule": ("borda", "plurality")}


def test_without_ipywidgets_there_is_the_figure(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(widgets, "find_spec", lambda name: None if name == "ipywidgets" else real(name))
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # an import of it fails
    monkeypatch.setenv("JPY_SESSION_NAME", "mine.ipynb")
    assert not widgets.somebody_there()
    drawn = widgets.explore(widgets.inclusion_figure, **CHOICES)
    assert isinstance(drawn, Figure)
    assert png(drawn) == png(widgets.inclusion_figure(0.1, "borda"))
    with pytest.raises(ValueError, match=r"socialrm\[widgets\]"):
        widgets.explore(widgets.inclusion_figure, live=True, **CHOICES)


def test_importing_it_asks_for_no_extra():
    imported = []
    real = builtins.__import__

    def spy(name, *rest, **more):
        imported.append(name)
        return real(name, *rest, **more)

    builtins.__import__ = spy
    try:
        importlib.reload(widgets)
    finally:
        builtins.__import__ = real
    assert not any(name.startswith("ipywidgets") for name in imported)


@pytest.mark.filterwarnings("ignore")
def test_a_person_gets_a_slider_and_a_list(monkeypatch):
    pytest.importorskip("ipywidgets")
    drawn = []

    def draw(others, rule):
        drawn.append((others, rule))

    monkeypatch.setenv("JPY_SESSION_NAME", "mine.ipynb")
    box = widgets.explore(draw, **CHOICES)
    slider, rules = box.children[:2]
    assert (type(slider).__name__, slider.options, slider.value) == ("SelectionSlider", (0.1, 0.5, 0.9), 0.1)
    assert (type(rules).__name__, rules.value) == ("Dropdown", "borda")
    box.update()
    rules.value = "plurality"
    slider.value = 0.9
    assert drawn[0] == (0.1, "borda") and drawn[-1] == (0.9, "plurality")
