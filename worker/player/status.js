// How the recording stands, heard as it happens, and asked for wherever hearing does not work.
//
// Owns when the server is asked again. Must not decide what a status means.

const LISTEN_AGAIN_MS = 30_000; // a server that takes no more listeners is not asked at every look
const PATIENCE_MS = 15_000;
const DELAY_MS = { live: 2_000, finalizing: 2_000, failed: 15_000 };
const CALM_MS = 60_000; // nothing changes by itself any more

// Viewers who lost one server at the same moment must not come to the next one in step.
export const spread = (ms) => ms * (0.75 + Math.random() / 2);

export function follow(urls, tell) {
  let timer = 0;
  let failures = 0;
  let state = 'live';
  let stream = null;
  let listenAt = 0;

  function take(status) {
    [failures, state] = [0, status.state];
    tell({ status });
  }

  function listen() {
    if ((stream && stream.readyState !== EventSource.CLOSED) || Date.now() < listenAt) return;
    listenAt = Date.now() + LISTEN_AGAIN_MS;
    stream = new EventSource(urls.events);
    stream.addEventListener('status', ({ data }) => take(JSON.parse(data)));
  }

  function delay() {
    if (failures > 0) return Math.min(1_000 * 2 ** failures, PATIENCE_MS);
    const heard = stream?.readyState === EventSource.OPEN;
    return (heard || document.hidden ? 10 : 1) * (DELAY_MS[state] ?? CALM_MS);
  }

  async function look() {
    clearTimeout(timer);
    try {
      const response = await fetch(urls.status, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
      const body = await response.json();
      if ([401, 403, 404].includes(response.status)) {
        stream?.close();
        return tell({ denied: body.code });
      }
      if (!response.ok) throw new Error(body.code);
      take(body);
      listen();
    } catch {
      failures += 1;
      // One look that fails may be a server that restarts.
      if (failures > 1) tell({ away: true });
    }
    clearTimeout(timer);
    timer = setTimeout(look, spread(delay()));
  }

  document.addEventListener('visibilitychange', () => document.hidden || look());
  look();
  return look;
}
