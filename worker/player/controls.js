// Buttons, sliders and keys, and what they show. They act on the source and know nothing of recordings.

import { clock, spoken } from './words.js';

const IDLE_MS = 2_500;
const VOLUME_KEY = 'spool.volume';
const $ = (id) => document.getElementById(id);

export function createControls(source) {
  const stage = $('stage');
  const [seek, volume, rate, help] = ['seek', 'volume', 'rate', 'help'].map($);
  let dragging = false;
  let idle = 0;

  const toggle = () => (source.playing ? source.pause() : play());
  const play = () => {
    if (source.media.ended) source.seek(0);
    source.play().catch(show);
  };
  const skip = (seconds) => source.seek(source.media.currentTime + seconds);
  const toEnd = () => (source.live ? source.goLive() : source.seek(source.end));
  const mute = () => { source.media.muted = !source.media.muted; };
  const louder = (by) => setVolume(source.media.volume + by);
  const full = () => (document.fullscreenElement ? document.exitFullscreen() : stage.requestFullscreen?.()?.catch(() => {}));
  const listKeys = () => (help.open ? help.close() : help.showModal());

  function setVolume(level) {
    Object.assign(source.media, { volume: Math.max(0, Math.min(1, level)), muted: false });
    try {
      localStorage.setItem(VOLUME_KEY, source.media.volume);
    } catch { /* an embedded page may store nothing */ }
  }

  function recallVolume() {
    try {
      const level = Number.parseFloat(localStorage.getItem(VOLUME_KEY));
      if (level >= 0 && level <= 1) source.media.volume = level;
    } catch { /* as above */ }
  }

  // Shows how things are; called whenever anything may have changed.
  function show() {
    const { media, live, end, atEdge } = source;
    const at = dragging ? seek.valueAsNumber : media.currentTime;
    stage.toggleAttribute('data-playing', source.playing);
    stage.toggleAttribute('data-muted', media.muted || media.volume === 0);
    stage.toggleAttribute('data-full', document.fullscreenElement === stage);
    name('play', source.playing ? 'Pause' : 'Play');
    name('mute', media.muted ? 'Unmute' : 'Mute');
    name('full', document.fullscreenElement ? 'Leave full screen' : 'Full screen');
    $('start').hidden = source.playing || media.currentTime > 0 || !(media.readyState >= 2);
    $('spinner').hidden = !(source.playing && media.readyState < 3 && !media.ended) || !$('notice').hidden;
    $('live').hidden = !live;
    $('live').toggleAttribute('data-edge', atEdge);
    $('live').lastElementChild.textContent = atEdge ? 'Live' : 'Go live';
    seek.max = Math.max(end, 0.1);
    if (!dragging) seek.value = at;
    fill(seek, at, end);
    seek.setAttribute('aria-valuetext', `${spoken(at)} of ${spoken(end)}${atEdge ? ', live' : ''}`);
    volume.value = media.muted ? 0 : media.volume;
    fill(volume, volume.valueAsNumber, 1);
    volume.setAttribute('aria-valuetext', `${Math.round(volume.valueAsNumber * 100)} %`);
    $('now').textContent = clock(at);
    $('end').textContent = clock(end);
  }

  function name(id, text) {
    const button = $(id);
    if (button.ariaLabel !== text) [button.ariaLabel, button.title] = [text, text];
  }

  function fill(slider, at, end) {
    const { buffered } = source.media;
    const got = slider === seek && buffered.length > 0 ? buffered.end(buffered.length - 1) : 0;
    const share = (value) => `${end > 0 ? Math.min(100, (value / end) * 100) : 0}%`;
    slider.style.setProperty('--at', share(at));
    slider.style.setProperty('--got', share(Math.max(at, got)));
  }

  function wake() {
    clearTimeout(idle);
    stage.removeAttribute('data-idle');
    idle = setTimeout(() => stage.toggleAttribute('data-idle', source.playing), IDLE_MS);
  }

  const KEYS = {
    ' ': toggle, k: toggle, arrowleft: () => skip(-5), arrowright: () => skip(5), j: () => skip(-10), l: () => skip(10),
    arrowup: () => louder(0.1), arrowdown: () => louder(-0.1), m: mute, f: full, home: () => source.seek(0), end: toEnd, '?': listKeys,
  };

  function press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || (help.open && event.key !== '?') || !$('notice').hidden) return;
    const { target } = event;
    // A focused button or list keeps the keys that it answers to itself.
    if (target.closest('button') && event.key === ' ') return;
    if (target.closest('select') && !'?mf'.includes(event.key)) return;
    if (target === volume && event.key.startsWith('Arrow')) return;
    const digit = /^[0-9]$/.test(event.key) ? () => source.seek((source.end * Number(event.key)) / 10) : null;
    const act = digit ?? KEYS[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
    wake();
    show();
  }

  $('play').onclick = toggle;
  $('start').onclick = () => { play(); $('play').focus({ preventScroll: true }); };
  $('mute').onclick = mute;
  $('live').onclick = () => { source.goLive(); play(); };
  $('full').onclick = full;
  $('keys').onclick = listKeys;
  rate.onchange = () => { source.rate = Number(rate.value); };
  volume.oninput = () => setVolume(volume.valueAsNumber);
  seek.oninput = () => { dragging = true; source.seek(seek.valueAsNumber); show(); };
  seek.onchange = () => { dragging = false; };
  stage.addEventListener('click', ({ target }) => target === source.media && toggle());
  stage.addEventListener('dblclick', ({ target }) => target === source.media && full());
  for (const event of ['pointermove', 'pointerdown', 'focusin']) stage.addEventListener(event, wake);
  document.addEventListener('keydown', press);
  document.addEventListener('fullscreenchange', show);
  // Media events do not bubble, and the element changes when the result takes over: catch them on the way down.
  for (const event of ['timeupdate', 'progress', 'durationchange', 'play', 'pause', 'waiting', 'playing', 'canplay', 'seeked', 'ended', 'volumechange', 'loadeddata']) {
    stage.addEventListener(event, ({ target }) => {
      if (target !== source.media) return;
      if (event === 'ended') source.pause();
      show();
    }, true);
  }
  recallVolume();
  show();
  return { show, play };
}
