"""From a folder of run records to tables, tests, figures and one report.

`study` does all of it for one results folder, after the analysis that `declaration` reads;
`published` tests the authors' own figures and puts ours beside them. Imports point one way: study,
published → rendering → statistics → records → `aswa.results`.
"""
