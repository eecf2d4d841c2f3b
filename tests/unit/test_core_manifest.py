"""Manifests: counts that add up, and files that are what was recorded."""

import pytest

from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.manifest import Tally, verify_outputs, write_manifest


def test_a_lost_row_is_a_defect():
    tally = Tally()
    tally.read, tally.kept = 10, 7
    tally.drop("empty text", 2)
    with pytest.raises(ValueError, match="read 10 rows, but kept 7 and dropped 2"):
        tally.as_dict()
    tally.drop("too short")
    assert tally.as_dict()["dropped"] == {"empty text": 2, "too short": 1}


def test_equal_work_gives_equal_bytes_wherever_it_lies(tmp_path):
    for place in ("here", "there"):
        folder = tmp_path / place
        folder.mkdir()
        (folder / "a.txt").write_text("a")
        write_manifest(
            folder / "m.json",
            step="copy",
            inputs={"a": folder / "a.txt"},
            outputs={},
            settings={"x": 1},
            software=["numpy"],
        )
    assert (tmp_path / "here/m.json").read_bytes() == (tmp_path / "there/m.json").read_bytes()
    assert "numpy" in read_json(tmp_path / "here/m.json")["software"]


def test_a_changed_or_deleted_output_is_named_with_its_remedy(tmp_path):
    output = tmp_path / "model.bin"
    output.write_text("weights")
    write_manifest(tmp_path / "m.json", step="train", inputs={}, outputs={"model.bin": output})
    verify_outputs(tmp_path / "m.json", {"model.bin": output}, remedy="--forcerun train")
    output.write_text("other weights")
    with pytest.raises(WinnowError, match=r"is not the file that m\.json recorded"):
        verify_outputs(tmp_path / "m.json", {"model.bin": output}, remedy="--forcerun train")
    output.unlink()
    with pytest.raises(WinnowError, match="--forcerun train"):
        verify_outputs(tmp_path / "m.json", {"model.bin": output}, remedy="--forcerun train")
