import pytest

from components.corpus import contract
from components.corpus.contract import Breach, ContractSettings, Limits, TokenEntropy, ValidationShare
from components.corpus.documents import Document
from components.corpus.reading import Refused

ANY = Limits(None, None, "quarantine")


def settings(**limits):
    values = {"size_bytes": ANY, "replaced_share": ANY, "bits_per_byte": ANY} | limits
    whole = {"bits_per_token": TokenEntropy(0.0, "stop"), "validation_share": ValidationShare(0.1, "stop")}
    return ContractSettings(**values, **whole)


def judged(text, **limits):
    (found,) = contract.judged([Document("a", 0, text, "train", "a.txt")], settings(**limits))
    return found


@pytest.mark.parametrize(
    ("text", "limits", "reason"),
    [
        ("short", {"size_bytes": Limits(6, None, "stop")}, "size_bytes is 5; expected at least 6"),
        ("caf\u00e9", {"size_bytes": Limits(None, 4, "stop")}, "size_bytes is 5; expected at most 4"),
        ("ab\ufffd", {"replaced_share": Limits(None, 0.5, "stop")}, "replaced_share is 0.6; expected at most 0.5"),
        ("aaaa" * 99, {"bits_per_byte": Limits(1.0, None, "stop")}, "bits_per_byte is 0; expected at least 1"),
        ("abcd", {"bits_per_byte": Limits(None, 1.5, "stop")}, "bits_per_byte is 2; expected at most 1.5"),
    ],
)
def test_a_document_beyond_a_limit_is_a_breach_with_place_and_reason(text, limits, reason):
    found = judged(text, **limits)
    assert isinstance(found, Breach)
    assert (found.place, found.reason, found.limits.on_breach) == ("a.txt", reason, "stop")
    assert reason.startswith(f"{found.limited} is {found.value:.6g};")


def test_a_breach_in_a_part_of_a_text_says_where_the_part_begins():
    part = Document("a", 1, "no", "train", "a.txt", begin=4000)
    (found,) = contract.judged([part], settings(size_bytes=Limits(3, None, "quarantine")))
    assert found.place == "a.txt byte 4000"


def test_of_several_breaches_the_first_that_stops_counts():
    short, badly = Limits(9, None, "quarantine"), Limits(None, 0.5, "stop")
    assert judged("ab\ufffd", size_bytes=short, replaced_share=badly).limited == "replaced_share"
    assert judged("ab\ufffd", size_bytes=Limits(9, None, "stop"), replaced_share=badly).limited == "size_bytes"
    badly = Limits(None, 0.5, "quarantine")
    assert judged("ab\ufffd", size_bytes=short, replaced_share=badly).limited == "size_bytes"


@pytest.mark.parametrize(
    "limits", [{}, {"size_bytes": Limits(4, 4, "stop")}, {"bits_per_byte": Limits(1.0, 1.0, "stop")}]
)
def test_a_document_at_or_inside_its_limits_is_passed_on(limits):
    assert judged("abab", **limits) == Document("a", 0, "abab", "train", "a.txt")


def test_what_was_refused_is_passed_on_and_order_is_kept():
    refused = Refused("b.txt", "not UTF-8")
    found = [Document("a", 0, "long enough", "train", "a.txt"), refused, Document("c", 1, "no", "train", "c.txt")]
    first, second, third = contract.judged(found, settings(size_bytes=Limits(3, None, "quarantine")))
    assert (first, second) == (found[0], refused)
    assert (third.place, third.limits.on_breach) == ("c.txt", "quarantine")


def test_entropy_is_shannons_of_the_bytes():
    assert contract.bits_per_byte("a") == 0
    assert contract.bits_per_byte("abcd" * 50) == 2
    assert contract.bits_per_byte("".join(map(chr, range(128)))) == 7
    # Shannon 1951, Prediction and Entropy of Printed English: 4.03 bits a letter with the space, all letters alone.
    prose = "it is a truth universally acknowledged that a single man in possession of a good fortune must be in want"
    assert 3.8 < contract.bits_per_byte(prose) < 4.2


def test_settings_that_no_document_can_meet_are_refused():
    with pytest.raises(ValueError, match=r"least is 5; expected at most 4 \(most\)"):
        Limits(5, 4, "stop")
    with pytest.raises(ValueError, match=r"least is -1.0; expected 0 or more"):
        TokenEntropy(-1.0, "stop")
    with pytest.raises(ValueError, match=r"tolerance is 0.0; expected above 0"):
        ValidationShare(0.0, "report")
