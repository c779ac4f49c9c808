"""The study of the GIL on simulated machines whose truth is known."""

from __future__ import annotations

import pytest

from tests.studies.gil.simulation import NOISE, TRUTHS, simulate


@pytest.mark.parametrize("truth", TRUTHS)
def test_on_a_quiet_machine_every_truth_is_found(truth: str) -> None:
    answer, seconds = simulate(truth, "quiet", seed=1)
    assert answer == TRUTHS[truth][-1]
    assert seconds < 20


@pytest.mark.slow
@pytest.mark.parametrize("machine", NOISE)
@pytest.mark.parametrize("truth", TRUTHS)
def test_on_other_machines_no_answer_is_wrong(truth: str, machine: str) -> None:
    assert {simulate(truth, machine, seed)[0] for seed in range(3)} <= {TRUTHS[truth][-1], "undecided"}
