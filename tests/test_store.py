"""Records on disk: what was written is read, and what was changed is refused."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aswa.results.store import CorruptRecord, read_record, write_record

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1)
VALUES = st.recursive(
    NUMBERS | st.text() | st.none() | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text().filter(lambda key: key != "sha256"), VALUES))
@example({"small": 1e-05, "smaller": -2.5e-07, "large": 1e16, "text": "e-5,", "a": {"b": 1e-9}})
def test_a_record_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, record: dict[str, object]
) -> None:
    """Whatever the numbers."""
    path = tmp_path_factory.getbasetemp() / "record.json"
    write_record(path, record)
    found = read_record(path)
    del found["sha256"]
    assert found == {"schema": 2, **record}


def test_a_number_that_is_not_finite_is_null(tmp_path: Path) -> None:
    """Strict JSON, which every reader takes."""
    write_record(tmp_path / "record.json", {"loss": math.nan, "best": -math.inf})
    found = read_record(tmp_path / "record.json")
    assert (found["loss"], found["best"]) == (None, None)


def test_records_of_schema_1_are_still_read(tmp_path: Path) -> None:
    """With Python's JSON: exponents of two digits, NaN, and a digest of that text."""
    record = {"schema": 1, "small": 1e-05, "loss": math.nan}
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    sealed = {**record, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    (tmp_path / "record.json").write_text(json.dumps(sealed, indent=1))
    found = read_record(tmp_path / "record.json")
    assert found["small"] == 1e-05 and math.isnan(found["loss"])


@pytest.mark.parametrize("changed", [0.5000000000000001, 1e-5, "0.5", None])
def test_a_changed_number_is_noticed(changed: object, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, {"value": 0.5, "small": 1e-05})
    record = json.loads(path.read_text())
    record["value"] = changed
    path.write_text(json.dumps(record))
    with pytest.raises(CorruptRecord, match="does not match its sha256"):
        read_record(path)
