// The page of one recording: hears how it stands, shows what there is to see and says what there is to know.

import { createControls } from './controls.js';
import { announce, embedded, obey } from './embed.js';
import { createSource } from './source.js';
import { follow } from './status.js';
import { away, clock, denied, stored, words } from './words.js';

const QUIET_MS = 20_000;
const POSITION_MS = 1_000;
const $ = (id) => document.getElementById(id);

const query = new URLSearchParams(location.search);
const [, base, id] = location.pathname.match(/^(.*)\/watch\/([^/]+)$/);
const url = (path) => `${base}${path}?token=${encodeURIComponent(query.get('token') ?? '')}`;
const urls = {
  status: url(`/api/recordings/${id}`),
  events: url(`/api/recordings/${id}/events`),
  playlist: url(`/hls/${id}/index.m3u8`),
  result: url(`/media/${id}/result.mp4`),
  poster: url(`/media/${id}/poster.jpg`),
};

let status = null;
let arrived = { count: -1, at: 0 };
let told = '';
let posted = false;

document.documentElement.toggleAttribute('data-embedded', embedded);
const source = createSource({
  video: $('video'),
  urls,
  fromLive: query.get('start') === 'live',
  onFault: () => look(),
  onMove: () => { controls.show(); tell(); },
});
const controls = createControls(source);
const look = follow(urls, (news) => {
  if (news.denied) return refuse(news.denied);
  if (news.away) return tell(away());
  status = news.status;
  source.going = status.state === 'live';
  const count = Object.values(status.tracks ?? {}).reduce((sum, track) => sum + track.received, 0);
  if (count !== arrived.count) arrived = { count, at: Date.now() };
  choose();
  tell();
});

// Shows the result when there is one. A result that a silent recorder may still make longer waits its turn behind the
// segments that somebody is watching.
function choose() {
  // Once: an element that takes over later shows a picture of its own at once.
  if (status.poster && !posted) source.media.poster = urls.poster;
  posted ||= Boolean(status.poster);
  const seen = words(status, false);
  const gone = seen.blocks && status.state !== 'live';
  if (gone) source.drop();
  else if (status.playback === 'mp4' && !(status.provisional && source.kind === 'segments')) source.showResult(status.result.duration_ms / 1000);
  else if (status.playback !== 'mp4') source.showSegments();
}

function refuse(code) {
  source.pause();
  source.drop();
  tell(denied(code));
}

function tell(said = words(status, Date.now() - arrived.at > QUIET_MS)) {
  const watching = source.media.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
  const blocks = said.blocks === true && !(watching && status?.state === 'live');
  $('notice').hidden = !blocks;
  $('controls').hidden = blocks;
  $('status').classList.toggle('hidden', blocks);
  if (blocks) {
    [$('notice-head').textContent, $('notice-text').textContent] = [said.headline, said.detail];
    $('notice-icon').setAttribute('d', said.icon);
  }
  $('chip').hidden = !said.chip;
  $('chip').dataset.tone = said.tone;
  $('chip').lastElementChild.textContent = said.chip;
  [$('headline').textContent, $('detail').textContent] = [said.headline, said.detail];
  $('facts').textContent = facts();
  document.title = said.chip ? `${said.chip} · Recording` : 'Recording';
  marks();
  controls.show();
  const state = status?.state ?? 'unknown';
  if (told !== `${state} ${said.headline} ${source.kind}`) announce('state', { state, headline: said.headline, playback: source.kind });
  told = `${state} ${said.headline} ${source.kind}`;
}

function facts() {
  const result = status?.result;
  const size = result?.width ? `${result.width} × ${result.height}` : '';
  const begun = status ? new Date(status.created_at).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' }) : '';
  return [result ? clock(result.duration_ms / 1000) : '', size, begun].filter(Boolean).join(' · ');
}

// Missing parts on the timeline of the result.
function marks() {
  const length = status?.result?.duration_ms;
  const gaps = source.kind === 'result' && length ? status.gaps ?? [] : [];
  $('gaps').replaceChildren(...gaps.map(({ from_ms: from, to_ms: to }) => {
    const mark = document.createElement('i');
    mark.style.left = `${(from / length) * 100}%`;
    mark.style.width = `${(Math.max(to - from, 0) / length) * 100}%`;
    return mark;
  }));
}

obey({
  play: () => controls.play(),
  pause: () => source.pause(),
  seek: ({ position }) => Number.isFinite(position) && source.seek(position),
});
$('stage').addEventListener('loadeddata', () => status && tell(), true);
setInterval(() => {
  announce('position', { position: source.media.currentTime, duration: source.end, playing: source.playing, live: source.live });
}, POSITION_MS);
if (query.get('autoplay') === '1') {
  source.play().catch((error) => {
    // Browsers let a page that nobody has touched play without sound only.
    if (error.name !== 'NotAllowedError') return;
    source.media.muted = true;
    source.play().catch(() => source.pause());
  });
}
