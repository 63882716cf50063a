import numpy as np

from components.overlap.encoded import Encoded

TEXTS = ["caf\u00e9\n", "", "\u4f60\u597d"]


def test_texts_come_back_and_their_utf8_stands_end_to_end():
    texts = Encoded.of(TEXTS)
    assert list(texts) == TEXTS
    assert texts[-1] == "\u4f60\u597d"
    assert texts[1:] == ["", "\u4f60\u597d"]
    assert texts.data.tobytes() == b"caf\xc3\xa9\n\n\n\xe4\xbd\xa0\xe5\xa5\xbd\n"
    assert texts.ends.tolist() == [7, 8, 15]
    assert texts.utf8(0).tobytes() == b"caf\xc3\xa9\n"


def test_what_is_encoded_stays_as_it_is():
    texts = Encoded.of(TEXTS)
    assert Encoded.of(texts) is texts


def test_no_texts_are_no_bytes():
    texts = Encoded.of([])
    assert (len(texts), list(texts), texts.data.tobytes()) == (0, [], b"")
    assert texts.ends.dtype == np.int64
