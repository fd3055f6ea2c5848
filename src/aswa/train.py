"""`aswa-train`: compute one run, or with -m (or a recipe) a sweep of them.

    aswa-train dataset=umls model=keci optimizer=all seed=0
    aswa-train -m dataset=umls,kinship model=distmult,keci seed=range(5)
    aswa-train experiment=quick

torch is imported only when a run has to be computed.
"""

from __future__ import annotations

from aswa.extras import require


def main() -> None:
    """Console entry. Exit codes: 0 done, 1 a run failed, 2 wrong configuration, 130 Ctrl-C."""
    require("experiments", "hydra", "orjson", "filelock")
    from aswa.sweeping.command import run_command

    run_command()


if __name__ == "__main__":
    main()
