"Several devices and processes: the numbers of one."

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from socialrm.pairs import Pairs
from socialrm.populations import tennessee
from socialrm.shards import write_shard
from socialrm.stored import save_pairs

PROGRAM = """
import sys
import jax
import numpy as np
from dataclasses import replace
from pathlib import Path
from socialrm import devices, shards as stored
from socialrm.architecture import Architecture
from socialrm.ballots import Contests, make_ballots
from socialrm.counting import count as count_voters
from socialrm.density import MixtureDensity
from socialrm.electorates import Electorate, completed, draw, simulated
from socialrm.groups import Welfare
from socialrm.individual import Individual, IndividualConfig, embed, fitted_architecture, new_individual, objective, rewards, train_individual
from socialrm.learning import vote
from socialrm.pairs import Pairs
from socialrm.pairs import interpretation_inputs
from socialrm.populations import tennessee
from socialrm.social import SocialConfig, train_reward
from socialrm.pools import rater_ballots
from socialrm.streamed import StreamLearned, count_stream, embed_stream
from socialrm.streams import Stream
from socialrm.tallies import stream_voters, tally
from socialrm.training import Optimisation, fit

out, count, split = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "sharded"
if sys.argv[4] == "processes":
    print("processes", devices.join_processes())
ballots = tennessee(200, key=jax.random.key(0)).ballots
how = Optimisation(steps=20, batch=64, chunk=10, sharded=split)
small = Architecture(width=16, blocks=1, heads=2, hidden=16, features=8)
config = IndividualConfig(architecture=small, optimisation=how)
contests = 2 if sys.argv[4] == "alone" and count == 8 else None  # a mesh of 2 x 4; of processes each is a row
read, read_group = [], stored.read_group


def streams_counted():
    "Means of all raters of the shards, and their ballots counted, by a model that is the same everywhere."
    stream = Stream.open(Path(out).parent / "shards", looked=50)
    how = replace(config, architecture=replace(fitted_architecture(small, stream.ballots), context=2))
    model = Individual(new_individual(stream.pairs, how, key=jax.random.key(7)), how, stream.pairs, np.zeros(0, int), [])
    mean, sigma = embed_stream(model, stream)
    learned = StreamLearned(model, mean[stream.rows], sigma[stream.rows], *[None] * 6, every=(mean, sigma))
    template = Electorate(mean[:1], np.zeros(1, int), np.ones(1))
    counted = count_stream(stream, learned, model, template, stream.contests(), key=jax.random.key(10))
    yield from {"stream mean": mean, "stream sigma": sigma, "stream above": counted.above, "stream places": counted.places}.items()


def elections():
    "Held rankings of a model that is the same everywhere: simulated voters, and raters of whom one in ten said two things of a prompt."
    rng, names = np.random.default_rng(3), "abcde"
    said = [(f"r{i}", f"p{p}", [names[c] for c in rng.permutation(5)[:3]]) for i in range(61) for p in (0, 0, 1)[i % 10 > 0 :]]
    few = make_ballots(said, prompts=("p0", "p1"), completions=tuple(names))
    pairs, how = Pairs.of(few), replace(config, architecture=fitted_architecture(small, few))
    model = Individual(new_individual(pairs, how, key=jax.random.key(7)), how, pairs, np.zeros(0, int), [])
    table = few.contests()
    asked = Contests(table.prompt[[0, 1, 0]], table.completion[[0, 1, 0]], table.vocabulary)  # an odd number
    z, rng = np.random.default_rng(5).standard_normal((1_003, how.architecture.latent)), np.random.default_rng(4)
    groups = {"simulated": Electorate(z, np.full(1_003, -1), np.ones(1_003)), "modal": Electorate(z, np.full(1_003, -1), np.ones(1_003), orders="modal")}
    groups["completed"] = completed(few, np.zeros((61, z.shape[1])), np.ones(61), 200, rng=rng)
    for name, who in groups.items():
        watch = Welfare(np.arange(len(who.z)) % 2, who.weight, ("even", "odd"))
        orders, kept, shares = vote(model, who, few, asked, ("borda", "irv", "utilitarian"), key=jax.random.key(8), keep=(0, 9), look=[watch])
        scores = np.concatenate([order.scores for order in orders.values()])
        yield from {f"held {name} scores": scores, f"held {name} kept": np.stack(kept), f"held {name} shares": shares, f"held {name} looked": np.stack(watch.found)}.items()
    counted = count_voters(model, groups["completed"], few, asked, key=jax.random.key(9))
    yield from streams_counted()
    yield from {"held above": counted.above, "held places": counted.places}.items()


stored.read_group = lambda shards, number: read.append(number) or read_group(shards, number)
with devices.on_devices(count, contests):
    seen = []
    found = train_individual(ballots, config, key=jax.random.key(1), progress=seen.append)
    mean, sigma = embed(found, ballots)
    social = train_reward(
        rater_ballots(ballots, found.pairs), found.pairs, SocialConfig(optimisation=replace(how, batch=8)), key=jax.random.key(2)
    )
    density = MixtureDensity(np.ones(1), np.zeros((1, 8)), np.eye(8)[None])
    voters, _ = simulated(density, 1_003, rng=np.random.default_rng(0))
    contest = ballots.contests()
    ranks, utility = draw(found, voters, ballots, 0, contest.completion[0], key=jax.random.key(3))
    more = {}
    if not split:  # what these share out does not depend on how parameters lie
        counted = tally(found, stream_voters(density, 5_000, seed=0), contest, key=jax.random.key(4))
        shards = stored.Shards.open(Path(out).parent / "shards", 2, 4)
        data = stored.windows(shards, interpretation_inputs(found.pairs, found.config), chunk=10, groups=8, seed=0)
        model = new_individual(found.pairs, found.config, key=jax.random.key(5))
        rows = fit(model, objective, data, found.config, how, key=jax.random.key(6))
        more = {name: [row[name] for row in rows] for name in ("loss", "unexplained")}
        more = {f"streamed {name}": values for name, values in more.items()} | {"above": counted.above, "places": counted.places} | dict(elections())
    devices_used, rows_of_mesh = devices.device_count(), jax.sharding.get_abstract_mesh().shape.get("contests", 1)
np.save(Path(out).with_suffix(f".{jax.process_index()}.npy"), read[:8])
if devices.is_first():
    np.savez(
        out, loss=[row["loss"] for row in found.history], unexplained=[row["unexplained"] for row in found.history],
        mean=mean, sigma=sigma, social=social.score(), ranks=ranks, utility=utility, devices=devices_used,
        reward=np.asarray(rewards(found, voters.z)), rows=rows_of_mesh, **more,
    )
"""


QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"  # to compile


def start(folder, name, count, split="copied", devices=1, number=None, port=None):
    "One process of a job."
    setting = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{QUICK} --xla_force_host_platform_device_count={devices}",
    }
    if number is not None:
        told = {"COORDINATOR": f"127.0.0.1:{port}", "PROCESSES": "2", "PROCESS": str(number)}
        setting |= {f"SOCIALRM_{k}": v for k, v in told.items()}
    how = "alone" if number is None else "processes"
    command = [sys.executable, "-c", PROGRAM, str(folder / f"{name}.npz"), str(count), split, how]
    return subprocess.Popen(
        command, env=os.environ | setting, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(*processes):
    "Wait, and show what a process said where it failed."
    said = [process.communicate(timeout=1_200)[0] for process in processes]
    for process, text in zip(processes, said):
        assert process.returncode == 0, text[-3000:]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    "The same training and election on one device, on eight, on eight with split parameters, and on 2 x 2."
    folder = tmp_path_factory.mktemp("devices")
    ballots = tennessee(200, key=jax.random.key(0)).ballots
    rows = Pairs.of(ballots).index(ballots.prompt[:, None], ballots.completion), ballots.rank
    (folder / "shards").mkdir()
    write_shard(folder / "shards" / "0.parquet", *rows, np.full(200, 2), group=25)
    save_pairs(Pairs.of(ballots), folder / "shards" / "pairs.json")
    finish(start(folder, "one", 1))
    finish(start(folder, "eight", 8, devices=8))
    finish(start(folder, "split", 8, "sharded", devices=8))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    finish(*(start(folder, "processes", 0, devices=2, number=i, port=port) for i in (0, 1)))
    found = {path.stem: dict(np.load(path)) for path in Path(folder).glob("*.npz")}
    for path in Path(folder).glob("*.npy"):
        found[path.stem.split(".")[0]]["read " + path.stem.split(".")[1]] = np.load(path)
    return found


@pytest.mark.parametrize("name, devices", [("eight", 8), ("split", 8), ("processes", 4)])
def test_same_training(runs, name, devices):
    one, other = runs["one"], runs[name]
    assert (one["devices"], other["devices"]) == (1, devices)
    for figure in ("loss", "unexplained", "mean", "sigma", "social", "reward", "utility"):
        np.testing.assert_allclose(other[figure], one[figure], rtol=2e-3, atol=2e-3, err_msg=figure)
    # the share of a batch that is unexplained depends on who is in it: other raters would show in the first chunk
    np.testing.assert_allclose(other["loss"][0], one["loss"][0], rtol=1e-4)


@pytest.mark.parametrize("name", ["eight", "split", "processes"])
def test_same_voters(runs, name):
    assert (runs[name]["ranks"] == runs["one"]["ranks"]).mean() > 0.999


@pytest.mark.parametrize("name", ["eight", "processes"])
def test_contests_and_voters_shared_out_are_counted_the_same(runs, name):
    one, other = runs["one"], runs[name]
    assert (one["rows"], other["rows"]) == (1, 2)
    assert (other["places"].sum(axis=2) == 5_000).all()
    for figure in ("above", "places"):
        assert np.abs(other[figure] - one[figure]).max() <= 5, (
            figure
        )  # where rewards are level to the last digit


@pytest.mark.parametrize("name", ["eight", "processes"])
def test_held_rankings_are_shared_by_voters_and_contests_to_the_last_bit(runs, name):
    one, other = runs["one"], runs[name]
    held = [figure for figure in one if figure.startswith("held ")]
    assert len(held) == 14
    for figure in held:
        exact = (
            6 if figure.endswith("scores") else None
        )  # of two rules of rankings; utilities are sums of products
        np.testing.assert_array_equal(other[figure][:exact], one[figure][:exact], err_msg=figure)
        np.testing.assert_allclose(other[figure], one[figure], rtol=1e-5, atol=1e-5, err_msg=figure)
    assert (one["held completed kept"] >= 0).all() and np.ptp(one["held simulated scores"]) > 0


@pytest.mark.parametrize("name", ["eight", "processes"])
def test_each_process_embeds_and_counts_its_own_raters_of_shards(runs, name):
    one, other = runs["one"], runs[name]
    for figure in ("stream mean", "stream sigma"):
        np.testing.assert_allclose(other[figure], one[figure], rtol=1e-5, atol=1e-6, err_msg=figure)
    np.testing.assert_array_equal(other["stream above"], one["stream above"])
    assert (one["stream places"].sum(axis=2) == 200).all()


@pytest.mark.parametrize("name", ["eight", "processes"])
def test_the_same_raters_are_streamed(runs, name):
    one, other = runs["one"], runs[name]
    assert len(one["streamed loss"]) == 2
    for figure in ("streamed loss", "streamed unexplained"):
        np.testing.assert_allclose(other[figure], one[figure], rtol=2e-3, err_msg=figure)
        np.testing.assert_allclose(other[figure][0], one[figure][0], rtol=1e-4, err_msg=figure)


def test_each_process_reads_its_own_part(runs):
    """One window is all eight row groups: what one process reads in order, two read half each."""
    alone, parts = runs["one"]["read 0"], [runs["processes"][f"read {i}"] for i in (0, 1)]
    assert sorted(alone) == list(range(8))
    np.testing.assert_array_equal(np.concatenate([part[:4] for part in parts]), alone)
    assert set(parts[0][:4]).isdisjoint(parts[1][:4])
