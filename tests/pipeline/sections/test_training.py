from pipeline.sections import training


def test_curves_hold_both_losses_and_the_learning_rate(build):
    curves = training.curves("pretrain", "Training")
    own, validation = curves.panels[0].lines
    assert (own.label, own.x, own.y) == ("training", (0.0, 1.0), (3.5, 2.5))
    assert (validation.label, validation.x, validation.y) == ("validation", (1.0,), (2.25,))
    assert curves.panels[1].lines[0].y == (0.01, 0.005)
