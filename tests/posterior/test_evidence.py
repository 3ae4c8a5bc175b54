import numpy as np
import pytest

from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.errors import ShapeError
from napari_hypermol.posterior.evidence import check_joint_states, joint_log_evidence
from napari_hypermol.posterior.states import StateTable, table_posterior
from oracles.state_posterior import state_posterior

N = 4


def tables_of(counts, first=1):
    """Tables of components of degree 1 and 2 in turn, behind `first` rigid columns."""
    tables, start = [], first
    for index, count in enumerate(counts):
        basis = CosineBasis(1 + index % 2)
        states = (np.arange(count) + 0.5)[:, None] / count
        prior = np.linspace(1, 2, count)
        columns = slice(start, start + basis.n_functions)
        start = columns.stop
        functions = basis.evaluate(states)
        tables.append(StateTable(states, functions, np.log(prior / prior.sum()), columns))
    return tuple(tables), start


def overlaps_of(rng, n_q):
    root = rng.normal(size=(N, n_q, n_q))
    g = np.einsum("nij,nkj->nik", root, root)
    return (2 * rng.normal(size=(N, n_q))).astype(np.float32), g.astype(np.float32)


@pytest.mark.parametrize("counts", [(), (5,), (4, 3), (4, 3, 5), (2, 3, 2, 3)])
@pytest.mark.parametrize("std", [0.0, 0.2])
def test_evidence_against_loops_over_all_states(rng, counts, std):
    tables, n_q = tables_of(counts)
    b, g = overlaps_of(rng, n_q)
    found = joint_log_evidence(b, g, tables, std)
    plain = [(t.functions, t.log_prior, t.columns) for t in tables]
    for i in range(N):
        expected = state_posterior(b[i].astype(float), g[i].astype(float), plain, std).log_evidence
        assert found[i] == pytest.approx(expected, abs=1e-4)  # b and G are float32


def test_two_components_are_one_table(rng):
    tables, n_q = tables_of((7, 6))
    b, g = overlaps_of(rng, n_q)
    expected = table_posterior(b, g, tables, 0.1).log_evidence
    np.testing.assert_array_equal(joint_log_evidence(b, g, tables, 0.1), expected)


def test_too_many_joint_states_are_refused():
    check_joint_states(tables_of((32,) * 4)[0])
    with pytest.raises(ShapeError, match=r"5 components with states have 3\.4e\+07 joint states"):
        check_joint_states(tables_of((32,) * 5)[0])
