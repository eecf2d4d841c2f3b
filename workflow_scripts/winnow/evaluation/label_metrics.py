"""The metrics of answers that are labels, and what a study of them is called and compared by."""

from winnow.evaluation.catalogue import OF_ANY_RESPONSE, Metric, Task

_METRICS = (
    Metric(
        "decision_correct",
        "Label right",
        "share",
        "higher",
        "share",
        "The answer is the post's label. By probability the answer is the word that the model finds more probable as "
        "the beginning of its response; otherwise it is the first word of what it says. What begins with no such word "
        "is unparsed, and wrong; so are equal probabilities.",
        primary=True,
    ),
    Metric(
        "verdict_read",
        "Answer read",
        "share",
        "higher",
        "share",
        "The generated response begins with one of the words that may answer; anything else is 0. Answers by "
        "probability have no such number.",
    ),
    Metric(
        "ended",
        "Ended by itself",
        "share",
        "higher",
        "share",
        "The model stopped by its own end token; a response that was cut at the limit of tokens is 0.",
    ),
    Metric(
        "accuracy",
        "Accuracy",
        "share",
        "higher",
        "set",
        "Share of answers that are the post's label; an unparsed one is wrong.",
    ),
    Metric(
        "macro_f1",
        "Macro-F1",
        "",
        "higher",
        "set",
        "Mean of the F1 of “{positive}” and of “{negative}”; unparsed is a third answer, which is never right.",
    ),
    Metric(
        "f1_positive",
        "F1 of “{positive}”",
        "",
        "higher",
        "set",
        "2·right / (posts that are {positive} + answers “{positive}”). Whoever always says “{positive}” has "
        "2p / (1 + p), p being the share of such posts: read it with that baseline.",
    ),
    Metric(
        "precision_positive",
        "Precision of “{positive}”",
        "share",
        "higher",
        "set",
        "Of the answers “{positive}” the share that is right; without such an answer there is none.",
    ),
    Metric(
        "recall_positive",
        "Recall of “{positive}”",
        "share",
        "higher",
        "set",
        "Of the posts that are {positive} the share that is called so; an unparsed answer is not.",
    ),
    Metric(
        "mcc",
        "MCC",
        "",
        "higher",
        "set",
        "Matthews' correlation of answers and labels, in its form for several classes (Gorodkin 2004): 0 is chance. "
        "Unparsed is a third answer, which is never right.",
    ),
    Metric(
        "balanced_accuracy",
        "Balanced accuracy",
        "share",
        "higher",
        "set",
        "Mean of the share of “{positive}” and of “{negative}” posts that are answered rightly; 0.5 is chance.",
    ),
    Metric(
        "predicted_positive_rate",
        "Called “{positive}”",
        "share",
        None,
        "set",
        "Share of answers that are “{positive}”; compare it with the share of such posts.",
    ),
    Metric(
        "margin",
        "Margin",
        "nats",
        "higher",
        "mean",
        "Log-probability of the right word minus that of the wrong one, each as the beginning of the response; by "
        "probability only.",
    ),
    Metric(
        "right_probability",
        "Probability of the right word",
        "",
        "higher",
        "mean",
        "Probability of the right word among the words that may answer; by probability, and of the reference, only.",
    ),
    Metric(
        "word_mass",
        "Probability of all words",
        "",
        None,
        "mean",
        "Probability that the response begins with any word that may answer: low means that the model would rather say "
        "something else, and that its choice between the words says little. By probability only.",
    ),
    *OF_ANY_RESPONSE,
)

LABELS = Task(
    name="labels",
    metrics={metric.name: metric for metric in _METRICS},
    classes=(),  # a study's labels
    class_titles={},
    item="post",
    items="posts",
    reference="tfidf_logistic",
    reference_decoding="reference",
    reference_baseline="tfidf_logistic",
    reference_title="TF-IDF and logistic regression",
    decodings={"logprob": "By probability", "greedy": "One greedy response", "sampled": "Drawn responses"},
    family=("logprob", "greedy"),
    groups={"source": "Source", "decision": "Label"},
    failures={"unparsed": None, "cut_off": "ended"},
    tests_reference=True,
)
