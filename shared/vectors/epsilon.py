"""Writes epsilon.json: what other programs say about the privacy of noisy sums.

    python3 -m venv /tmp/dpa && /tmp/dpa/bin/pip install dp-accounting==0.6.0
    /tmp/dpa/bin/python shared/vectors/epsilon.py > shared/vectors/epsilon.json

"gaussian": epsilon of `sums` Gaussian mechanisms at `delta` by Google's dp-accounting, as Renyi differential privacy
(`rdp`) and as privacy loss distribution (`pld`, which is nearly exact). "mechanism": the distributed discrete
Gaussian of Kairouz, Liu and Steinke 2021, Theorem 1 and Proposition 14, computed with 60 digits.
"""

import json
import sys
from decimal import Decimal, getcontext, ROUND_CEILING, ROUND_FLOOR

import dp_accounting
from dp_accounting import GaussianDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant

getcontext().prec = 60
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")
ORDERS = [1 + i / 50 for i in range(1, 500)] + [11 + i for i in range(500)] + [511 * 1.05**i for i in range(200)]


def gaussian(noise_multiplier, sums, delta):
    event = SelfComposedDpEvent(GaussianDpEvent(noise_multiplier), sums)
    rdp = RdpAccountant(orders=ORDERS).compose(event).get_epsilon(delta)
    pld = PLDAccountant().compose(event).get_epsilon(delta)
    # Sums of Gaussians are one Gaussian: the exact answer is known, and PLD is close to it.
    exact = dp_accounting.get_epsilon_gaussian(noise_multiplier / sums**0.5, delta)
    assert abs(pld - exact) <= 0.002 * exact + 1e-4, (pld, exact)
    return {"noise_multiplier": noise_multiplier, "sums": sums, "delta": delta, "rdp": float(rdp), "pld": float(pld)}


def mechanism(clip, scale, dim, contributors_min, noise_multiplier):
    n, d = Decimal(contributors_min), Decimal(dim)
    radius = Decimal(clip) * Decimal(scale)
    variance = (Decimal(noise_multiplier) * radius) ** 2
    share = max(int((variance / n).to_integral_value(ROUND_CEILING)), 1)
    # beta = exp(-1/2): sqrt(2 ln(1/beta)) = 1.
    bounds = (radius + d.sqrt()) ** 2, radius**2 + d / 4 + (radius + d.sqrt() / 2)
    squared = min(bounds).to_integral_value(ROUND_FLOOR)
    tau = 10 * sum((-2 * PI**2 * share * Decimal(k) / Decimal(k + 1)).exp() for k in range(1, contributors_min))
    total = n * share
    l2, l1 = (squared / total).sqrt(), min(squared, (d * squared).sqrt()) / total.sqrt()
    rho = min(
        l2**2 / 2 + tau * d,
        (l2**2 + 2 * l1 * tau + tau**2 * d) / 2,
        (l2 + tau * d.sqrt()) ** 2 / 2,
    )
    return {
        "clip": clip, "scale": scale, "dim": dim, "contributors_min": contributors_min,
        "noise_multiplier": noise_multiplier, "share_variance": share, "norm_squared": int(squared), "rho": float(rho),
    }


vectors = {
    "gaussian": [
        gaussian(z, sums, delta)
        for z in [0.5, 1.0, 2.0, 4.0, 10.0, 30.0]
        for sums in [1, 5, 40, 200]
        for delta in [1e-8, 1e-5, 1e-3]
    ],
    "mechanism": [
        mechanism(*case)
        for case in [
            (1.0, 1.0, 1, 1, 1.0),
            (1.0, 1.0, 1, 3, 0.25),
            (1.0, 2.0, 16, 10, 0.5),
            (1.0, 4.0, 100, 60, 1.5),
            (0.5, 16.0, 576, 3, 1.0),
            (0.5, 64.0, 576, 100, 0.3),
            (1.0, 16.0, 9920, 10, 2.0),
            (2.0, 4096.0, 9920, 10, 1.5),
            (1.0, 65536.0, 576, 7, 0.8),
            (0.75, 2.0**24, 9920, 3, 12.0),
            (3.0, 2.0**24, 100000, 300, 0.1),
        ]
    ],
}
json.dump(vectors, sys.stdout, indent=1)
print()
