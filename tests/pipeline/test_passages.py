from pipeline.passages import document, passage, passages


def test_a_long_document_is_counted_in_parts_that_are_the_document():
    text = "".join(f"Paragraph {number} is here.\n\n" for number in range(400))  # 9,490 characters
    parts = list(passages(text))
    assert "".join(parts) == text
    assert [len(part) <= 4000 and part.endswith("\n\n") for part in parts] == [True] * 3


def test_a_passage_is_called_by_its_document_and_number():
    assert passage(document(7, "tales.jsonl line 3"), 2) == "document 7 (tales.jsonl line 3), passage 2"
