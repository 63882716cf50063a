import os
import time
from collections import Counter

from benchmarks import soak


def test_the_table_has_a_row_per_stage_and_a_column_per_moment():
    one = soak.Trial("pretrain", runs=2, moments=Counter({"in a save": 1, "between saves": 3}))
    two = soak.Trial("finetune_classifier", runs=1, different=1, moments=Counter({"in a save": 4}))
    assert soak.table([one, two]).splitlines() == [
        "| stage | killed between saves | killed in a save | brought to the end | with other bytes |",
        "| --- | --- | --- | --- | --- |",
        "| pretrain | 3 | 1 | 2 | 0 |",
        "| finetune_classifier | 0 | 4 | 1 | 1 |",
    ]


def test_the_moment_is_told_by_what_lies_in_the_folder(project):
    began = time.time()
    left = project / "models/.base.partial"  # by an earlier kill
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    assert soak.moment(began) == "before the first save"
    folder = project / ".work/abc"
    (folder / "step-000000003").mkdir(parents=True)
    assert soak.moment(began) == "between saves"
    (folder / ".step-000000006.partial").mkdir()
    assert soak.moment(began) == "in a save"
    (folder / ".step-000000006.partial").rmdir()
    os.utime(left)
    assert soak.moment(began) == "writing the model"
