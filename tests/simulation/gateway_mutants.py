"""Mutants of the gateway's side: sender, uplink and journal."""

from typing import Final

from tests.simulation.mutation import Mutant

_SENDER: Final = "protocols.delivery.sender"
_UPLINK: Final = "edge.uplink:Uplink"
_PASS: Final = "False"

GATEWAY_MUTANTS: Final = (
    # the gateway's side
    Mutant(
        "ack-of-any-epoch",
        "gateway 3: only of our epoch",
        f"{_SENDER}:ACK_RULES",
        "of another epoch",
        "",
    ),
    Mutant(
        "ack-of-any-hash",
        "gateway 3: only with our own hash",
        f"{_SENDER}:ACK_RULES",
        "with another hash than ours",
        "",
    ),
    Mutant(
        "fork-is-nothing",
        "gateway 3: a fork moves nothing and is shown",
        f"{_SENDER}:ACK_RULES",
        "with another hash than ours",
        "IGNORE",
    ),
    Mutant(
        "fork-taken",
        "gateway 3: another hash moves nothing",
        f"{_SENDER}:ACK_RULES",
        "with another hash than ours",
        "MOVE",
    ),
    Mutant(
        "ahead-ignored",
        "gateway 6: through >= next begins an epoch",
        f"{_SENDER}:ACK_RULES",
        "beyond what we have",
        "IGNORE",
    ),
    Mutant(
        "ahead-believed",
        "gateway 6: a cloud that is ahead is not believed",
        f"{_SENDER}:ACK_RULES",
        "beyond what we have",
        "MOVE",
    ),
    Mutant(
        "no-rewind",
        "gateway 5: a lower watermark rewinds",
        f"{_SENDER}:ACK_RULES",
        "that goes back",
        "IGNORE",
    ),
    Mutant(
        "rewind-not-journaled",
        "gateway 5: the rewind is on disk",
        f"{_SENDER}:_rewind",
        "(Rewind(ack.through, ack.generation),)",
        "()",
    ),
    Mutant(
        "fence-ignored",
        "gateway 6: FENCE begins an epoch",
        f"{_SENDER}:_fenced",
        "(NewEpoch(FENCED),)",
        "()",
    ),
    Mutant(
        "no-resend",
        "gateway 2: what is not acknowledged is sent again",
        f"{_SENDER}:_fill",
        "flight.resend_at_s <= now_s",
        _PASS,
    ),
    Mutant(
        "no-credit",
        "gateway 2: at most `credit` on their way",
        f"{_SENDER}:_wanted",
        "state.credit - len(flights)",
        "100000",
    ),
    Mutant(
        "credit-before-ack",
        "gateway 2: one until the first ACK",
        f"{_SENDER}:_connected",
        "credit=1",
        "credit=128",
    ),
    Mutant(
        "first-skipped",
        "gateway 2: every batch is sent",
        f"{_SENDER}:_wanted",
        "max(state.acked + 1, state.first)",
        "max(state.acked + 2, state.first)",
    ),
    Mutant(
        "release-one-more",
        "gateway 3: the watermark is what was said",
        f"{_SENDER}:_move",
        "Release(ack.through,",
        "Release(ack.through + 1,",
    ),
    # the glue on the gateway
    Mutant(
        "release-before-hash",
        "gateway 3: our own hash is compared",
        f"{_UPLINK}._event",
        "answer.through)",
        "answer.through + 1)",
    ),
    Mutant(
        "watermark-not-kept",
        "gateway 3: the watermark is on disk",
        f"{_UPLINK}._keep",
        "case sender.Release(through=through",
        "case sender.Sealed(next=through",
    ),
    # the journal
    Mutant(
        "tail-not-emptied",
        "I2: what is sealed leaves the tail",
        "",
        "DELETE FROM tail WHERE lane = ? AND id <= ?",
        "DELETE FROM tail WHERE lane = ? AND id < 0 * ?",
    ),
    Mutant(
        "tail-emptied-too-far",
        "I1: only what is sealed leaves the tail",
        "",
        "SELECT id, records, body FROM tail WHERE lane = ? ORDER BY id",
        "SELECT id, records, body FROM tail WHERE lane = ? ORDER BY id DESC LIMIT 1",
    ),
    Mutant(
        "no-grace",
        "gateway 4: a grace period for what is acknowledged",
        "",
        "e.seq < ? AND b.acked_at_us < ?",
        "e.seq < ? AND b.acked_at_us < 0 * ? + 9000000000000000000",
    ),
    Mutant(
        "grace-from-sealing",
        "gateway 4: grace begins with the acknowledgement",
        "",
        "UPDATE batches SET acked_at_us = ? WHERE acked_at_us IS NULL",
        "UPDATE batches SET acked_at_us = 0 * ? WHERE acked_at_us IS NULL",
    ),
    Mutant(
        "watermark-not-stored",
        "gateway 3: the watermark is on disk",
        "",
        "UPDATE lanes SET acked = ?, generation = ?",
        "UPDATE lanes SET acked = 0 * ?, generation = ?",
    ),
    Mutant(
        "epoch-keeps-name",
        "gateway 6: a new epoch has a new name",
        "",
        "SET epoch = ?, next = 1",
        "SET epoch = ifnull(epoch, ?), next = 1",
    ),
    Mutant(
        "epoch-keeps-hash",
        "I5: a new epoch's chain begins at zero",
        "",
        "acked = 0, last_hash = ?",
        "acked = 0, last_hash = ifnull(last_hash, ?)",
    ),
    Mutant(
        "order-lost",
        "I5: batches are chained in their order",
        "",
        "UPDATE lanes SET next = ?, last_hash = ?",
        "UPDATE lanes SET next = ?, last_hash = ifnull(last_hash, ?)",
    ),
)
