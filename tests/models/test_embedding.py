"""Tables that are updated by their touched rows: worked out by hand, and equal to a dense gradient's Adagrad."""

from __future__ import annotations

import pytest
import torch

from svsim.models.embedding import Table


def by_rows(rows: int, width: int) -> Table:
    torch.manual_seed(0)
    table = Table(rows, width)
    table.by_rows()
    return table


def test_one_step_by_hand() -> None:
    table = by_rows(4, 2)
    with torch.no_grad():
        table.weight[2] = torch.tensor([1.0, 2.0])
    table.rows_step(torch.tensor([2]), torch.tensor([[3.0, 4.0]]), 0.1)
    # Mean of 9 and 16 is 12.5: w − 0.1 g / √12.5, and again with √25.
    torch.testing.assert_close(table.weight[2], torch.tensor([1 - 0.3 / 12.5**0.5, 2 - 0.4 / 12.5**0.5]))
    table.rows_step(torch.tensor([2]), torch.tensor([[3.0, 4.0]]), 0.1)
    torch.testing.assert_close(table.weight[2], torch.tensor([1 - 0.3 / 12.5**0.5 - 0.06, 2 - 0.4 / 12.5**0.5 - 0.08]))
    assert table.sum_of_squares is not None
    assert table.sum_of_squares.tolist() == [0, 0, 25, 0]


def test_untouched_rows_and_padding_stay() -> None:
    table = by_rows(50, 4)
    before = table.weight.clone()
    looked_up = torch.tensor([[3, 0, 7], [7, 9, 0]])
    table.begin_batch(looked_up)
    (table(looked_up) ** 2).sum().backward()
    table.rows_step(*table.touched, 0.1)
    table.end_batch()
    moved = (table.weight != before).any(dim=1).nonzero().squeeze(1).tolist()
    assert moved == [3, 7, 9]
    assert not table.weight[0].any()


def test_equal_to_the_dense_gradient() -> None:
    table, twin = by_rows(30, 3), Table(30, 3)
    with torch.no_grad():
        twin.weight.copy_(table.weight)
    squares = torch.zeros(30)
    for step in range(5):
        rows = torch.randint(0, 30, (4, 6), generator=torch.Generator().manual_seed(step))
        target = torch.full((4, 6, 3), 0.3)
        table.begin_batch(rows)
        found = table(rows)
        torch.testing.assert_close(found, twin(rows))
        ((found - target) ** 2).sum().backward()
        table.rows_step(*table.touched, 0.1)
        table.end_batch()
        twin.weight.grad = None
        ((twin(rows) - target) ** 2).sum().backward()
        assert twin.weight.grad is not None
        squares += twin.weight.grad.square().mean(dim=1)
        with torch.no_grad():
            twin.weight -= 0.1 * twin.weight.grad / (squares.sqrt() + 1e-8).unsqueeze(1)
        torch.testing.assert_close(table.weight, twin.weight.data)


def test_a_small_table_is_a_plain_parameter() -> None:
    table = Table(5, 2)
    assert not table.is_by_rows
    assert [name for name, _ in table.named_parameters()] == ["weight"]
    table.by_rows()
    assert not list(table.parameters())
    assert set(table.state_dict()) == {"weight"}, "the accumulators are no part of a model"


@pytest.mark.parametrize("make", [Table, by_rows])
def test_padding_is_nought(make: type[Table]) -> None:
    assert not make(9, 3)(torch.zeros(2, dtype=torch.int64)).any()
