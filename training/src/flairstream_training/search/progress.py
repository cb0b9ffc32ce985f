"""How far a search is: a line when a trial ends, and a bar on a terminal."""

import sys
from collections.abc import Sequence

from tqdm import tqdm

from .plan import Plan, Trial, best, shown


class Progress:
    """Writes to standard error."""

    def __init__(self, plan: Plan, trials: Sequence[Trial]) -> None:
        self._plan = plan
        if trials:
            self._line(f"going on with the search in {plan.work}: {len(trials)} trials are done")
        self._bar = tqdm(total=plan.trials, initial=len(trials), unit="trial")

    def ended(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """Tells of a trial, the last of these."""
        self._bar.update()
        leader = best(trials)
        outcome = f"failed: {trial.failure}" if trial.failure else f"macro F1 {trial.macro_f1:.4f}"
        values = ", ".join(f"{name} {shown(value)}" for name, value in trial.values.items())
        self._line(f"{trial.name}, {len(trials)}/{self._plan.trials}: {outcome}, {trial.seconds:.0f} s ({values})")
        rest = [f"best so far {leader.macro_f1:.4f} ({leader.name})"] if leader else []
        left = self._plan.trials - len(trials)
        if left > 0:
            seconds = sum(t.seconds for t in trials) / len(trials) * left / min(left, self._plan.parallel)
            rest.append(f"about {_duration(seconds)} left")
        if rest:
            self._line("  " + "; ".join(rest))

    def close(self) -> None:
        """Takes the bar away."""
        self._bar.close()

    def _line(self, text: str) -> None:
        tqdm.write(text, file=sys.stderr)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
