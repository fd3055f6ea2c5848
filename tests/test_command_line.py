"""The words of `aswa-train` that are not Hydra's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aswa.config import ConfigError
from aswa.config.members import GROUPS, members
from aswa.sweeping import progress
from aswa.sweeping.command_line import take_own_words
from small_sweep import SMALL, train


def test_help_names_every_member_of_every_group() -> None:
    _, text = take_own_words(["--help"])
    assert text is not None and max(map(len, text.splitlines())) <= 110
    for group in GROUPS:
        after = text.split(f"\n{group}=\n")[1].split("\n\n")[0].splitlines()
        assert [line.split()[0] for line in after] == members(group)
        assert all(len(line.split()) > 2 for line in after), "a member without a comment"


def test_flags_are_taken_and_the_rest_is_hydras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(progress.QUIET, raising=False)
    monkeypatch.setenv(progress.DRY_RUN, "")
    left, text = take_own_words(["-m", "seed=0,1", "--quiet", "hydra/launcher=joblib"])
    assert (left, text) == (["-m", "seed=0,1", "hydra/launcher=joblib"], None)
    assert progress.quiet() and not progress.dry_run()
    monkeypatch.delenv(progress.QUIET)


def test_the_configuration_of_a_sweep_is_that_of_its_first_run() -> None:
    """Hydra alone refuses --cfg beside -m."""
    words = ["-m", "seed=range(3,6)", "optimizer=[swa,aswa]", "lr=0.1,0.2", "--cfg", "job"]
    left, _ = take_own_words(words)
    assert left == ["seed=3", "optimizer=[swa,aswa]", "lr=0.1", "--cfg", "job"]


def test_a_folder_of_ones_own_is_a_dataset() -> None:
    assert take_own_words(["-m", "dataset.folder=x"])[0] == [
        "-m",
        "dataset=own",
        "dataset.folder=x",
    ]
    for word in ("dataset=umls", "experiment=quick"):
        assert take_own_words([word, "dataset.folder=x"])[0] == [word, "dataset.folder=x"]


@pytest.mark.parametrize("word", ["--epochs", "--lr=0.1", "--model.dim=8", "--batch-size"])
def test_a_setting_with_dashes_is_explained(word: str) -> None:
    with pytest.raises(ConfigError, match="without dashes"):
        take_own_words([word, "5"])


@pytest.mark.slow
def test_a_dry_run_computes_and_writes_nothing(tmp_path: Path) -> None:
    assert train(*SMALL, "seed=0", f"results_dir={tmp_path}").returncode == 0
    before = sorted(tmp_path.glob("runs/**/*"))
    done = train("-m", *SMALL, "seed=0,1,2", f"results_dir={tmp_path}", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "3 runs, 1 done and 2 to do: about" in done.stdout
    assert sorted(tmp_path.glob("runs/**/*")) == before
    done = train(*SMALL, "seed=1", f"results_dir={tmp_path}", "--dry-run")
    assert done.returncode == 0 and "to do" in done.stdout
    assert sorted(tmp_path.glob("runs/**/*")) == before


def test_m_may_stand_anywhere() -> None:
    """Hydra alone takes it for the end of the settings."""
    assert take_own_words(["lr=1", "-m", "seed=0,1"])[0] == ["-m", "lr=1", "seed=0,1"]


MINE = (
    "# A model of mine.\nname: mine\nkind: knowledge_graph\ndim: 8\nmargin: 6.0\n"
    "input_dropout: 0.0\nhidden_dropout: 0.0\ninit_scale: 0.1\nobjective: kvsall\n"
    "label_smoothing: 0.0\nnegatives: 4\n"
)


@pytest.mark.slow
def test_a_folder_of_ones_own_counts_in_sweeps_help_suggestions_and_loading(tmp_path: Path) -> None:
    """`--config-dir`; the one line of an error is ours."""
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/mine.yaml").write_text(MINE)
    (tmp_path / "site/mine-1.dist-info").mkdir(parents=True)
    (tmp_path / "site/mine-1.dist-info/METADATA").write_text("Name: mine\nVersion: 1\n")
    (tmp_path / "site/mine-1.dist-info/entry_points.txt").write_text("[aswa.models]\nmine = m:M\n")
    (tmp_path / "site/m.py").write_text(
        "from aswa.models.kge.link_predictor import LinkPredictor\n\n\nclass M(LinkPredictor):\n"
        "    def __init__(self, *sizes, margin, **options):\n"
        "        super().__init__(*sizes, **options)\n\n"
        "    def compose(self, h, r):\n        return h + r\n\n"
        "    def compare(self, q, t):\n        return -(q - t).abs().sum(-1)\n"
    )
    path = os.pathsep.join([str(tmp_path / "site"), *filter(None, sys.path)])
    mine = ("--config-dir", str(tmp_path / "conf"), f"results_dir={tmp_path}")
    run = ("dataset=umls", "model=mine", "epochs=1", "lr=0.01")
    assert "A model of mine." in train(*mine, "--help").stdout
    done = train(*mine, *run, "model.magrin=3", PYTHONPATH=path)
    assert done.stderr == "aswa-train: model.magrin: no such key; did you mean 'model.margin'?\n"
    done = train(*mine, *run, "model.dim=0", PYTHONPATH=path)
    assert done.stderr == "aswa-train: model.dim=0: must be at least 1\n"
    done = train(*mine, *run, "save_weights=true", "-m", "seed=0,1", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    one, _ = (each.parent for each in tmp_path.glob("runs/umls/mine/*/result.json"))
    code = "import sys, aswa; print(aswa.load(sys.argv[1], sys.argv[2]).model.entity.shape[1])"
    words = [sys.executable, "-c", code, str(one), "aswa"]
    done = subprocess.run(
        words, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "8\n", done.stderr  # without --config-dir


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error() -> None:
    """As in `aswa-train --help | head -1`."""
    code = "from aswa.commands import train; import sys; sys.exit(train())"
    words = [sys.executable, "-u", "-c", code, "--help"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
