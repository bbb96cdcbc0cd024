"""Memory and time of reading 100,000 texts: once, and from the cache in another process; writes benchmarks/results/embed_many.csv.

    python benchmarks/embed_many.py [--texts 100000]

The texts are made, eight words each, and the encoder is a randomly initialised transformer of one layer with MiniLM's tokenizer and MiniLM's
384 dimensions: vectors and cache are as large as MiniLM's, reading is faster. Memory is the peak of the whole process, torch and JAX
included; seconds are CPU time, which other work on the machine does not lengthen.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from pages import write_table

RESULTS = Path(__file__).parent / "results" / "embed_many.csv"
WORDS = (
    "attention city because river school taxes tea train nobody everybody large near far good bad why".split()
)


def make_encoder(folder: Path) -> None:
    """A transformer that is small but for its width."""
    import torch
    import transformers

    from socialrm.encoders import DEFAULT, find_encoder

    transformers.AutoTokenizer.from_pretrained(find_encoder(DEFAULT)).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 384, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.BertModel(transformers.BertConfig(**sizes)).save_pretrained(folder)


def once(folder: Path, n: int) -> dict[str, float]:
    """Read them all; what it took."""
    from socialrm.embeddings import TextEncoder

    rng = np.random.default_rng(0)
    texts = [f"{' '.join(rng.choice(WORDS, 8))} {i}" for i in range(n)]
    encoder = TextEncoder(
        str(folder / "encoder"), device="cpu", batch=256, cache=folder / "cache", progress=False
    )
    vectors = encoder.vectors(texts)
    used = resource.getrusage(resource.RUSAGE_SELF)
    disk = sum(path.stat().st_size for path in (folder / "cache").rglob("*.safetensors"))
    return {
        "GB of vectors": vectors.nbytes / 1e9,
        "GB on disk": disk / 1e9,
        "GB at the peak": used.ru_maxrss * 1024 / 1e9,
        "CPU seconds": used.ru_utime + used.ru_stime,
    }


def write_readme() -> None:
    """What is stored, as a table between its two marks in README.md."""
    with RESULTS.open() as lines:
        rows = [f"| {' | '.join(row.values())} |" for row in csv.DictReader(lines)]
    write_table("embed", ["| texts | from | figure | value |", "|---|---|---|---|", *rows])


def main() -> None:
    """Two processes, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="used by the benchmark itself")
    parser.add_argument("--readme", action="store_true", help="write the table, measure nothing")
    asked = parser.parse_args()
    if asked.readme:
        return write_readme()
    if asked.folder:
        print(json.dumps(once(asked.folder, asked.texts)))
        return
    with tempfile.TemporaryDirectory() as name, RESULTS.open("w", newline="") as lines:
        make_encoder(Path(name) / "encoder")
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(["texts", "from", "figure", "value"])
        for source in ("encoder", "cache"):
            command = [sys.executable, __file__, "--texts", str(asked.texts), "--folder", name]
            found = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            )
            for figure, value in found.items():
                table.writerow([asked.texts, source, figure, round(value, 3)])
                print(asked.texts, source, figure, round(value, 3), flush=True)


if __name__ == "__main__":
    main()
