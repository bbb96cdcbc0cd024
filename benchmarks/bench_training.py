"""Where the time of training goes, how far from the floor it is, and what its settings were chosen from.

    python benchmarks/bench_training.py                          # all cases below, on this machine
    python benchmarks/bench_training.py step parts               # some of them
    python benchmarks/bench_training.py large --bf16             # d=1024, 256 completions a rater, batch 4,096: utilisation
    python benchmarks/bench_training.py large --tiny             # the same code on small sizes
    python benchmarks/bench_training.py --readme                 # the table of benchmarks/README.md, from what is stored

Cases: `step` (compile, steps, examples), `parts` (encoder, decoder, reward block, optimiser), `scoring` (h, d(z) and their product), `voters`, `batch`, `dtype`, `attention`,
`donation`, `cache`. Times are medians of processor seconds (user and system, all threads) because machines are shared; on an accelerator, wall seconds. Operations and bytes are
the compiler's count of the compiled program. The floor of a program is the larger of operations over the peak and bytes over the bandwidth: an accelerator's from a table or --peak,
a processor's from a matrix product of 2,048 and a copy of 2 MB here (a step's arrays stay in the cache). Rows of a case and device replace older ones in results/training.csv.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from pages import write_table

from socialrm import individual, interpretation, training
from socialrm.architecture import Architecture
from socialrm.ballots import Vocabulary
from socialrm.individual import IndividualConfig, make_examples, new_individual, objective
from socialrm.losses import list_mle
from socialrm.masking import draw_masks, places
from socialrm.pairs import Pairs, interpretation_inputs
from socialrm.populations import tennessee
from socialrm.shards import as_examples

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "training.csv"
COLUMNS = ("device", "case", "what", "figure", "value", "load")
PEAKS = {  # TFLOP/s of dense bfloat16 products, TB/s: makers' data sheets
    "A100": (312, 2.0),
    "H100": (989, 3.35),
    "H200": (989, 4.8),
    "L4": (121, 0.3),
    "TPU v5 lite": (197, 0.82),
    "TPU v5p": (459, 2.77),
    "TPU v6 lite": (918, 1.64),
}
ON_CPU = jax.default_backend() == "cpu"
CLOCK = time.process_time if ON_CPU else time.perf_counter


def seconds(work, times=7):
    "Median seconds of a call, the first left out."
    jax.block_until_ready(work())
    found = []
    for _ in range(times):
        start = CLOCK()
        jax.block_until_ready(work())
        found.append(CLOCK() - start)
    return float(np.median(found))


def peaks(given):
    "FLOP/s and bytes/s that this device can reach."
    kind = jax.devices()[0].device_kind
    known = next((value for name, value in PEAKS.items() if name in kind), None)
    if given or known:
        return 1e12 * (given or known[0]), 1e12 * (known or (0, np.inf))[1]
    a, b = jnp.ones((2_048, 2_048)), jnp.ones(2**19)
    product, copy = jax.jit(lambda a: a @ a), jax.jit(lambda b: b + 1)
    return 2 * 2_048**3 / seconds(lambda: product(a)), 2 * b.nbytes / seconds(lambda: copy(b))


def counted(compiled):
    "Operations and bytes of a compiled program; what a loop does is counted once."
    cost = compiled.cost_analysis() or {}
    return cost.get("flops", np.nan), cost.get("bytes accessed", np.nan)


def of_tennessee(**optimisation):
    "The default training."
    ballots, config = tennessee(key=jax.random.key(0)).ballots, IndividualConfig()
    config = replace(config, architecture=individual.fitted_architecture(config.architecture, ballots))
    pairs = Pairs.of(ballots)
    data = make_examples(ballots, pairs, interpretation_inputs(pairs, config))
    how = replace(config.optimisation, **optimisation)
    return pairs, config, (data, jnp.arange(ballots.n_raters, dtype=jnp.int32)), how


def of_large(tiny):
    "A large model on random ballots: 256 completions a rater."
    width, ballots, places_, batch, raters = (64, 4, 8, 16, 64) if tiny else (1_024, 16, 16, 4_096, 8_192)
    sizes = {"width": width, "hidden": width, "features": width, "heads": width // 32}
    sizes = Architecture(latent=64, blocks=3, gains=4, context=ballots, places=places_, **sizes)
    config = IndividualConfig(architecture=sizes)
    vocabulary = Vocabulary((), *(tuple(f"{kind}{i}" for i in range(64)) for kind in "pc"))
    pairs = Pairs(np.repeat(np.arange(64), 64), np.tile(np.arange(64), 64), vocabulary)
    rng = np.random.default_rng(0)
    shown = np.argsort(rng.random((raters, ballots, 64)), axis=2)[:, :, :places_]
    pair = rng.integers(0, 64, (raters, ballots, 1)) * 64 + shown
    rank = np.broadcast_to(np.arange(places_), pair.shape)
    data = as_examples(pair, rank, interpretation_inputs(pairs, config))
    return pairs, config, data, replace(config.optimisation, batch=batch, chunk=2 if tiny else 5)


def in_bfloat16(model):
    "Layers compute in bfloat16; parameters, optimiser and loss stay in float32."
    for _, module in nnx.iter_modules(model):
        if hasattr(module, "dtype"):
            module.dtype = jnp.bfloat16


def in_parts(parts):
    "The objective as a mean over parts of the batch, one after the other, activations made again on the way back."

    def loss(model, data, fraction, config, batch, *, key):
        graph, params, fixed = nnx.split(model, nnx.Param, ...)

        @jax.checkpoint
        def one(params, key):
            return objective(nnx.merge(graph, params, fixed), data, fraction, config, batch // parts, key=key)

        values, metrics = jax.lax.map(lambda key: one(params, key), jax.random.split(key, parts))
        return values.mean(), jax.tree.map(jnp.mean, metrics)

    return loss


def compiled_chunk(case, loss=objective, bf16=False):
    "A chunk of training as `fit` runs it: arguments, compiled program, seconds of tracing and of compiling."
    pairs, config, data, how = case
    model = new_individual(pairs, config, key=jax.random.key(0))
    if bf16:
        in_bfloat16(model)
    graph, params, fixed = nnx.split(model, nnx.Param, ...)
    shape = training._Shape.of(params)
    vector = shape.vector(params)
    carry = vector, how.transformation().init(vector)
    given = fixed, data, jax.random.key(1), jnp.int32(0)
    start = time.process_time()
    lowered = training._run_chunk.lower(loss, config, how, (graph, shape), carry, *given)
    middle = time.process_time()
    program = lowered.compile()
    return carry, given, program, middle - start, time.process_time() - middle


def step_rows(name, case, peak, loss=objective, bf16=False, times=5, operations=None):
    "Rows of a training."
    how = case[3]
    carry, given, program, trace, compile_ = compiled_chunk(case, loss, bf16)
    state = [carry]

    def run():
        state[0], metrics = program(state[0], *given)
        return metrics

    step = seconds(run, times) / how.chunk
    flops, moved = counted(program)
    flops = operations or flops
    rows = {
        "parameters": carry[0].size,
        "trace and lower, s": trace,
        "compile, s": compile_,
        "step, ms": 1e3 * step,
        "steps a second": 1 / step,
        "examples a second": how.batch / step,
        "MFLOP a step": flops / 1e6,
        "MB moved a step, as counted": moved / 1e6,
        "GFLOP/s": flops / step / 1e9,
        "utilisation: share of the peak": flops / step / peak[0],
    }
    if not operations:
        rows["times the floor"] = step / max(flops / peak[0], moved / peak[1])
    return [(name, figure, value) for figure, value in rows.items()]


def step(peak, given):
    return [("peak", "GFLOP/s", peak[0] / 1e9), ("peak", "GB/s", peak[1] / 1e9)] + step_rows(
        "Tennessee", of_tennessee(), peak
    )


def large(peak, given):
    "Utilisation: the operations of the objective itself, nothing made again, over the peak."
    case = of_large(given.tiny)
    pairs, config, data, how = case
    share = max(1, how.batch // given.part)
    model = new_individual(pairs, config, key=jax.random.key(0))
    graph, params, fixed = nnx.split(model, nnx.Param, ...)
    some, half = how.batch // share, jnp.float32(0.5)
    loss = lambda p, d: objective(nnx.merge(graph, p, fixed), d, half, config, some, key=jax.random.key(2))
    program = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(params, data).compile()
    operations = share * counted(program)[0]
    name = ("tiny" if given.tiny else "large") + (", bfloat16" if given.bf16 else "")
    return step_rows(name, case, peak, in_parts(share), given.bf16, 3, operations)


def looped(part, given, times=40):
    "Seconds of one call of a function of arrays and a step's number, from a compiled loop over many."
    total = lambda tree: sum(leaf.astype(jnp.float32).sum() for leaf in jax.tree.leaves(tree))
    add = lambda c, i, given: (c + total(part(given, i)), None)
    loop = jax.jit(lambda given: jax.lax.scan(lambda c, i: add(c, i, given), 0.0, jnp.arange(times))[0])
    return seconds(lambda: loop(given)) / times


def parts(peak, given):
    "A training step in parts, each with its gradient, on Tennessee's default batch."
    pairs, config, (examples, raters), how = of_tennessee()
    model = new_individual(pairs, config, key=jax.random.key(0))
    graph, params, fixed = nnx.split(model, nnx.Param, ...)
    merged, sizes, key = lambda p: nnx.merge(graph, p, fixed), config.architecture, jax.random.key(1)
    half, every = jnp.float32(0.5), jax.vmap

    def drawn(data, i):
        examples, raters = data
        keys = jax.random.split(jax.random.fold_in(key, i), how.batch)
        rater = jax.random.choice(keys[0], raters, (how.batch,))
        pair, rank, _ = every(lambda r: examples.look(r, jnp.int32(0), sizes.context))(rater)
        masks = every(lambda v, k: draw_masks(v, half, config.masking, key=k))(pair >= 0, keys)
        place, share = every(places)(rank, pair >= 0, masks.visible, masks.absolute)
        return jnp.maximum(pair, 0), masks, place, share

    def encoder(p, data, i):
        pair, masks, place, share = drawn(data, i)
        model = merged(p)
        what = model.encoder.what(model.interpretation(data[0].inputs))[pair]
        tag = jnp.broadcast_to(jnp.arange(sizes.context), pair.shape[:2])
        given = what, place, share, tag, masks.absolute, masks.visible
        mean, log_sigma = every(model.encoder)(*given)
        return mean.sum() + log_sigma.sum()

    normal = lambda i, *shape: jax.random.normal(jax.random.fold_in(key, i), (how.batch, *shape))
    decoder = lambda p, data, i: every(merged(p).decoder)(normal(i, sizes.latent)).sum()

    def block(p, data, i):
        weights, size = normal(i, sizes.gains * sizes.features), sizes.context * sizes.places
        chosen = merged(p).block(data[0].inputs)[(jnp.arange(how.batch * size) + i) % len(pairs.prompt)]
        rewards = jnp.einsum("bf,bpf->bp", weights, chosen.reshape(how.batch, size, -1))
        rank = jnp.broadcast_to(jnp.arange(sizes.places), (how.batch, sizes.context, sizes.places))
        losses = every(every(list_mle))(rewards.reshape(rank.shape), rank, jnp.ones(rank.shape, bool))
        return losses.sum()

    def optimiser(given, i):
        params, _ = given
        vector = shape.vector(params)
        return transformation.update(vector * (1.0 + i), transformation.init(vector), vector)[0]

    shape, transformation = training._Shape.of(params), how.transformation()
    whole = lambda p, data, i: objective(
        merged(p), data, half, config, how.batch, key=jax.random.fold_in(key, i)
    )[0]
    with_gradient = lambda loss: lambda given, i: jax.grad(loss)(*given, i)
    timed = {
        "loss, forward": lambda given, i: whole(*given, i),
        "loss and gradient": with_gradient(whole),
        "drawing raters, masks and places": lambda given, i: drawn(given[1], i),
        "the same and the encoder, with gradient": with_gradient(encoder),
        "decoder, with gradient": with_gradient(decoder),
        "reward block and list-MLE, with gradient": with_gradient(block),
        "optimiser": optimiser,
    }
    given, rows = (params, (examples, raters)), []
    for name, part in timed.items():
        flops, moved = counted(jax.jit(part).lower(given, jnp.int32(1)).compile())
        time_ = looped(part, given)
        rows += [(name, "ms", 1e3 * time_), (name, "MFLOP", flops / 1e6), (name, "MB", moved / 1e6)]
    return rows


def scoring(peak, given):
    "h, d(z) and the reward block alone, for 4,096 voters and 128 candidates."
    pairs, config, *_ = of_tennessee()
    model = new_individual(pairs, config, key=jax.random.key(0))
    z = jnp.asarray(
        np.random.default_rng(0).standard_normal((4_096, config.architecture.latent)), jnp.float32
    )
    inputs = tuple(jnp.tile(x, 16) for x in interpretation_inputs(pairs, config))
    weights, block = jax.vmap(model.decoder)(z).reshape(len(z), -1), model.block(inputs)
    graph, params = nnx.split(model)
    done = {
        "h of 128 candidates, once a contest": (lambda p, i: nnx.merge(graph, p).block(i), (params, inputs)),
        "d(z) of 4,096 voters, once a voter": (
            lambda p, z: jax.vmap(nnx.merge(graph, p).decoder)(z),
            (params, z),
        ),
        "reward block, 4,096 x 128": (lambda w, b: w @ b.T, (weights, block)),
        "whole score": (lambda p, i, z: nnx.merge(graph, p).score(i, z), (params, inputs, z)),
    }
    rows = []
    for name, (work, arrays) in done.items():
        program = jax.jit(work)
        took, flops = (
            seconds(lambda p=program, a=arrays: p(*a), 15),
            counted(program.lower(*arrays).compile())[0],
        )
        rows += [(name, "ms", 1e3 * took), (name, "MFLOP", flops / 1e6)]
    product, score = rows[4][2], rows[6][2]
    rows.append(("reward block", "share of the whole score's time", product / score))
    return rows + [("reward block", "ns a voter and candidate", 1e6 * product / (4_096 * 128))]


def voters(peak, given):
    "Voters a second: drawn with rankings, and counted by running tallies."
    from socialrm.ballots import Contests
    from socialrm.density import MixtureDensity
    from socialrm.electorates import Electorate, draw
    from socialrm.individual import Individual, embed
    from socialrm.tallies import VOTERS, tally
    from socialrm.voices import listen

    ballots = tennessee(key=jax.random.key(0)).ballots
    pairs, config, *_ = of_tennessee()
    found = Individual(
        new_individual(pairs, config, key=jax.random.key(0)), config, pairs, np.zeros(0, int), []
    )
    density = MixtureDensity(np.ones(1), np.zeros((1, 8)), np.eye(8)[None])
    z = density.sample(10 * VOTERS, rng=np.random.default_rng(0))[0]
    electorate = Electorate(z[:10_000], np.full(10_000, -1), np.ones(10_000))
    contests, key = ballots.contests(), jax.random.key(1)
    many = Contests(np.tile(contests.prompt, 32), np.tile(contests.completion, (32, 1)), ballots.vocabulary)
    chunks = [z[at : at + VOTERS] for at in range(0, len(z), VOTERS)]
    voices = listen(found, electorate)
    ask = lambda who: draw(who, electorate, ballots, 0, contests.completion[0], key=key)
    rows = {
        "raters embedded a second": ballots.n_raters / seconds(lambda: embed(found, ballots), 3),
        "voters sampled from the density a second": len(z)
        / seconds(lambda: density.sample(len(z), rng=np.random.default_rng(0)), 3),
        "rankings drawn a second, decoded each time": 10_000 / seconds(lambda: ask(found), 5),
        "rankings drawn a second, decoded once": 10_000 / seconds(lambda: ask(voices), 5),
        "voter-contests of 4 tallied a second, 64 contests": 64
        * len(z)
        / seconds(lambda: tally(found, chunks, many, key=key).above, 3),
    }
    return [("voters", figure, value) for figure, value in rows.items()]


def batch(peak, given):
    "Examples a second against the batch: what a larger batch buys."
    rows = []
    for size in (32, 128, 512, 2_048):
        rows += [
            row
            for row in step_rows(f"batch {size}", of_tennessee(batch=size, chunk=20), peak, times=3)
            if row[1] in ("step, ms", "examples a second")
        ]
    return rows


def dtype(peak, given):
    "float32 against bfloat16 layers, the tiny large model."
    kept = ("step, ms", "examples a second")
    return [
        row
        for name, low in (("float32", False), ("bfloat16", True))
        for row in step_rows(name, of_large(True), peak, bf16=low, times=3)
        if row[1] in kept
    ]


def attention(peak, given):
    "Attention with its gradient: one query (as the preference encoder has it) or all, three ways."
    rows, rng = [], np.random.default_rng(0)
    fused = lambda q, k, v, mask=None, **_: jax.nn.dot_product_attention(
        q[None], k[None], v[None], mask=mask[None], implementation=None if ON_CPU else "cudnn"
    )[0]
    for width, heads, keys, examples in ((32, 4, 9, 128), (256, 8, 257, 16)):
        sequence = jnp.asarray(rng.standard_normal((examples, keys, width)), jnp.float32)
        seen = jnp.asarray(rng.random((examples, keys)) < 0.7).at[:, -1].set(True)
        for queries in ("one query", "all"):
            for name in ("one query, absorbed", "flax", "jax.nn.dot_product_attention"):
                if (name == "one query, absorbed") and queries == "all":
                    continue
                more = {"attention_fn": fused} if "jax.nn" in name else {}
                layer = nnx.MultiHeadAttention(heads, width, decode=False, rngs=nnx.Rngs(0), **more)
                graph, params = nnx.split(layer)

                def call(params, sequence, seen, graph=graph, name=name, queries=queries):
                    layer = nnx.merge(graph, params)
                    query = sequence[:1] if queries == "one query" else sequence
                    if "absorbed" in name:
                        return interpretation.attend_once(layer, query, sequence, seen)
                    return layer(query, sequence, mask=jnp.broadcast_to(seen, (1, len(query), len(seen))))

                def part(given, i, call=call):
                    params, sequence, seen = given
                    loss = lambda p: jax.vmap(call, (None, 0, 0))(p, sequence + i, seen).sum()
                    return jax.grad(loss)(params)

                size = f"{examples} x {keys} keys, width {width}, {queries}"
                rows.append((size, f"{name}, ms", 1e3 * looped(part, (params, sequence, seen), 10)))
    return rows


def donation(peak, given):
    "Memory and time of a chunk whose carry is donated, and of one whose carry is not."
    rows, case = [], of_large(True)
    pairs, config, data, how = case
    for name, donated in (("donated", (4,)), ("not donated", ())):
        run = jax.jit(training._run_chunk.__wrapped__, static_argnums=(0, 1, 2, 3), donate_argnums=donated)
        model = new_individual(pairs, config, key=jax.random.key(0))
        graph, params, fixed = nnx.split(model, nnx.Param, ...)
        shape = training._Shape.of(params)
        state = [(shape.vector(params), how.transformation().init(shape.vector(params)))]
        rest = fixed, data, jax.random.key(1), jnp.int32(0)
        program = run.lower(objective, config, how, (graph, shape), state[0], *rest).compile()

        def work(program=program, state=state, rest=rest):
            state[0], metrics = program(state[0], *rest)
            return metrics

        memory = program.memory_analysis()
        held = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
        rows += [
            (name, "step, ms", 1e3 * seconds(work, 5) / how.chunk),
            (name, "MB of arguments and results", held / 2**20),
        ]
    return rows


def cache(peak, given):
    "Processor seconds of a first training chunk in a new process, machine code kept or not."
    program = (
        "import sys, time; sys.path.insert(0, {here!r}); import bench_training as b; from socialrm.devices import keep_compiled\n"
        "keep_compiled({folder!r}); start = time.process_time(); b.compiled_chunk(b.of_tennessee()); print(time.process_time() - start)"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, where in (
            ("off", "off"),
            ("on, first time", f"{folder}/kept"),
            ("on, second time", f"{folder}/kept"),
        ):
            command = [sys.executable, "-c", program.format(here=str(HERE), folder=where)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rows.append((name, "trace and compile, s", float(said.split()[-1])))
    return rows


CASES = {f.__name__: f for f in (step, parts, scoring, voters, batch, dtype, attention, donation, cache)}


def store(new, device, case):
    "Replace a case's rows."
    old = []
    if RESULTS.exists():
        with RESULTS.open(newline="") as lines:
            old = [row for row in csv.DictReader(lines) if (row["device"], row["case"]) != (device, case)]
    rows = [
        (device, case, what, figure, f"{value:.4g}", f"{os.getloadavg()[0]:.1f}")
        for what, figure, value in new
    ]
    with RESULTS.open("w", newline="") as lines:
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows([[row[c] for c in COLUMNS] for row in old] + rows)
    for _, case, what, figure, value, _ in rows:
        print(f"{case:10} {what:44} {figure:40} {value}", flush=True)


def write_readme():
    "The table between the marks of benchmarks/README.md."
    with RESULTS.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    table = ["| case | what | figure | value |", "|---|---|---|---|"]
    table += [f"| {row['case']} | {row['what']} | {row['figure']} | {row['value']} |" for row in rows]
    write_table("training", table)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("cases", nargs="*", choices=[*CASES, "large", []], default=[])
    parse.add_argument("--tiny", action="store_true", help="of large: small sizes")
    parse.add_argument("--bf16", action="store_true", help="of large: layers in bfloat16")
    parse.add_argument(
        "--part", type=int, default=256, help="of large: examples whose activations are held at once"
    )
    parse.add_argument("--peak", type=float, help="of the device, TFLOP/s")
    parse.add_argument("--readme", action="store_true")
    given = parse.parse_args()
    if given.readme:
        return write_readme()
    peak, device = peaks(given.peak), jax.devices()[0].device_kind
    device = f"{device}, {os.cpu_count()} cores" if ON_CPU else device
    for case in given.cases or CASES:
        case_rows = (large if case == "large" else CASES[case])(peak, given)
        store(case_rows, device, f"{case}, tiny" if case == "large" and given.tiny else case)


if __name__ == "__main__":
    main()
