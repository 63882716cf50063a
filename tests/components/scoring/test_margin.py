from components.scoring.margin import Margin


def test_a_margin_is_by_how_much_the_lead_has_grown():
    found = Margin("p1", "p1", "test", chosen_before=-2.0, rejected_before=-1.5, chosen=-1.25, rejected=-3.0)
    assert (found.lead_before, found.lead, found.margin) == (-0.5, 1.75, 2.25)
