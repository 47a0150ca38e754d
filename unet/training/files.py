"""File names in the artifacts of Tuner and Trainer, for readers that import neither component."""

TRIALS = "tuner_results.json"  # in the artifact TunerResults
CURVES = "curves.csv"  # in the artifact ModelRun
SAMPLES, SAMPLES_INDEX = "samples", "index.json"  # folder in the artifact ModelRun, and its index
