"""What every command returns to its caller."""

OK, FAILED, BAD_INPUT, NOT_BLESSED = 0, 1, 2, 3
INTERRUPTED = 75  # EX_TEMPFAIL of sysexits.h: the same command, run again, goes on
CODE_OF = {  # by the status of a run
    "pushed": OK,
    "unchanged": OK,
    "waiting": OK,
    "not_blessed": NOT_BLESSED,
    "failed": FAILED,
    "bad_input": BAD_INPUT,
    "interrupted": INTERRUPTED,
}
EXPLAINED = "exit codes: 0 pushed or unchanged, 1 failed, 2 bad input, 3 not blessed, 75 run again to go on"
EXPLAINED_OTHERS = "exit codes: 0 done, 1 failed, 2 bad input, 75 run again to go on"  # of all but `run`
EXPLAINED_EVALUATE = "exit codes: 0 done, 1 failed, 2 bad input, 3 a threshold is not met, 75 run again"
