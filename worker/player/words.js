// What a viewer is told: plain sentences made of the recording's status. Pure; nothing here touches the page.

const ICONS = {
  wait: 'M12 7v5l3.2 2M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z',
  stop: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM6.2 6.2l11.6 11.6',
  alert: 'M12 8v5M12 16.3v.1M10.6 4.6 2.9 18a1.6 1.6 0 0 0 1.4 2.4h15.4a1.6 1.6 0 0 0 1.4-2.4L13.4 4.6a1.6 1.6 0 0 0-2.8 0z',
  lock: 'M6.5 10.5h11v9h-11zM8.5 10.5V8a3.5 3.5 0 0 1 7 0v2.5',
};

// `blocks` says that there is nothing to watch, so the words take the place of the picture.
const say = (tone, chip, headline, detail = '', more = {}) => ({ tone, chip, headline, detail, ...more });
const block = (icon, headline, detail) => say('', '', headline, detail, { blocks: true, icon: ICONS[icon] });

const DENIED = {
  'token-expired': () => block('lock', 'This link has expired.', 'Open the recording again where you found the link to get a new one.'),
  'unauthorized': () => block('lock', 'This link is not complete or not valid.', 'Copy the whole address, or ask for a new link.'),
  'forbidden': () => block('lock', 'This link is for another recording.', 'Ask for a link to this one.'),
  'recording-not-found': () => block('stop', 'There is no such recording.', 'Check the address.'),
};

export const denied = (code) => (DENIED[code] ?? DENIED.unauthorized)();
export const away = () => say('wait', 'No connection', 'There is no connection to the server.', 'Trying again by itself.');

export function stored(status) {
  return Math.max(0, ...Object.values(status.tracks ?? {}).map((track) => track.stored));
}

// `quiet` says that nothing new has come for a while.
export function words(status, quiet) {
  switch (status.state) {
    case 'live': return live(status, quiet);
    case 'finalizing': return finalizing(status);
    case 'ready':
    case 'archived': return ready(status);
    case 'failed': return failed(status);
    case 'cancelled': return block('stop', 'This recording was cancelled.', 'There is nothing to watch.');
    case 'deleted': return block('stop', 'This recording was deleted.', 'There is nothing to watch any more.');
    default: return say('', '', 'The recording is in a state that this page does not know.', 'Reload the page.');
  }
}

function live(status, quiet) {
  if (status.recorder === 'paused') {
    return say('wait', 'Paused', 'The recording is paused.', 'It goes on here when the recorder does.');
  }
  if (stored(status) === 0) {
    return { ...block('wait', 'The recording has not started yet.', 'The picture appears here by itself.'), tone: 'wait', chip: 'Waiting' };
  }
  if (quiet) {
    return say('wait', 'No signal', 'Nothing new has come from the recorder for a while.', 'The recording goes on here as soon as it is heard again.');
  }
  return say('live', 'Recording', 'Being recorded now.', 'You can go back to any moment while it goes on.');
}

function finalizing({ job, provisional }) {
  const share = job?.kind === 'mux' && job.pct > 0 ? ` ${Math.round(job.pct)} % done.` : '';
  const why = provisional ? 'The recorder has been silent for long, so the recording is being finished.' : 'The recording has ended and is being finished.';
  return say('wait', 'Finishing', why, `You can go on watching.${share}`);
}

function ready({ provisional, tail_confirmed: whole, gaps }) {
  const notes = [];
  if (provisional) notes.push('The recorder fell silent; if it comes back, the recording goes on.');
  else if (!whole) notes.push('The recorder did not say where it ended, so the last seconds may be missing.');
  const missing = gaps?.length ?? 0;
  if (missing > 0) notes.push(missing === 1 ? 'One part is missing; it is marked on the timeline.' : `${missing} parts are missing; they are marked on the timeline.`);
  return say('', '', 'The recording is ready.', notes.join(' '));
}

function failed(status) {
  const why = sentence(status.error?.message);
  if (stored(status) === 0) return block('alert', 'The recording could not be finished.', why);
  return say('bad', 'Not finished', 'The recording could not be finished.', `${why} What has arrived can still be watched.`.trim());
}

function sentence(text) {
  const words = (text ?? '').trim();
  return words && `${words[0].toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? '' : '.'}`;
}

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(Number.isFinite(seconds) ? seconds : 0));
  const two = (number) => String(number).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export function spoken(seconds) {
  const whole = Math.max(0, Math.floor(Number.isFinite(seconds) ? seconds : 0));
  const part = (number, unit) => (number > 0 ? [`${number} ${unit}${number === 1 ? '' : 's'}`] : []);
  const parts = [...part(Math.floor(whole / 3600), 'hour'), ...part(Math.floor(whole / 60) % 60, 'minute'), ...part(whole % 60, 'second')];
  return parts.join(' ') || '0 seconds';
}
