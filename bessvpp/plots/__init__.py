"""Pictures of the notebooks; this room alone draws."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "style": ["NAMES"],
        "show": [
            "HEADINGS",
            "say",
            "say_source",
            "say_own",
            "say_notes",
            "show_table",
            "show_rules",
            "show_checked",
            "show_figures",
            "show_interactive",
            "Claims",
        ],
        "what_if": ["show_what_if"],
        "market": [
            "price_history",
            "interactive_prices",
            "daily_shape",
            "data_health",
            "week_of_prices",
            "price_levels",
            "cap_calendar",
        ],
        "forecasts": [
            "fan_of_day",
            "feature_importance",
            "loss_by_hour",
            "reliability",
            "coverage_by_hour_and_month",
            "pit_histograms",
            "rolling_coverage",
            "sharpness_against_coverage",
            "cap_reliability",
            "fan_at_gate",
        ],
        "scenarios": [
            "scenario_paths",
            "spread_fan",
            "rank_histograms",
            "surprises",
            "correlation_matrix",
        ],
        "dispatch": ["commitment", "day_ahead", "recourse_and_energy", "profit_distribution"],
        "backtest": [
            "traded_day",
            "waterfall",
            "staircase",
            "worth_of_ideas",
            "closed_days",
            "net_by_limit",
        ],
        "results": [
            "policy_bars",
            "gain_over_nothing",
            "frontier",
            "interactive_frontier",
            "promise",
        ],
    },
)
