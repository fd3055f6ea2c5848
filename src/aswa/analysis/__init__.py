"""From a folder of run records to tables, tests, figures and one report.

    runs.py          read `result.json` and `history.json`; what cannot be read is named
    settings.py      never pool runs of different settings; choose one, say what was left out
    plan.py          the analysis declared in advance (`conf/analysis/*.yaml`)
    long_table.py    results table, costs, decisions, and the cells a test may look at
    significance.py  one signed-rank comparison as one record, and its sentence
    comparisons.py   pivot, pairs and the declared family of tests
    evidence.py      beside them: resampling.py, friedman.py, bayesian.py, power.py
    unit_intervals.py  differences within one dataset × model
    tables.py        mean ± std tables as markdown, LaTeX and csv; cost_tables.py
    figures.py       learning curves, paired differences (look in appearance.py); rank_figures.py
    published.py     the authors' own figures, tested, and ours beside them
    study.py         everything above for one results folder
    report.py        files on disk, `report.html`, the summary on the terminal

Depends on `aswa.results` alone: no torch, nothing of `aswa.training`.
"""
