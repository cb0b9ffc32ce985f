"""What a training is decided by, beside the data and the base model."""

from dataclasses import dataclass

from .errors import InputError

POOLINGS = ("mean", "cls")
CLASS_WEIGHTS = ("none", "balanced")


@dataclass(frozen=True)
class HyperParameters:
    """Raises InputError for a value that cannot be."""

    epochs: int = 3
    learning_rate: float = 5e-5  # the highest of the schedule: it rises, then falls to 0, in straight lines
    batch_size: int = 16
    warmup: float = 0.1  # share of the steps in which the rate rises
    dropout: float = 0.0  # of the text's embedding, before the decoder
    pooling: str = "mean"
    max_tokens: int = 512  # special tokens included; lowered to what the base model can take
    patience: int = 0  # epochs without a better macro F1 on validation after which to stop, and keep the best; 0: never
    class_weights: str = "none"  # "balanced": a label weighs the more in the loss the fewer rows it has
    seed: int = 42
    threads: int = 1  # a sum's order, and so the last digits, depend on it

    def __post_init__(self) -> None:
        wrong = {
            "epochs: at least 1": self.epochs < 1,
            "learning_rate: above 0 and below 1": not 0 < self.learning_rate < 1,
            "batch_size: at least 1": self.batch_size < 1,
            "warmup: at least 0 and below 1": not 0 <= self.warmup < 1,
            "dropout: at least 0 and below 1": not 0 <= self.dropout < 1,
            f"pooling: {' or '.join(POOLINGS)}": self.pooling not in POOLINGS,
            "max_tokens: at least 3": self.max_tokens < 3,
            "patience: at least 0": self.patience < 0,
            f"class_weights: {' or '.join(CLASS_WEIGHTS)}": self.class_weights not in CLASS_WEIGHTS,
            "seed: at least 0 and below 2**32": not 0 <= self.seed < 2**32,  # what NumPy takes
            "threads: at least 1": self.threads < 1,
        }
        for rule, broken in wrong.items():
            if broken:
                name = rule.partition(":")[0]
                raise InputError(f"{rule}; it is {getattr(self, name)}")
