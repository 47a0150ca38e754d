"""The statistics of the last blessed model's data, for the DistributionValidator."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.common import resolver

from components.resolvers import mlmd


class BlessedStatisticsStrategy(resolver.ResolverStrategy):
    """Resolves the statistics of the data that the last blessed model was evaluated on, by their lineage.

    Takes `current`, `baseline` (all known statistics) and `blessing`; leaves at most one artifact in
    `baseline`. The current statistics are never their own baseline: so a run of unchanged data stays in the
    cache.
    """

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Resolves the baseline as the class describes; `store` is the store of ML Metadata."""
        [current] = input_dict["current"]
        known = {artifact.id: artifact for artifact in input_dict["baseline"]}
        for blessing in mlmd.blessed(store, input_dict["blessing"]):
            evaluations = mlmd.executions(store, [blessing.id], mlmd.OUTPUT)
            examples = mlmd.artifacts(store, evaluations, mlmd.INPUT, "examples")
            readers = mlmd.executions(store, examples, mlmd.INPUT)
            written = mlmd.artifacts(store, readers, mlmd.OUTPUT, "statistics")
            found = [i for i in written if i in known]
            if found:
                newest = max(found)
                same = newest == current.id
                return {"current": [current], "baseline": [] if same else [known[newest]], "blessing": []}
        return {"current": [current], "baseline": [], "blessing": []}
