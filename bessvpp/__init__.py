"""Plan, value and audit a battery virtual power plant on the Indian Energy Exchange.

This is the door: ``import bessvpp as bv`` gives the names below, each read from its room when it
is first asked for. ``bv.plots`` draws. What is not named here is imported from its room, such as
``from bessvpp.calibration import coverage``.
"""

import lazy_loader

__version__ = "0.1.0"

_opened, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["plots"],
    submod_attrs={
        "params.load": ["load_params", "load_desk"],
        "price_files.check": ["check_files"],
        "market.read": ["read_market"],
        "market.synthetic": ["embedded_market"],
        "forecasting.splits": ["split_days"],
        "forecasting.features": ["feature_frame"],
        "forecasting.walk_forward": ["walk_forward"],
        "calibration.recalibration": ["recalibrate", "choose_method"],
        "scenarios.copula": ["copula_correlation", "copula_correlations"],
        "scenarios.draw": ["draw_fan"],
        "prices": ["PriceScenarios"],
        "risk": ["Risk", "cvar", "value_at_risk"],
        "battery": ["start_energy"],
        "optimizer.problem": ["Problem"],
        "optimizer.energy_value": ["with_energy_value"],
        "optimizer.foresight": ["foreseen"],
        "optimizer.dispatch": ["plan_day", "sweep"],
        "settlement.day": ["settle"],
        "settlement.promise": ["planned_causal"],
        "settlement.schedule": ["read_schedule"],
        "settlement.replay": ["replay"],
        "runs.notebook": ["notebook_parameters"],
        "backtest.run": ["open_run"],
        "backtest.simulate": ["run_backtest"],
        "backtest.promise": ["judge_promise"],
        "desk.plan": ["plan_tomorrow"],
    },
)


def __getattr__(name: str) -> object:
    """A name of the door; says which extra brings what it lacks."""
    from bessvpp.errors import with_extra

    try:
        return _opened(name)
    except ModuleNotFoundError as error:
        raise with_extra(error, f"bessvpp.{name}") from error
