"""Mutants of the cloud's side: receiver, ingest service, and what its tables promise."""

from typing import Final

from tests.simulation.mutation import Mutant

_RECEIVER: Final = "protocols.delivery.receiver"
_SERVICE: Final = "cloud.ingest.service"
_PASS: Final = "False"

CLOUD_MUTANTS: Final = (
    # the cloud's side
    Mutant(
        "watermark-over-a-gap",
        "cloud 2: only over the contiguous part",
        f"{_RECEIVER}:_advance",
        "while (following := ahead.pop(through + 1, None)) is not None:",
        "while ahead and (following := ahead.pop(min(ahead))):",
    ),
    Mutant(
        "no-chain-check",
        "cloud 2: each prev_hash is checked",
        f"{_RECEIVER}:_advance",
        "following.prev_hash != digest",
        _PASS,
    ),
    Mutant(
        "no-hash-through",
        "cloud 2: the hash goes with the watermark",
        f"{_RECEIVER}:_advance",
        "through + 1, following.hash",
        "through + 1, digest",
    ),
    Mutant(
        "window-of-one",
        "cloud 2: whatever order they came in",
        f"{_RECEIVER}:judge",
        "envelope.seq > state.through + WINDOW",
        "envelope.seq > state.through + 1",
    ),
    Mutant(
        "known-place-any-hash",
        "cloud 3: a place with another hash is a fork",
        f"{_RECEIVER}:judge",
        "known.envelope_hash != envelope.hash",
        _PASS,
    ),
    Mutant(
        "known-stored-again",
        "cloud 1: a known id stores no records",
        f"{_RECEIVER}:judge",
        "Fate.STORE if known.payload_hash is None else Fate.KNOWN",
        "Fate.STORE",
    ),
    Mutant(
        "nothing-stored",
        "cloud 2: a new batch is stored",
        f"{_RECEIVER}:judge",
        "Fate.STORE if known.payload_hash is None else Fate.KNOWN",
        "Fate.KNOWN",
    ),
    Mutant(
        "fence-forgotten",
        "cloud 3: fenced for ever",
        f"{_RECEIVER}:_fence",
        "fenced=True",
        "fenced=False",
    ),
    Mutant(
        "fenced-moves-on",
        "cloud 3: nothing more in a fenced epoch",
        f"{_RECEIVER}:judge",
        "if state.fenced:",
        "if False:",
    ),
    Mutant(
        "generation-never",
        "cloud 5: a restored cloud takes a higher one",
        f"{_RECEIVER}:needed_generation",
        "own < report.generation or through < report.acked",
        _PASS,
    ),
    Mutant(
        "generation-watermark-ignored",
        "cloud 5: `through` below `acked`",
        f"{_RECEIVER}:needed_generation",
        " or through < report.acked",
        "",
    ),
    Mutant(
        "generation-not-raised",
        "cloud 5: max of both, + 1",
        f"{_RECEIVER}:needed_generation",
        "max(own, report.generation) + 1",
        "max(own, report.generation)",
    ),
    Mutant(
        "have-closed-wrong",
        "ACK: `have` are closed intervals",
        f"{_RECEIVER}:have",
        "(intervals[-1][0], seq)",
        "(intervals[-1][0], seq + 1)",
    ),
    # the glue in the cloud
    Mutant(
        "foreign-topic",
        "cloud 0: the topic's gateway is the envelope's",
        f"{_SERVICE}:process",
        "(packed.gateway, str(packed.lane)) != (source.gateway, source.kind)",
        _PASS,
    ),
    Mutant(
        "hash-unchecked",
        "cloud 0: the hash is checked",
        "protocols.delivery.envelope:unpack",
        "expected != envelope.hash",
        _PASS,
    ),
    Mutant(
        "version-unchecked",
        "an unknown version is refused",
        "protocols.delivery.envelope:unpack",
        "envelope.version != VERSION",
        _PASS,
    ),
    Mutant(
        "second-version-lost",
        "cloud 3: both versions are kept",
        f"{_SERVICE}:_take",
        "group.refused.append(_refused(item, verdict.reason, envelope.pack(item)))",
        "pass",
    ),
    Mutant(
        "poison-lost",
        "cloud 4: poison is stored raw in quarantine",
        f"{_SERVICE}:_take",
        "group.refused.append(_refused(item, str(error), item.payload))",
        "pass",
    ),
    Mutant(
        "poison-not-placed",
        "cloud 4: the lane goes on after poison",
        f"{_SERVICE}:_take",
        "group.new.append((item, digest, 0))",
        "pass",
    ),
    Mutant(
        "same-group-blind",
        "cloud 1: known within the group too",
        f"{_SERVICE}:_take",
        "group.payloads[item.batch_id] = digest",
        "pass",
    ),
    Mutant(
        "place-not-stored",
        "cloud 1: a known id records its envelope",
        f"{_SERVICE}:_take",
        "if verdict.fate is Fate.KNOWN:\n        return",
        "if verdict.fate is Fate.KNOWN:\n        group.placed.pop()\n        return",
    ),
    Mutant(
        "foreign-device",
        "I10: another gateway's device",
        f"{_SERVICE}:_screen",
        "if foreign:",
        "if False:",
    ),
    Mutant(
        "nonsense-lost",
        "cloud 4: nonsense goes to quarantine",
        f"{_SERVICE}:_screen",
        "group.refused.append(_refused(item, reason, item.payload))",
        "pass",
    ),
    Mutant(
        "lanes-not-saved",
        "cloud 2: the watermark is durable",
        f"{_SERVICE}:_store",
        "repository.save_lanes(connection, group.states)",
        "pass",
    ),
    Mutant(
        "generation-not-saved",
        "cloud 5: durably, before it answers",
        f"{_SERVICE}:_greet",
        "repository.set_generation(connection, gateway, needed)",
        "pass",
    ),
    Mutant(
        "fence-not-told",
        "cloud 3: FENCE is the answer",
        f"{_SERVICE}:_answer",
        "if state.fenced:",
        "if False:",
    ),
    Mutant(
        "answer-too-much",
        "I4: acknowledged is durable",
        f"{_SERVICE}:_answer",
        "state.through,",
        "state.through + len(state.ahead),",
    ),
    Mutant(
        "outbox-forgotten",
        "cloud 6: the outbox in the same transaction",
        "tests.simulation.memory_store:MemoryRepository.store_batches",
        "transaction.outbox.append(item.batch_id)",
        "pass",
    ),
    Mutant(
        "gateways-not-locked",
        "cloud 0: rows are locked before they are read",
        "tests.simulation.memory_store:MemoryRepository.enrolled",
        "raise BlockedError",
        "pass",
    ),
    Mutant(
        "ack-before-commit",
        "cloud: commit, then acknowledge",
        "tests.simulation.cloud:Worker._process",
        "self._transaction = transaction\n",
        "self._transaction = transaction\n    self._answer(outcome)\n",
    ),
)
