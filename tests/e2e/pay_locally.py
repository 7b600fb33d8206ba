"""Both payment channels on loopback for trying a set-up by hand, with keys of their own.

python -m tests.e2e.pay_locally --folder .demo/pay --port 8399 --public-url http://127.0.0.1:8000
writes keys and settings into the folder and serves until it is ended; the address
http://127.0.0.1:8399/pay/NUMBER pays an order.
"""

import argparse
import threading
from pathlib import Path

import httpx

from tests.fixtures.payment_counterpart import Counterpart, serving


class Payer:
    """Pays orders and lets the channel notify the service of it."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url
        self.counterpart: Counterpart | None = None

    def pay(self, number: str) -> bytes:
        """Pay an order at the channel that has it; return a line that says what happened."""
        assert self.counterpart is not None
        for name in ("wechat", "alipay"):
            side = self.counterpart.side(name)
            if side.books.pay(number):
                headers, body = side.notification(number)
                url = f"{self._public_url}/payments/{name}/notify"
                answer = httpx.post(url, content=body, headers=headers, timeout=10)
                return f"{name}: paid, the service answered {answer.status_code}\n".encode()
        return b"no order that can be paid\n"


def main() -> None:
    """Serve until the program is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8399)
    parser.add_argument("--public-url", default="http://127.0.0.1:8000")
    wanted = parser.parse_args()
    wanted.folder.mkdir(parents=True, exist_ok=True)
    payer = Payer(wanted.public_url)
    with serving(wanted.folder, port=wanted.port, pay=payer.pay) as counterpart:
        payer.counterpart = counterpart
        settings = counterpart.settings.model_dump(exclude_defaults=True)
        settings["public_url"] = wanted.public_url
        lines = [f"export HUTONG_{name.upper()}={value}\n" for name, value in settings.items()]
        (wanted.folder / "settings.sh").write_text("".join(lines), encoding="utf-8")
        print(f". {wanted.folder / 'settings.sh'}", flush=True)  # noqa: T201  # what to do next
        threading.Event().wait()


if __name__ == "__main__":
    main()
