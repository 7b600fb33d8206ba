"""Which charges a sum of money settles: the oldest first within a charge item (pure)."""

from collections.abc import Mapping, Sequence

from cloud.ledger.entries import Charge


def settle(
    amount_fen: int,
    open_fen: Mapping[Charge, int],
    *,
    items: Sequence[str] | None = None,
    late_first: bool = False,
) -> list[tuple[Charge, int]]:
    """Share an amount over open charges; what is left over belongs to nobody yet.

    `items` are the charge items that the payer means, in the order to settle them; None means all,
    the oldest period first and items of one period by name. The principal of a charge goes before
    its late charge unless the contract says `late_first`.
    """
    settled: list[tuple[Charge, int]] = []
    for charge in _order(open_fen, items, late_first=late_first):
        part_fen = min(amount_fen, open_fen[charge])
        if part_fen <= 0:
            continue
        settled.append((charge, part_fen))
        amount_fen -= part_fen
    return settled


def _order(
    open_fen: Mapping[Charge, int], items: Sequence[str] | None, *, late_first: bool
) -> list[Charge]:
    if items is None:
        return sorted(
            open_fen, key=lambda charge: (charge.period, charge.item, charge.late != late_first)
        )
    places = {item: place for place, item in enumerate(items)}
    meant = [charge for charge in open_fen if charge.item in places]
    return sorted(
        meant, key=lambda charge: (places[charge.item], charge.period, charge.late != late_first)
    )
