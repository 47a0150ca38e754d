"""Settings of the smallest run that is worth to be scheduled, and the words that give them."""

BUDGET = {
    "classes": "{ surroundings = 0, cell = 255 }",
    "base_filters": 4,
    "depth": 2,
    "patch_size": 76,
    "steps": 20,
    "validate_every": 10,
    "batch_size": 2,
    "tune": "never",
    "thresholds": "{ pixel_error = 0.99 }",
}
WORDS = [word for name, value in BUDGET.items() for word in ("--set", f"{name}={value}")]
