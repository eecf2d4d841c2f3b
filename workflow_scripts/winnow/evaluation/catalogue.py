"""What a metric is, and what a task is: the metrics, classes, ways to answer and words of one kind of study.

Nothing here is computed. `measure_responses` and `measure_labels` write the metrics of single rows, `compare_runs` adds
those of whole sets of rows, and a report takes its words from here, by way of comparison.json. The two catalogues are
review_metrics.py and label_metrics.py.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Better = Literal["higher", "lower"] | None
Kind = Literal["share", "mean", "set"]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: its key in files.
        title: its name in a table. Here and in `about`, {positive} and {negative} stand for the titles of the classes.
        unit: what one is; empty where it is a plain number.
        better: which direction is an improvement; None where neither is.
        kind: "share": a row has 0 or 1, and the mean is a share of rows; "mean": a row has any number; "set": there is
            one number for all rows of a run.
        about: what it is, what counts as wrong, and its source, for a reader of the report.
        primary: whether it belongs to the declared family from which verdicts are drawn.
    """

    name: str
    title: str
    unit: str
    better: Better
    kind: Kind
    about: str
    primary: bool = False


# What is told of whatever a model wrote, whichever the task.
OF_ANY_RESPONSE = (
    Metric("tokens", "Tokens", "tokens", None, "mean", "Tokens that the model generated, by its own tokenizer."),
    Metric(
        "mean_entropy",
        "Entropy",
        "nats",
        None,
        "mean",
        "Mean entropy of the model's next-token distribution over its own response, at temperature 1.",
    ),
)


@dataclass(frozen=True)
class Task:
    """What runs are asked to do, how that is measured, and in which words it is told.

    Attributes:
        name: as manifests of measured rows have it.
        metrics: by name, in the order of tables.
        classes: what a decision may be, the positive one first. Empty in a catalogue whose classes are a study's own.
        class_titles: of classes whose title is not their name with spaces.
        item: what a prompt is about; `items`, more of them.
        reference: the run in measured rows that is no model of the study: people, or a baseline.
        reference_decoding: of its rows.
        reference_baseline: its name among the baselines of decisions.
        reference_title: its name in a table.
        decodings: how runs answer, and the title of each, in the order of tables. They are never mixed.
        family: those from whose tests verdicts are drawn.
        groups: keys of rows by which primary metrics are broken down, and the title of each.
        failures: what may be wrong with an answer, and the metric that is 0 then; None: no class could be read from it.
        tests_reference: whether each run is tested against the reference; it needs a row of the reference for each
            prompt.
    """

    name: str
    metrics: Mapping[str, Metric]
    classes: tuple[str, ...]
    class_titles: Mapping[str, str]
    item: str
    items: str
    reference: str
    reference_decoding: str
    reference_baseline: str
    reference_title: str
    decodings: Mapping[str, str]
    family: tuple[str, ...]
    groups: Mapping[str, str]
    failures: Mapping[str, str | None]
    tests_reference: bool = False

    @property
    def row_metrics(self) -> tuple[str, ...]:
        """The metrics of single rows."""
        return tuple(name for name, metric in self.metrics.items() if metric.kind != "set")

    @property
    def set_metrics(self) -> tuple[str, ...]:
        """The metrics of all rows of a run."""
        return tuple(name for name, metric in self.metrics.items() if metric.kind == "set")

    @property
    def primary(self) -> tuple[str, ...]:
        """The metrics from which verdicts are drawn."""
        return tuple(name for name, metric in self.metrics.items() if metric.primary)

    def title_of(self, answer: str) -> str:
        """Return how a class, or "unparsed", is called in a table."""
        return self.class_titles.get(answer, answer.replace("_", " "))

    def described_metrics(self) -> dict[str, dict[str, Any]]:
        """Return what comparison.json says of every metric."""
        words = dict(zip(("positive", "negative"), map(self.title_of, self.classes), strict=True))
        found = {}
        for name, metric in self.metrics.items():
            fields = {key: value for key, value in asdict(metric).items() if key != "name"}
            found[name] = fields | {key: fields[key].format(**words) for key in ("title", "about")}
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return what comparison.json says of the task."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "class_titles": {answer: self.title_of(answer) for answer in self.classes},
            "item": self.item,
            "items": self.items,
            "reference": self.reference,
            "reference_title": self.reference_title,
            "decodings": dict(self.decodings),
            "groups": dict(self.groups),
        }
