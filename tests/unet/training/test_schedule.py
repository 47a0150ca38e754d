import pytest

from unet.training.schedule import comes_through, rate_factor
from unet.training.settings import Training


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


@pytest.mark.parametrize(
    ("changes", "rows", "step", "usable"),
    [
        ({}, [10, 10], 20, True),
        ({}, [10, 10], 23, True),  # within an epoch
        ({}, [], 3, True),
        ({}, [10, 10, 5], 25, False),  # one of more steps validates at 30
        ({"steps": 25}, [10, 10, 5], 25, True),
        ({"steps": 15}, [10, 10], 20, False),  # of more steps than are asked for
        ({}, [5], 5, False),
        ({"steps": 5}, [5], 5, True),
        ({}, [10, 5, 10], 25, False),
        ({"validate_every": 20}, [10, 10], 20, False),
        ({"schedule": "cosine"}, [10, 5], 15, True),  # its checkpoints bear a name of their own
        ({"minutes": 5.0}, [10, 5], 15, True),
    ],
)
def test_a_training_of_more_steps_goes_on_only_from_where_it_comes_through(changes, rows, step, usable):
    settings = Training(**{"schedule": "constant", "steps": 40, "validate_every": 10, **changes})
    assert comes_through(settings, {"curves": {"steps": rows} if rows else {}, "step": step}) == usable
