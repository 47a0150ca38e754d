"""What Tuner and Trainer leave is called here alone, so that a reader of it needs neither of them."""

TRIALS = "tuner_results.json"  # in TunerResults
CURVES = "curves.csv"  # in a ModelRun
SAMPLES, SAMPLES_INDEX = "samples", "index.json"  # in a ModelRun, and in the folder of samples
