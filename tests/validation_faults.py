"""The faults that validation must catch: each plants one into a sound world. FAULTS says which rule is for which."""

import pyarrow.parquet as pq

from winnow.core.tables import read_rows, write_table


def same_text(world):
    world.change("train", lambda row: row["rejected"][0].update(content=row["chosen"][0]["content"]))


def same_response(world):
    world.change("train", lambda row: row.update(rejected_id=row["chosen_id"]))


def parrot(world):
    world.change("train", lambda row: row["completion"][0].update(content=row["prompt"][1]["content"]))


def prompt_twice(world):
    rows = world.rows("splits")
    first = next(row for row in rows if row["split"] == "train")
    world.put("splits", [*rows, first | {"split": "val"}], "prompt_id", "split")


def group_torn(world):
    rows = world.rows("splits")
    train = next(row for row in rows if row["split"] == "train")
    next(row for row in rows if row["split"] == "val").update(group_id=train["group_id"])
    world.put("splits", rows)


def row_in_wrong_file(world):
    moved = world.rows("train")[0]
    world.put("train", world.rows("train")[1:])
    world.put("val", [*world.rows("val"), moved])


def held_out_prompt_used(world):
    prompt = world.rows("chosen")[0]["prompt_id"]
    world.change("splits", lambda row: row.update(split="test", optimize=False), lambda row: row["prompt_id"] == prompt)


def checklist_saw_val(world):
    world.change("splits", lambda row: row.update(optimize=True), lambda row: row["split"] == "val")


def other_trains_on_val(world):
    """Another dataset trains on a prompt that is for validation here."""
    prompt = next(row["prompt_id"] for row in world.rows("chosen") if row["split"] == "val")
    other = world.folder / "other.parquet"
    row = next(read_rows(world.folder / "sft" / "chosen.parquet")) | {"prompt_id": prompt, "split": "train"}
    write_table(other, [row], pq.read_schema(world.folder / "sft" / "chosen.parquet"), ["response_id"])
    world.others = [f"other={other}"]


def shown_prompt(world):
    return world.rows("train")[0]["prompt_id"]


def of_prompt(world):
    prompt = shown_prompt(world)
    return lambda row: row["prompt_id"] == prompt


def placeholder_body(world):
    world.change("prompts", lambda row: row.update(body="[Paper text here]"), of_prompt(world))


def short_prompt(world):
    world.change("prompts", lambda row: row.update(abstract="Short.", body=None), of_prompt(world))


def leaky_prompt(world):
    def leak(row):
        row["prompt"][1]["content"] += "\nPublished as a conference paper at ICLR 2020"

    world.change("train", leak)


def one_text_for_two_prompts(world):
    rows = world.rows("train")
    other = next(row for row in rows if row["prompt_id"] != rows[0]["prompt_id"])
    other["prompt"][1]["content"] = rows[0]["prompt"][1]["content"]
    world.put("train", rows)


def side_of(world):
    return "completion" if world.stage == "sft" else "rejected"


def empty_answer(world):
    world.change("train", lambda row: row[side_of(world)][0].update(content=""))


def merged_header(world):
    """A response that begins with a line break: its first token swallows the end of the header."""
    side = side_of(world)
    world.change("train", lambda row: row[side][0].update(content="\n\n" + row[side][0]["content"]))


def two_answers(world):
    side = side_of(world)
    world.change("train", lambda row: row[side].append({"role": "user", "content": "And?"}))


def first_response(world):
    row = world.rows("train")[0]
    return row["response_id"] if world.stage == "sft" else row["chosen_id"]


def of_response(world):
    name = first_response(world)
    return lambda row: row["response_id"] == name


def rating_off_scale(world):
    world.change("responses", lambda row: row.update(rating=7.0), of_response(world))


def unknown_decision(world):
    world.change("prompts", lambda row: row.update(decision="Accept (Poster)"), of_prompt(world))


def inflated_count(world):
    world.change_score(first_response(world), checkmark_count=12)


def answer_to_no_item(world):
    world.change_score(first_response(world), answers={"q00": "yes", "other": "yes"})


def rating_of_scores(world):
    world.change_score(first_response(world), rating=3.0)


def other_choice(world):
    """A worse response in the place of a chosen one."""
    chosen, ledger = world.rows("chosen"), world.rows("ledger")
    worse = next(row for row in ledger if row["reason"] == "below_cut" and row["split"] == "train")
    best = next(row for row in chosen if row["split"] == "train")
    world.put(
        "ledger", [row for row in ledger if row is not worse] + [{k: best[k] for k in worse} | {"reason": "below_cut"}]
    )
    best.update(response_id=worse["response_id"], prompt_id=worse["prompt_id"])
    world.put("chosen", chosen)


def one_too_many(world):
    world.policy = {"fraction": 0.19}


def lower_cut_by_rank(world):
    rows = sorted(world.rows("chosen"), key=lambda row: row["rank"])
    rows[0]["rank"], rows[1]["rank"] = rows[1]["rank"], rows[0]["rank"]
    world.put("chosen", rows)


def stored_margin(world):
    world.change("chosen", lambda row: row.update(rating_diff=row["rating_diff"] + 1))


def stored_checkmarks(world):
    world.change("chosen", lambda row: row.update(checkmark_diff=row["checkmark_diff"] + 1))


def turned_pair(world):
    world.change("chosen", lambda row: row.update(chosen_id=row["rejected_id"], rejected_id=row["chosen_id"]))


def stricter_rating(world):
    world.policy = {"min_rating_diff": 5.0}


def stricter_checkmarks(world):
    world.policy = {"min_checkmark_diff": 4}


def stricter_neutral(world):
    world.policy = {"neutral": 6.0}


def other_decision(world):
    world.policy = {"decision": "reject"}


def similar_texts(world):
    row = world.rows("chosen")[0]
    texts = {one["response_id"]: one["text"] for one in world.rows("responses")}
    world.change(
        "responses",
        lambda one: one.update(text=texts[row["chosen_id"]] + " x"),
        lambda one: one["response_id"] == row["rejected_id"],
    )


def stored_ratio(world):
    world.change("chosen", lambda row: row.update(length_ratio=row["length_ratio"] * 1.01))


def tighter_caliper(world):
    world.policy = {"length_caliper": 1.01}


def row_missing(world):
    world.put("train", world.rows("train")[1:])


def left_out_for_no_reason(world):
    """A row that fits is said to be left out, and is."""
    first = world.rows("train")[0]
    world.put("train", world.rows("train")[1:])
    world.put("left_out", [{"id": first[world.key], "split": "train", "reason": "prompt_too_long"}])


def left_out_and_rendered(world):
    first = world.rows("train")[0]
    world.put("left_out", [{"id": first[world.key], "split": "train", "reason": "prompt_too_long"}])


def row_not_chosen(world):
    world.put("chosen", world.rows("chosen")[1:])


def row_twice(world):
    first = world.rows("train")[0]
    world.put("val", [*world.rows("val"), first])


def ledger_line_missing(world):
    world.put("ledger", world.rows("ledger")[1:])


def ledger_reason(world):
    first = world.rows("ledger")[0]["reason"]
    other = next(row["reason"] for row in world.rows("ledger") if row["reason"] != first)
    world.change("ledger", lambda row: row.update(reason=other))


def chosen_and_in_ledger(world):
    row = world.rows("chosen")[0]
    template = world.rows("ledger")[0]
    world.put("ledger", [*world.rows("ledger"), {k: row.get(k) for k in template}])


def one_pair_per_prompt(world):
    world.policy = {"max_pairs_per_prompt": 1}


def response_used_twice(world):
    rows = world.rows("chosen")
    twin = rows[0] | {"pair_id": "twin", "rejected_id": rows[1]["rejected_id"]}
    world.put("chosen", [*rows, twin])


def forbidden_overlap(world):
    world.policy = {"overlap_policy": "response_disjoint"}
    world.others = [f"sft={world.folder / 'sft' / 'chosen.parquet'}"]


def forbidden_prompt_overlap(world):
    world.policy = {"overlap_policy": "prompt_disjoint"}
    world.others = [f"sft={world.folder / 'sft' / 'chosen.parquet'}"]


def second_best_pair(world):
    """A pair that lost to a better one in its place."""
    chosen, ledger = world.rows("chosen"), world.rows("ledger")
    loser = next(row for row in ledger if row["reason"] == "response_used")
    best = next(row for row in chosen if row["prompt_id"] == loser["prompt_id"])
    sides = {name: best[name] for name in ("chosen_id", "rejected_id")}
    best.update(chosen_id=loser["chosen_id"], rejected_id=loser["rejected_id"])
    loser.update(sides)
    world.put("chosen", chosen)
    world.put("ledger", ledger)


def stored_score(world):
    world.change("chosen", lambda row: row.update(pair_score=row["pair_score"] + 0.001))


def word_in_answer(world):
    side = side_of(world)
    world.change("train", lambda row: row[side][0].update(content=row[side][0]["content"].replace("a", "e", 1)))


def word_in_paper(world):
    def edit(row):
        row["prompt"][1]["content"] = row["prompt"][1]["content"].replace("a", "e", 1)

    world.change("train", edit)


def body_cut_at_its_beginning(world):
    def edit(row):
        head, mark, body = row["prompt"][1]["content"].partition("## Full text\n\n")
        row["prompt"][1]["content"] = head + mark + body[20:]

    world.change("train", edit, lambda row: row["prompt_tokens_cut"] > 0)


def no_system_turn(world):
    world.change("train", lambda row: row["prompt"].pop(0))


def other_year(world):
    world.change("train", lambda row: row.update(year=1999))


def other_rating(world):
    column = "rating" if world.stage == "sft" else "rejected_rating"
    world.change("train", lambda row: row.update({column: 10.5}))


def other_prompt_id(world):
    other = next(row["prompt_id"] for row in world.rows("train") if row["prompt_id"] != shown_prompt(world))
    world.change("train", lambda row: row.update(prompt_id=other))


def smaller_context(world):
    world.spec = {"context": 1600}


def smaller_answers(world):
    world.spec = {"response_tokens": 150, "context": 1450}


def false_count(world):
    world.change("train", lambda row: row.update(prompt_tokens=row["prompt_tokens"] - 1))


def injected_turn(world):
    side = side_of(world)
    world.change("train", lambda row: row[side][0].update(content=row[side][0]["content"] + "<|im_end|>"))


def injected_image(world):
    def edit(row):
        row["prompt"][1]["content"] += "<|image_pad|>"

    world.change("train", edit)


def val_repeats_train(world):
    column = "response_id" if world.stage == "sft" else "chosen_id"
    train = next(row[column] for row in world.rows("chosen") if row["split"] == "train")
    val = next(row[column] for row in world.rows("chosen") if row["split"] == "val")
    text = next(row["text"] for row in world.rows("responses") if row["response_id"] == train)
    near = text.rsplit(" ", 2)[0] + " but not quite"
    world.change("responses", lambda row: row.update(text=near), lambda row: row["response_id"] == val)


BOTH = ("sft", "dpo")
FAULTS = [
    ("C1", ("dpo",), (same_text, same_response)),
    ("C1", ("sft",), (parrot,)),
    ("C2", BOTH, (prompt_twice, group_torn, row_in_wrong_file)),
    ("C3", BOTH, (held_out_prompt_used, checklist_saw_val, other_trains_on_val)),
    ("C4", BOTH, (placeholder_body, short_prompt, leaky_prompt, one_text_for_two_prompts)),
    ("C5", BOTH, (empty_answer, merged_header, two_answers)),
    ("C7", BOTH, (rating_off_scale, unknown_decision)),
    ("C8a", BOTH, (inflated_count, answer_to_no_item, rating_of_scores)),
    ("C8b", ("sft",), (other_choice, one_too_many, lower_cut_by_rank)),
    (
        "C8b",
        ("dpo",),
        (
            stored_margin,
            stored_checkmarks,
            turned_pair,
            stricter_rating,
            stricter_checkmarks,
            stricter_neutral,
            other_decision,
        ),
    ),
    ("C8c", ("dpo",), (similar_texts, stored_ratio, tighter_caliper)),
    ("C10", BOTH, (row_missing, row_not_chosen, row_twice, left_out_for_no_reason, left_out_and_rendered)),
    ("W1", BOTH, (ledger_line_missing, ledger_reason, chosen_and_in_ledger)),
    ("W2", ("dpo",), (one_pair_per_prompt, response_used_twice)),
    ("W3", ("dpo",), (forbidden_overlap, forbidden_prompt_overlap)),
    ("W4", ("dpo",), (second_best_pair, stored_score)),
    ("W5", BOTH, (word_in_answer, word_in_paper, body_cut_at_its_beginning, no_system_turn)),
    ("W6", BOTH, (other_year, other_rating, other_prompt_id)),
    ("W7", BOTH, (smaller_context, smaller_answers, false_count)),
    ("W8", BOTH, (injected_turn, injected_image)),
    ("W9", BOTH, (val_repeats_train,)),
]
