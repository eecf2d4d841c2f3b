"""The words of the demo corpus. All of it is made up: no method, data set or review here is real."""

from typing import Literal

Tone = Literal["good", "poor"]

ADJECTIVES = (
    "Sparse",
    "Adaptive",
    "Hierarchical",
    "Latent",
    "Contrastive",
    "Modular",
    "Robust",
    "Amortised",
    "Recursive",
    "Calibrated",
    "Equivariant",
    "Stochastic",
    "Gated",
    "Layered",
    "Implicit",
    "Anchored",
)
NOUNS = (
    "Routing",
    "Memory",
    "Attention",
    "Distillation",
    "Pruning",
    "Alignment",
    "Sampling",
    "Clustering",
    "Transport",
    "Regularisation",
    "Augmentation",
    "Quantisation",
    "Search",
    "Planning",
    "Decoding",
    "Mixing",
)
TASKS = (
    "few-shot classification",
    "machine translation",
    "graph classification",
    "offline control",
    "speech recognition",
    "image segmentation",
    "question answering",
    "time series forecasting",
    "code completion",
    "molecule generation",
    "point cloud registration",
    "tabular prediction",
)
PROBLEMS = (
    "labels are scarce",
    "the training data are noisy",
    "the test distribution shifts",
    "memory is limited",
    "classes are unbalanced",
    "feedback arrives late",
    "inputs are very long",
    "annotators disagree",
)
DATASETS = (
    "Harbour-20",
    "LanternQA",
    "Meadow",
    "Quarry-1k",
    "TidePool",
    "Orchard",
    "BasaltNet",
    "Sparrow",
    "Foundry",
    "Glasshouse",
    "Kelp",
    "Millrace",
)
BASELINES = (
    "a plain residual network",
    "a gated transformer",
    "a kernel machine",
    "a tuned linear probe",
    "a nearest neighbour search",
    "an ensemble of trees",
    "a replay buffer",
    "a variational bound",
)

ABSTRACT = (
    "We study {task} when {problem}. {method} learns which parts of its input to keep and which to drop. "
    "On {data} it improves over {base} by {gain} points at {cost} times the cost.",
    "{method} is a simple change to how models for {task} are trained. It helps most when {problem}. "
    "Experiments on {data} and {data2} show a gain of {gain} points over {base}.",
    "Why do models for {task} fail when {problem}? We trace the failure to one term of the objective, replace it, "
    "and call the result {method}. It gains {gain} points on {data} and needs {cost} times the memory of {base}.",
)

# One paragraph per section; several sentences of each pool are drawn.
SECTIONS: dict[str, tuple[str, ...]] = {
    "1 Introduction": (
        "Models for {task} are now used where {problem}, and there they fail in ways that are hard to foresee.",
        "A common remedy is {base}, which trades accuracy on {data} for stability.",
        "We ask whether the remedy is needed at all, and find that {method} does without it.",
        "Our contributions are a new objective, an analysis of its optimum, and a study on {data} and {data2}.",
        "The idea is old in statistics; its use for {task} is, as far as we know, new.",
        "Practitioners report that {base} needs days of tuning before it works on {data}.",
    ),
    "2 Related Work": (
        "Earlier work on {task} falls into two groups: methods that weigh examples and methods that change the loss.",
        "Closest to ours is {base}, which solves a harder problem than necessary.",
        "Others treat the case that {problem} by collecting more data; we assume that this cannot be done.",
        "Work on calibration shares our aim but not our means.",
        "A survey of {data} results found that most gains vanish under equal budgets.",
    ),
    "3 Method": (
        "Let x be an input and z the part of it that {method} keeps; the rest is never seen by the predictor.",
        "The objective is the expected loss plus {cost} times the entropy of the selection.",
        "We relax the discrete choice with a temperature that falls from {cost} to 0.1 during training.",
        "Proposition 1 shows that the optimum is unique if the loss is strictly convex in z.",
        "Each step costs one extra forward pass; Algorithm 1 lists it in full.",
        "When {problem}, the second term dominates and the model falls back to its prior.",
        "In practice we clip the gradient of the selection at {gain}.",
    ),
    "4 Experiments": (
        "We compare {method} with {base} and {base2} on {data} and {data2}, with five seeds each.",
        "Table 1 shows a gain of {gain} points on {data}; on {data2} the gain is within one standard error.",
        "Figure 2 shows that the gain grows as the share of corrupted inputs rises to {share} percent.",
        "All models have the same number of parameters and the same budget of {steps} steps.",
        "Removing the second term costs {loss} points, which is most of the gain.",
        "Training takes {hours} hours on one machine; {base} takes half as long.",
        "The learning rate was chosen on a validation part of {data} and kept for {data2}.",
    ),
    "5 Limitations": (
        "{method} needs a validation set from the test distribution, which may not exist.",
        "We did not study {task} in other languages or domains.",
        "Where inputs are short there is nothing to drop, and {base} is the better choice.",
        "The proof of Proposition 1 does not cover the relaxed objective.",
    ),
    "6 Conclusion": (
        "{method} is a small change with a steady effect on {task}.",
        "We hope that it makes models more dependable when {problem}.",
        "Code and configuration files accompany the submission.",
        "Future work could learn the temperature instead of scheduling it.",
    ),
}

OPENINGS: dict[Tone, tuple[str, ...]] = {
    "good": (
        "I enjoyed this paper.",
        "This is a solid piece of work on {task}.",
        "Overall a convincing submission.",
        "The paper tackles a real problem and mostly succeeds.",
    ),
    "poor": (
        "I am not convinced by this paper.",
        "The paper is not ready.",
        "I did not get much out of this submission.",
        "The idea is fine but the execution falls short.",
    ),
}

# What a thorough reviewer talks about. In each: sentences of a reviewer who likes the paper, and of one who does not.
ASPECTS: dict[str, dict[Tone, tuple[str, ...]]] = {
    "summary": {
        "good": (
            "This paper proposes {method} for {task} when {problem}; it is tested on {data} and {data2}.",
            "Summary: the authors introduce {method}, which selects parts of the input and improves {task}.",
        ),
        "poor": (
            "This paper proposes {method} for {task} and reports results on {data}.",
            "Summary: the authors present {method}, a variant of {base} for {task}.",
        ),
    },
    "strengths": {
        "good": (
            "A main strength is that the approach is simple and well motivated. Pros: easy to add to any model.",
            "Strengths: the problem is important, and the analysis explains why the method works.",
        ),
        "poor": (
            "A strength is that the motivation is clear, at least in principle.",
            "On the positive side, the problem is relevant.",
        ),
    },
    "weaknesses": {
        "good": (
            "A minor weakness is that the gains on {data2} are small.",
            "Weaknesses: the analysis covers only the convex case, which is not the one that is used.",
        ),
        "poor": (
            "The main weakness is that the evaluation is limited to {data}, where {base} is already strong.",
            "Weaknesses: the assumptions are strong and never checked. Cons: the gains are marginal.",
        ),
    },
    "novelty": {
        "good": (
            "The idea is novel: I have not seen this objective used for {task}.",
            "The contribution is original and goes beyond {base}.",
        ),
        "poor": (
            "The novelty is limited: the method is incremental over {base}.",
            "I am concerned about originality, since {base} with a schedule is nearly the same.",
        ),
    },
    "baselines": {
        "good": (
            "The comparison with {base} is fair, although a comparison to {base2} is missing.",
            "The baselines are well chosen; adding {base2} as a baseline would complete the picture.",
        ),
        "poor": (
            "Important baselines are missing: the authors should compare with {base2}.",
            "There is no comparison to {base2}, which is the state of the art on {data}.",
        ),
    },
    "ablations": {
        "good": (
            "The ablation study in {table} isolates the effect of each component.",
            "I appreciate the ablations; they show that the second term matters.",
        ),
        "poor": (
            "An ablation study is missing, so it is unclear which component is responsible for the gain.",
            "Without ablations I cannot tell whether the selection or the schedule helps.",
        ),
    },
    "clarity": {
        "good": (
            "The paper is clearly written and easy to follow.",
            "The presentation is clear and the notation is consistent throughout {section}.",
        ),
        "poor": (
            "The paper is hard to follow; the notation in {section} is confusing and z is not defined.",
            "The writing needs work: {section} is unclear and there are many typos and grammar mistakes.",
        ),
    },
    "reproducibility": {
        "good": (
            "The hyperparameters are listed and the code is provided, so the results should be reproducible.",
            "Reproducibility is good: the authors release code and the implementation details are complete.",
        ),
        "poor": (
            "The implementation details are too thin to reproduce the results, and no code is available.",
            "Reproducibility is a concern: hyperparameters are not reported. Will the authors release the code?",
        ),
    },
    "questions": {
        "good": (
            "Question: how does the method behave if the temperature is fixed? Could the authors comment?",
            "Could the authors clarify how {share} percent was chosen?",
        ),
        "poor": (
            "Questions: why is {data2} treated differently? Can the authors explain the drop of {loss} points?",
            "Could the authors explain why the gain disappears on {data2}?",
        ),
    },
    "references": {
        "good": (
            "For example, {table} and {figure} together make the main claim very plain.",
            "Specifically, in {section} the derivation of Equation 3 is neat.",
        ),
        "poor": (
            "For example, the numbers in {table} do not agree with {figure}.",
            "In particular, the step from Equation 2 to Equation 3 in {section} is not justified.",
        ),
    },
    "related_work": {
        "good": (
            "Related work is discussed well, and the paper is placed properly in the literature.",
            "The related work section cites the relevant prior work.",
        ),
        "poor": (
            "The related work section omits prior work on weighting (Adder et al., 2019), which should be cited.",
            "The discussion of the literature is thin: relevant prior work is not cited.",
        ),
    },
    "statistics": {
        "good": (
            "Results are averaged over five seeds with standard errors; the differences are statistically significant.",
            "Error bars over several random seeds make the results credible.",
        ),
        "poor": (
            "No error bars or standard deviations are given, so I cannot judge statistical significance.",
            "A single run per setting is not enough: report the variance over random seeds and a test.",
        ),
    },
    "limitations": {
        "good": (
            "The limitations are discussed openly, including when the method fails.",
            "I like that the authors state the limitation that short inputs do not benefit.",
        ),
        "poor": (
            "The limitations are not discussed: when does the method fail?",
            "The paper should discuss its limitations and the failure cases on {data2}.",
        ),
    },
    "soundness": {
        "good": (
            "The theory is sound: I checked the proof of Proposition 1 and it is correct.",
            "The claims are well supported by the theoretical analysis and the experiments.",
        ),
        "poor": (
            "The claims are not supported by the evidence; the proof of Proposition 1 ignores the relaxation.",
            "The assumption that the loss is convex does not hold, so the theoretical analysis is not sound.",
        ),
    },
    "experiments": {
        "good": (
            "The experiments are thorough, with {data} and {data2} and five seeds.",
            "The empirical evaluation is convincing: the improvement of {gain} points is consistent.",
        ),
        "poor": (
            "The experiments are weak: two small datasets are not enough to show that it generalises.",
            "The empirical evaluation should include larger datasets than {data}.",
        ),
    },
    "significance": {
        "good": (
            "The results are significant for the community and the approach is likely to have impact on practice.",
            "This is an important problem and I expect others to build on it.",
        ),
        "poor": (
            "The significance is low: the impact of {gain} points on {data} is unclear.",
            "I doubt that the community will benefit, since the setting is not important in practice.",
        ),
    },
    "suggestions": {
        "good": (
            "I suggest that the authors add a plot of the temperature; it would strengthen the paper.",
            "To improve the paper further, the authors could report results with {base2}.",
        ),
        "poor": (
            "I suggest that the authors run the method on {data} with {base2} before resubmitting.",
            "To improve the paper, the authors should rewrite {section} and add the missing comparison.",
        ),
    },
    "cost": {
        "good": (
            "The computational cost is reported and modest: {hours} hours of training on one machine.",
            "The runtime and memory overhead are stated plainly.",
        ),
        "poor": (
            "The computational cost is not compared: what is the runtime and memory overhead relative to {base}?",
            "Training takes twice as long as {base}, yet the scalability is not discussed.",
        ),
    },
    "minor": {
        "good": (
            "Minor comments: there is a typo in the caption of {figure}.",
            "Minor: the axis labels of {figure} are too small.",
        ),
        "poor": (
            "Minor comments: typos in {section}; the legend of {figure} is missing.",
            "Minor: {table} is never referred to in the text.",
        ),
    },
    "society": {
        "good": (
            "The broader impact is discussed and I see no ethical concerns.",
            "Possible negative societal impact is considered.",
        ),
        "poor": (
            "Ethical concerns and societal impact are not discussed, though {task} is used on people.",
            "The broader impact statement is missing.",
        ),
    },
    "verdict": {
        "good": (
            "Overall, I recommend acceptance because the claims are supported and the method is useful.",
            "In conclusion I vote to accept; I am confident in my assessment as I work on {task}.",
        ),
        "poor": (
            "Overall, I recommend rejection because the evidence does not support the main claim.",
            "I am willing to raise my score if the authors add the missing experiments.",
        ),
    },
}

# What a hasty reviewer writes; says little, and is still a review.
SHORT_REMARKS: dict[Tone, tuple[str, ...]] = {
    "good": (
        "The topic fits the venue and the numbers look fine to me. Nothing to add on {method} from my side.",
        "Nice work. {method} seems to do what it says, and the tables look good at a first reading.",
        "I like the general direction of {method}. It reads well enough and I would be happy to see it accepted.",
    ),
    "poor": (
        "I do not think that {method} is interesting enough for the venue. The approach is too simple for me.",
        "The numbers do not look impressive. I would expect more from a paper on {task} at this venue.",
        "{method} is not a promising direction in my opinion, and I stopped reading closely after a few pages.",
    ),
}

NO_REVIEWS = (
    "Putting in the score for now, I will post the full review tomorrow.",
    "Please assign this paper to another reviewer, it is far from my area.",
)

RATINGS = {
    1: "Trivial or wrong",
    2: "Strong rejection",
    3: "Clear rejection",
    4: "Ok but not good enough, rejection",
    5: "Marginally below acceptance threshold",
    6: "Marginally above acceptance threshold",
    7: "Good paper, accept",
    8: "Clear accept",
    9: "Strong accept",
    10: "Seminal paper",
}
