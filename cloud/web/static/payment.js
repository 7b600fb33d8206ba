// Waits for a payer: asks how the order stands and shows the page anew when that changes.

const root = document.querySelector("[data-order]");
const PAUSE_MS = 2000;

async function look() {
  if (document.hidden) return;
  const answer = await fetch(`/payment-orders/${encodeURIComponent(root.dataset.order)}/state`);
  if (!answer.ok) return;
  const { state, over } = await answer.json();
  if (state !== root.dataset.state || String(over) !== root.dataset.over) location.reload();
}

function wait() {
  setTimeout(() => look().catch(() => {}).finally(wait), PAUSE_MS);
}

wait();
