"""A corpus that excludes another is read after it, from that one's prompts."""

from workflow import snakemake

STUDY = """
extends: demo
study: posts
corpora:
  gen: {adapter: sarcasm_v2, path: "{data_root}/posts", parts: [GEN]}
  hyp: {adapter: sarcasm_v2, path: "{data_root}/posts", parts: [HYP], exclude: [gen]}
  tweets: {adapter: isarcasm, path: "{data_root}/tweets.csv", exclude: [hyp, gen]}
"""


def test_corpora_wait_for_those_that_they_exclude(checkout):
    (checkout / "studies" / "posts.yaml").write_text(STUDY)
    (checkout / "data/posts").mkdir(parents=True)
    for file in ("posts/GEN-sarc-notsarc.csv", "posts/HYP-sarc-notsarc.csv", "tweets.csv"):
        (checkout / "data" / file).touch()
    target = "results/posts/corpus/tweets/prompts.parquet"
    done = snakemake(checkout, "--dry-run", "--printshellcmds", "--cores", "1", "--", target)
    given = {}
    for line in (done.stdout + done.stderr).splitlines():
        words = line.split()
        if "--excluded" in words:
            options = words[words.index("--excluded") + 1 : words.index("--manifest")]
            given[words[words.index("--corpus") + 1]] = options
    prompts = {name: f"{name}=results/posts/corpus/{name}/prompts.parquet" for name in ("gen", "hyp")}
    assert given == {"gen": [], "hyp": [prompts["gen"]], "tweets": [prompts["hyp"], prompts["gen"]]}
