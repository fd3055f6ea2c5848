"""Tests, effect sizes, ranks and intervals of the chosen numbers; nothing is drawn here."""
