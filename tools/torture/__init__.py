"""Tries what the pipeline promises for bad days: kills, damage, crowds, full disks, odd settings, edits.

    python -m tools.torture --seed 2015
    python -m tools.torture --chapter kills --quick

Each case calls the real command in a process group of its own, on tiny synthetic cells, and has a bound in
seconds. What is chosen at random is chosen by the seed.
"""
