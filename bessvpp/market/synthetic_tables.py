"""Constants of the embedded market, set to published statistics of the real one."""

from __future__ import annotations

import numpy as np

VERSION = 2  # raise it whenever the same seed gives other prices
BLOCKS = 96
HOURS = (np.arange(BLOCKS) + 0.5) / 4  # the middle of each block
CAP = 10_000.0  # Rs/MWh, in force when the statistics were taken
# fmt: off
# The supply curve: price [Rs/MWh] at a fuel cost of 1 by tightness, straight in between
CURVE_TIGHTNESS = [
    -3.2, -1.739, -1.629, -1.542, -1.503, -1.413, -1.385, -1.352, -1.308, -1.263, -1.243,
    -1.192, -1.147, -1.084, -0.976, -0.883, -0.797, -0.715, -0.56, -0.41, -0.255, -0.078, 0.028,
    0.154, 0.212, 0.249, 0.278, 0.778
]
CURVE_PRICE = [
    0, 300, 550, 880, 960, 1040, 1280, 1480, 1680, 1880, 1960, 2010, 2070, 2274, 2600, 2794,
    2909, 3021, 3323, 3590, 3970, 4501, 5001, 6000, 7000, 8298, 10000, 40000
]
# Mean tightness [1/100] by month (rows) and hour
TIGHTNESS = [
    [-63, -79, -90, -92, -88, -56, 18, 58, 108, 93, 128, 42,
     6, -39, -24, -11, 45, 95, 99, 109, 36, -19, -48, -52],
    [-66, -71, -77, -84, -72, -59, 12, 50, 42, 17, -13, -38,
     -37, -53, -52, -42, -19, 12, 28, 44, 4, -19, -42, -47],
    [-22, -48, -54, -58, -53, -34, -25, -1, -23, -28, -45, -49,
     -65, -90, -60, -53, -28, -47, -13, 5, -28, -23, -30, -33],
    [56, 28, 14, 7, -4, -4, 13, -13, -45, -51, -72, -82,
     -94, -97, -80, -50, -25, -12, -3, 37, 10, 43, 57, 79],
    [72, 35, -18, -35, -30, -27, -24, -59, -83, -82, -80, -88,
     -80, -94, -35, -27, -12, -30, -18, 43, 65, 86, 95, 75],
    [76, 36, 20, -4, 4, -4, 5, -35, -86, -92, -89, -97,
     -90, -96, -37, -26, -24, -22, -27, 31, 58, 93, 120, 282],
    [27, 12, -20, -16, -16, -58, 0, -44, -69, -87, -106, -106,
     -119, -126, -103, -74, -66, -64, -38, 57, 70, 101, 105, 101],
    [1, -22, -47, -48, -37, -55, -10, -26, -79, -91, -98, -112,
     -116, -122, -108, -87, -53, -63, -33, 47, 46, 49, 36, 23],
    [-15, -36, -47, -59, -55, -62, -25, -62, -99, -104, -107, -104,
     -117, -120, -95, -66, -55, -20, 2, 90, 50, 55, 30, 28],
    [4, -36, -40, -54, -63, -45, -44, -44, -70, -86, -105, -109,
     -109, -112, -87, -67, -45, -11, 61, 26, 4, 8, 7, 8],
    [-88, -93, -91, -92, -92, -85, -52, -25, -55, -71, -102, -111,
     -121, -127, -107, -81, -49, 39, 45, -46, -52, -67, -81, -90],
    [-108, -109, -113, -113, -112, -86, -46, 20, 25, 14, -62, -67,
     -83, -98, -78, -60, -36, 46, 78, -36, -61, -63, -86, -88],
]
# What a Sunday adds, by two hours of the day; the working days Monday to Saturday
SUNDAY = [
    -0.08, -0.04, -0.06, -0.22, -0.27, -0.31, -0.29, -0.33, -0.44, -0.54, -0.44, -0.35
]
WORKING_DAYS = [-0.04, -0.01, 0.02, 0.04, 0.01, -0.02]
HOLIDAY_SHARE = 0.6  # of a Sunday
FROM_2025 = -0.019  # new plants, and new panels at noon, added in January 2025
SUN_FROM_2025 = -0.400
DAYLIGHT = [0, 0, 0, 0.15, 0.6, 0.95, 1, 0.8, 0.35, 0, 0, 0]  # by two hours of the day
# Purchase bids in the DAM by hour of the day [MW], and the share of tightness that is demand
PURCHASE = [11500, 10300, 9500, 9200, 9300, 10100, 11900, 13300, 12100, 11200, 10300, 9600]
DEMAND_SHARE = 0.35
RTM_PURCHASE_SHARE = 0.55  # of the size of the DAM


def cycle(days: float, persistence: float) -> complex:
    """Persistence from day to day of what comes round in so many days."""
    return persistence * np.exp(2j * np.pi / days)


# Persistence from day to day of what moves the DAM, and its effect on tightness by two hours
# of the day. A complex persistence is a cycle: spells of weather that follow each other keep the
# mean of a month or year near its table, as independent or slowly reverting days would not.
BY_DAY = {
    "heat": cycle(27.7, 0.977),
    "wind": 0.0,
    "clouds": cycle(10.0, 0.934),
    "evening": 0.29,
    "morning": 0.25,
    "outages": 0.9,
    "fuel": 0.98,
    "size": 0.9,  # of both bids
}
EFFECTS = {
    "heat": [0.196, 0.171, 0.159, 0.129, 0.116, 0.110, 0.110, 0.116, 0.135, 0.171, 0.208, 0.208],
    "wind": [0.116, 0.103, 0.097, 0.077, 0.071, 0.064, 0.064, 0.071, 0.077, 0.103, 0.129, 0.129],
    "clouds": [-0.097, -0.051, -0.023, 0.046, 0.114, 0.114, 0.085, 0.074, 0.074, 0.028, -0.051,
        -0.097],
    "evening": [-0.115, -0.126, -0.126, -0.057, -0.011, -0.011, -0.011, -0.011, 0.034, 0.057,
        0.137, 0.092],
    "morning": [0.004, -0.004, 0.000, 0.019, 0.015, -0.006, -0.017, -0.015, 0.000, 0.006, 0.000,
        -0.004],
    "outages": [0.03] * 12,
}
FUEL_SD = 0.018
# Within the day: correlation time [h] and effect on tightness
WITHIN_DAY = {"load": 3.64, "stack": 0.30}
LOAD_SD, STACK_SD = 0.036, 0.033  # the stack is the supply curve's own noise, not in the bids
# What real time adds: surprises that recur at a time of the day and turn over some days, sudden
# ones [h], and a volatility that drifts [days]
RECURRING = {f"recurring_{hour:02d}": hour for hour in range(1, 24, 2)}  # centres [h]
RECURRING_CYCLE = (5.55, 0.844)  # days, persistence from day to day
RECURRING_WIDTH_H = 2.20
RECURRING_SHARE = 0.89  # of the surprise's variance
SUDDEN_H = 0.30
VOLATILITY_CYCLE = (30.0, 0.95)
VOLATILITY_SD = 0.101
SURPRISE_GROWTH = 0.260  # of its size with tightness
RELIEF = 0.099  # of what is tight in the DAM, by supply that only real time sees
# Bias and size of the surprise by hour
SURPRISE_BIAS = [
    0.045, -0.184, -0.169, -0.194, -0.142, -0.131, -0.202, -0.128, 0.009, 0.058, 0.110, 0.079,
    0.075, -0.018, 0.178, 0.143, 0.141, -0.038, -0.388, -0.047, -0.290, -0.269, -0.229, -0.462
]
SURPRISE_SIZE = [
    0.362, 0.323, 0.266, 0.287, 0.312, 0.326, 0.373, 0.173, 0.174, 0.277, 0.214, 0.329, 0.311,
    0.407, 0.404, 0.283, 0.222, 0.313, 0.353, 0.261, 0.343, 0.390, 0.440, 0.528
]
# fmt: on
NO_TRADE_SHARE = 0.0004  # of sessions
