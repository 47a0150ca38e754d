import pytest

from unet.training.schedule import rate_factor


@pytest.mark.parametrize(
    ("schedule", "progress", "step", "factor"),
    [
        ("cosine", 0, 0, 0.1),
        ("cosine", 0.025, 25, 0.55),
        ("cosine", 0.5, 1000, 0.5),
        ("cosine", 1, 2000, 0),
        ("cosine", 0.1, 4, 0.9755),  # a short budget warms up in a tenth of it
        ("polynomial", 0.5, 1000, 0.5**0.9),
        ("polynomial", 1, 2000, 0),
        ("polynomial", 1.01, 2020, 0),  # a budget in minutes ends a little late
        ("constant", 0, 0, 1),
        ("constant", 1, 2000, 1),
    ],
)
def test_the_rate_follows_its_schedule(schedule, progress, step, factor):
    assert rate_factor(schedule, progress, step) == pytest.approx(factor, abs=2e-3)
