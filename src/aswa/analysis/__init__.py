"""From a folder of run records to tables, tests, figures and one report.

    declaration.py  the analysis declared in advance (`conf/analysis/*.yaml`)
    records/        runs.py reads `result.json` and `history.json`, names the unreadable ones;
                    names.py has labels, directions and order as the records declare them;
                    legacy.py supplies what records of schema 1 lack;
                    settings.py pools seeds only and says what was left out;
                    long_table.py has the results table, costs, decisions, the tested cells
    statistics/     signed_rank.py is one comparison as one record; comparisons.py the declared
                    family; evidence.py gathers resampling, friedman, bayesian, power;
                    unit_intervals.py describes single units
    rendering/      tables, figures, `report.html`, the summary on the terminal
    published.py    the authors' own figures, tested, and ours beside them
    study.py        all of it for one results folder

Imports point one way: study, published → rendering → statistics → records → `aswa.results`.
"""
