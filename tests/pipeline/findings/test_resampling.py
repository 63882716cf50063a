import pytest

from pipeline.findings.resampling import Resampling


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 0.95, 1), "resamples is 0; expected 1 or more"),
        ((10, 95.0, 1), r"confidence is 95.0; expected a share between 0 and 1"),
        ((10, 0.95, -1), "seed is -1; expected 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Resampling(*values)
