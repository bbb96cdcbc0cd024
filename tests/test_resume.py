"""Runs that are killed, broken off, or meet a folder that they cannot use; twenty kills are in benchmarks/kill_resume.py."""

import errno
import os
import pickle
import resource
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from short_run import FILES, short

from socialrm import checkpoints, populations
from socialrm.folders import CheckpointError, asked_for, claim
from socialrm.pipeline import run
from socialrm.training import TrainingError

pytestmark = pytest.mark.trains

SHORT = short(30, 10, 60, 30, voters=100, members=1, compare=(), resamples=10)
CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_resume as t
folder, last = Path(sys.argv[1]), sys.argv[2]
def look(row):
    if last == row["stage"] + str(row["step"]):
        os.kill(os.getpid(), signal.SIGKILL)
t.run(t.ballots(), t.SHORT, out=folder, every=0.0, progress=look)
"""


def ballots(raters=40):
    return populations.tennessee(raters, key=jax.random.key(0)).ballots


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    run(ballots(), SHORT, out=folder, every=0.0)
    return folder


def same(one, other):
    return [name for name in FILES if (one / name).read_bytes() != (other / name).read_bytes()] == []


def test_checkpoints_change_nothing(undisturbed, tmp_path):
    run(ballots(), SHORT, out=tmp_path / "run", every=1e9)
    assert same(tmp_path / "run", undisturbed)
    plain = run(ballots(), SHORT)
    again = run(ballots(), SHORT, out=undisturbed)  # read back, nothing trained
    np.testing.assert_array_equal(plain.social.score(), again.social.score())
    np.testing.assert_array_equal(plain.learned.mean, again.learned.mean)
    assert plain.metrics == again.metrics and plain.learned.criterion == again.learned.criterion


def test_killed_twice_it_ends_with_the_same_bytes(undisturbed, tmp_path):
    child = CHILD.format(tests=str(Path(__file__).parent))
    folder = tmp_path / "run"
    for last in ("individual20", "social30"):
        ended = subprocess.run([sys.executable, "-c", child, str(folder), last], capture_output=True)
        assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert (folder / "checkpoints" / "votes.npz").exists() and not (folder / "social_orders.csv").exists()
    rows = []
    run(ballots(), SHORT, out=folder, progress=lambda row: rows.append((row["stage"], row["step"])))
    assert rows == [("social", 60)]  # what was finished is read back
    assert same(folder, undisturbed)


def test_a_full_disk_is_said_and_nothing_is_lost(undisturbed, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.os, "fsync", full)
        with pytest.raises(CheckpointError, match="No space left on device.*run again"):
            run(ballots(), SHORT, out=folder)
    assert not (folder / "social_orders.csv").exists()
    run(ballots(), SHORT, out=folder)
    assert same(folder, undisturbed)


def test_a_limit_on_files_stops_a_training_and_not_its_last_checkpoint(tmp_path):
    folder = tmp_path / "run"
    grow = np.random.default_rng(0).normal(size=100_000).astype(np.float32)  # does not compress
    training = checkpoints.Training(folder, every=0.0)
    carry, key = (jax.numpy.asarray(grow), ()), jax.random.key(0)
    training.restore(carry, key, "")
    training.save(1, carry, [], finished=False)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match="cannot be written .*checkpoint of step 1 is kept"):
            training.save(2, carry, [], finished=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    step, found, _ = checkpoints.Training(folder).restore(carry, key, "")
    assert step == 1
    np.testing.assert_array_equal(found[0], grow)


@pytest.mark.parametrize("damage", ["cut", "changed", "emptied", "half"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_serves(damage, tmp_path):
    carry, key = (jax.numpy.arange(1000.0), ()), jax.random.key(0)
    training = checkpoints.Training(tmp_path, every=0.0)
    training.restore(carry, key, "")
    for step in (1, 2):
        training.save(step, (carry[0] * step, ()), [], finished=False)
    if damage == "half":  # killed before orbax gave it its name
        (tmp_path / "3.orbax-checkpoint-tmp").mkdir()
        assert checkpoints.Training(tmp_path).restore(carry, key, "")[0] == 2
        return
    for path in (tmp_path / "2").rglob("*"):
        if path.is_file() and path.stat().st_size > 20:
            data = path.read_bytes()
            middle = len(data) // 2
            changed = data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]
            path.write_bytes({"cut": data[:middle], "changed": changed, "emptied": b""}[damage])
    with pytest.warns(UserWarning, match="damaged and set aside"):
        step, found, _ = checkpoints.Training(tmp_path).restore(carry, key, "")
    assert step == 1
    np.testing.assert_array_equal(found[0], carry[0])


def test_a_damaged_stage_is_made_again(undisturbed, tmp_path):
    folder = tmp_path / "run"
    run(ballots(), SHORT, out=folder)
    for name in ("member-0/density.npz", "votes.npz"):
        path = folder / "checkpoints" / name
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.warns(UserWarning, match="damaged, and made again"):
        run(ballots(), SHORT, out=folder)
    assert same(folder, undisturbed)


def test_two_runs_do_not_share_a_folder(tmp_path):
    asked = asked_for(ballots(), SHORT)
    with claim(tmp_path / "run", asked):
        with pytest.raises(CheckpointError, match="in use by another run"):
            run(ballots(), SHORT, out=tmp_path / "run")
    with claim(tmp_path / "run", asked):  # free again
        pass


def test_a_folder_of_other_data_or_settings_is_refused_and_kept(undisturbed):
    before = {name: (undisturbed / name).read_bytes() for name in FILES}
    with pytest.raises(CheckpointError, match="other data"):
        run(ballots(44), SHORT, out=undisturbed)
    with pytest.raises(CheckpointError, match="rule is 'borda' there and 'copeland' here"):
        run(ballots(), replace(SHORT, rule="copeland"), out=undisturbed)
    assert before == {name: (undisturbed / name).read_bytes() for name in FILES}


def test_folders_that_cannot_be_written(tmp_path):
    """Permission bits do not bind root: a path below a file cannot be made by anybody."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError, match="cannot be written"):
        run(ballots(), SHORT, out=tmp_path / "file" / "run")
    with pytest.raises(CheckpointError, match="is a file"):
        run(ballots(), SHORT, out=tmp_path / "file")
    with pytest.raises(CheckpointError, match="no run to go on with"):
        run(ballots(), SHORT, out=tmp_path / "new", resume=True)
    assert not (tmp_path / "new").exists()
    readonly = OSError(errno.EROFS, os.strerror(errno.EROFS))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(readonly))
        with pytest.raises(CheckpointError, match="Read-only file system"):
            run(ballots(), SHORT, out=tmp_path / "new")


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("keep")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "checkpoints").symlink_to(outside)
    with pytest.raises(CheckpointError, match="is a link"):
        run(ballots(), SHORT, out=folder, force=True)
    (folder / "checkpoints").unlink()
    (folder / "social_orders.csv").symlink_to(outside / "mine.txt")
    (folder / "figures").symlink_to(outside)
    (folder / ".writing").symlink_to(outside)
    run(ballots(), SHORT, out=folder, force=True)
    assert [path.name for path in outside.iterdir()] == ["mine.txt"]
    assert (outside / "mine.txt").read_text() == "keep"
    assert not (folder / "figures").is_symlink() and (folder / "figures").is_dir()


class Bomb:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path(self.path).touch, ())


def test_a_malicious_checkpoint_runs_nothing(undisturbed, tmp_path):
    exploded = tmp_path / "exploded"
    folder = tmp_path / "run"
    run(ballots(), SHORT, out=folder)
    kept = folder / "checkpoints"
    np.savez(kept / "member-0" / "density.npz", tree=np.array([Bomb(exploded)], object))
    (kept / "votes.npz").write_bytes(pickle.dumps(Bomb(exploded)))
    (step,) = (path for path in (kept / "social").iterdir() if path.name.isdigit())
    for path in step.rglob("*"):
        if path.is_file():
            path.write_bytes(pickle.dumps(Bomb(exploded)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run(ballots(), SHORT, out=folder)
    assert sum("damaged" in str(one.message) for one in said) == 3
    assert same(folder, undisturbed) and not exploded.exists()


def test_a_loss_that_is_not_finite_says_where_and_keeps_the_checkpoint(tmp_path, monkeypatch):
    """The learning rate explodes after a good start."""
    wild = replace(SHORT.individual, optimisation=replace(SHORT.individual.optimisation, learning_rate=1e30))
    with pytest.raises(TrainingError, match=r"in step \d+ of 30, on raters r.*lower the learning rate"):
        run(ballots(), replace(SHORT, individual=wild), out=tmp_path / "run", every=0.0)
    assert issubclass(TrainingError, ValueError)
