"""What to try next: Hyperopt's tree of Parzen estimators (Bergstra et al., Algorithms for Hyper-Parameter
Optimization, NIPS 2011)."""

import logging
import math
from collections.abc import Mapping

import numpy as np
from hyperopt import JOB_STATE_DONE, STATUS_FAIL, STATUS_OK, Trials, hp, tpe
from hyperopt.base import Domain

from ..space import Parameter, Space, Value

# Trials drawn at random before the estimators have anything to go by. Hyperopt's own 20 would leave most of a search of
# 30 to chance.
RANDOM_TRIALS = 8

logging.getLogger("hyperopt").setLevel(logging.WARNING)


class Proposer:
    """Proposes trial after trial. The same seed and the same calls give the same proposals.

    Trials that run or failed count as the worst possible, so that parallel trials do not crowd at one place.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, seed
        self._domain = Domain(None, {p.name: _node(p) for p in space.searched}, pass_expr_memo_ctrl=False)
        self._trials = Trials()

    def propose(self) -> dict[str, Value]:
        """The searched values of the next trial; trials are numbered from 0."""
        number = len(self._trials)
        seed = int(np.random.default_rng([self._seed, number]).integers(2**31 - 1))
        (trial,) = tpe.suggest([number], self._domain, self._trials, seed, n_startup_jobs=RANDOM_TRIALS, verbose=False)
        drawn = {name: found[0] for name, found in trial["misc"]["vals"].items()}
        values = {p.name: _value(p, drawn[p.name]) for p in self._space.searched}
        self.proposed(values)
        return values

    def proposed(self, values: Mapping[str, Value]) -> None:
        """Takes in what was proposed, here or by an earlier process."""
        number = len(self._trials)
        drawn = {p.name: [_drawn(p, values[p.name])] for p in self._space.searched}
        misc = {"tid": number, "cmd": self._domain.cmd, "workdir": None}
        misc |= {"idxs": {name: [number] for name in drawn}, "vals": drawn}
        self._trials.insert_trial_docs(
            self._trials.new_trial_docs([number], [None], [self._domain.new_result()], [misc])
        )
        self._trials.refresh()

    def ended(self, number: int, score: float | None) -> None:
        """Takes in how good a trial was, the higher the better; None where it failed."""
        trial = self._trials.trials[number]
        trial["state"] = JOB_STATE_DONE
        trial["result"] = {"status": STATUS_FAIL} if score is None else {"status": STATUS_OK, "loss": -score}


def _node(parameter: Parameter):
    name, values = parameter.name, parameter.values
    if parameter.draw == "choice":
        return hp.choice(name, list(range(len(values))))
    low, high = values
    if parameter.whole:  # half a step more on each side: the ends are as likely as what lies between
        low, high = low - 0.5, high + 0.5
    if parameter.draw == "uniform":
        return hp.quniform(name, low, high, 1) if parameter.whole else hp.uniform(name, low, high)
    low, high = math.log(low), math.log(high)
    return hp.qloguniform(name, low, high, 1) if parameter.whole else hp.loguniform(name, low, high)


def _value(parameter: Parameter, drawn: float) -> Value:
    if parameter.draw == "choice":
        return parameter.values[int(drawn)]
    low, high = parameter.values
    value = min(max(float(drawn), low), high)  # exp(log(low)) may lie a rounding below low
    return round(value) if parameter.whole else value


def _drawn(parameter: Parameter, value: Value) -> float:
    return parameter.values.index(value) if parameter.draw == "choice" else value
