// What is on the screen: the segments through hls.js while they are all there is, the result once it is there.
//
// Owns the media element, which is another one after a move, so others ask for `media` each time. Must not decide which
// of the two to show, nor what a viewer is told.

import Hls from './hls.min.mjs';
import { spread } from './status.js';
import { resultTime } from './timeline.js';

// Two segments behind the newest one: one is being played while the next is fetched.
const EDGE_S = 4;
const AT_EDGE_S = 9;
// Whoever wants to be live is brought back when a stall has cost time: a little faster, or by a jump.
const CATCH_UP_RATE = 1.1;
const BEHIND_S = 8;
const RELOAD_MS = [500, 15_000];
const RECOVER_EVERY_MS = 5_000;
// How far ahead of the picture the result is made ready, so that both meet; longer each time it was too slow.
const LEADS_S = [0.6, 1.5, 3];
const MOVE_MS = 20_000;

// Playlists ask players to begin at the start; whoever wants to be live does not hear of it.
class LiveLoader extends Hls.DefaultConfig.loader {
  load(context, config, callbacks) {
    const onSuccess = (response, ...rest) => {
      response.data = response.data.replace(/^#EXT-X-START:.*$/m, '');
      callbacks.onSuccess(response, ...rest);
    };
    super.load(context, config, { ...callbacks, onSuccess });
  }
}

export function createSource({ video, urls, fromLive, onFault, onMove }) {
  let media = video;
  let kind = '';
  let hls = null;
  let timer = 0; // a beginning that waits
  let wait = 0;
  let left = null; // where a fault has interrupted the viewer, until the picture is back
  let recovered = 0;
  let playing = false; // what the viewer wants, whatever the element does meanwhile
  let moving = false;
  let going = true; // the recorder still records
  let rate = 1;
  let following = fromLive; // the viewer wants to be where the recorder is

  const details = () => hls?.latestLevelDetails;
  const native = () => !Hls.isSupported();

  function drop() {
    clearTimeout(timer);
    timer = 0;
    hls?.destroy();
    hls = null;
    kind = '';
  }

  function resume() {
    if (playing) media.play().catch(() => {});
  }

  // After a fault they come back by themselves, a little later. Every status asks for them, and must not end that pause:
  // hundreds of viewers for whom there is no playlist yet would ask for it as fast as they get the answer.
  function showSegments() {
    if (kind !== 'segments' && timer === 0) begin(kind === 'result' ? media.currentTime : -1);
  }

  function begin(from) {
    drop();
    kind = 'segments';
    if (native()) {
      media.src = urls.playlist;
      return resume();
    }
    // fMP4 needs no transmuxing, so a worker would only cost a second copy of the script.
    const pLoader = following && from < 0 ? LiveLoader : undefined;
    hls = new Hls({ startPosition: from, liveSyncDuration: EDGE_S, enableWorker: false, backBufferLength: 90, pLoader });
    follow(following && rate === 1);
    hls.on(Hls.Events.LEVEL_UPDATED, keepUp);
    hls.on(Hls.Events.FRAG_BUFFERED, () => { [wait, left] = [0, null]; });
    hls.on(Hls.Events.ERROR, (_, fault) => fault.fatal && recover(fault));
    hls.loadSource(urls.playlist);
    hls.attachMedia(media);
    resume();
  }

  function follow(value) {
    following = value;
    if (!hls) return;
    hls.config.maxLiveSyncPlaybackRate = following ? CATCH_UP_RATE : 1;
    media.playbackRate = rate;
  }

  function keepUp() {
    const behind = details().edge - media.currentTime > BEHIND_S;
    if (following && playing && behind && details().live && media.readyState > 0) media.currentTime = hls.liveSyncPosition;
  }

  // A playlist that is not there yet, a server that restarts: begin again where we were, each time a little later.
  function recover(fault) {
    if (fault.type === Hls.ErrorTypes.MEDIA_ERROR && Date.now() - recovered > RECOVER_EVERY_MS) {
      recovered = Date.now();
      return hls.recoverMediaError();
    }
    // An element without a source is at 0: a second fault in a row knows the place from the first one.
    if (media.currentTime > 0) left = { at: media.currentTime, fragments: details()?.fragments };
    onFault(fault.details);
    drop();
    wait = Math.min(wait === 0 ? RELOAD_MS[0] : wait * 2, RELOAD_MS[1]);
    timer = setTimeout(begin, spread(wait), left?.at ?? -1);
  }

  async function showResult(durationS) {
    if (kind === 'result' || moving) return;
    if (kind === '' || native() || media.readyState === 0) {
      const at = resultTime(left?.at ?? media.currentTime, left ? left.fragments : details()?.fragments, durationS);
      left = null;
      drop();
      kind = 'result';
      media.src = urls.result;
      media.currentTime = at;
      media.playbackRate = rate;
      onMove();
      return resume();
    }
    // Leaving picture-in-picture in the middle of a sentence would be worse than waiting for its end.
    if (document.pictureInPictureElement === media) return;
    moving = true;
    const next = media.cloneNode();
    try {
      await prepare(next, durationS);
      swap(next);
    } catch (error) {
      next.remove();
      onFault(`result: ${error.message}`);
    } finally {
      moving = false;
    }
  }

  // Plays the result from where the segments will be in a moment, unseen, until both are at the same place.
  async function prepare(next, durationS) {
    next.removeAttribute('id');
    next.classList.add('next');
    next.src = urls.result;
    Object.assign(next, { volume: media.volume, muted: media.muted, preload: 'auto' });
    media.before(next);
    await until(next, 'loadedmetadata');
    const place = (at) => resultTime(at, details()?.fragments, durationS);
    for (const lead of LEADS_S) {
      const target = media.currentTime + (advances() ? lead * rate : 0);
      next.currentTime = place(target);
      next.playbackRate = rate;
      await until(next, 'seeked');
      if (next.readyState < HTMLMediaElement.HAVE_FUTURE_DATA && next.currentTime < durationS - 0.1) await until(next, 'canplay');
      if (!advances()) {
        next.currentTime = place(media.currentTime);
        return;
      }
      if (media.currentTime < target + 0.1) {
        await reach(target);
        await next.play().catch(() => {});
        return;
      }
    }
    next.currentTime = place(media.currentTime);
    await until(next, 'seeked');
    await next.play().catch(() => {});
  }

  const advances = () => !media.paused && !media.ended && media.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA;

  function reach(target) {
    return new Promise((resolve) => {
      const look = () => (!advances() || media.currentTime >= target ? resolve() : setTimeout(look, 8));
      look();
    });
  }

  function swap(next) {
    const [old, hidden] = [media, hls];
    media = next;
    [hls, kind] = [null, 'result'];
    media.id = old.id;
    old.pause();
    media.classList.remove('next');
    old.remove();
    hidden?.destroy();
    onMove();
    if (playing && media.paused && !media.ended) resume();
  }

  return {
    get media() { return media; },
    get kind() { return kind; },
    get playing() { return playing; },
    set going(value) { going = value; },
    get live() { return going && kind === 'segments' && (native() ? media.duration === Infinity : details()?.live === true); },
    get end() {
      const { duration, seekable } = media;
      if (Number.isFinite(duration)) return duration;
      return seekable.length > 0 ? seekable.end(seekable.length - 1) : 0;
    },
    get atEdge() { return this.live && this.end - media.currentTime < AT_EDGE_S; },
    get fragments() { return details()?.fragments; },
    showSegments,
    showResult,
    drop,
    play() { playing = true; return media.play(); },
    pause() { playing = false; follow(false); media.pause(); },
    seek(at) { follow(false); media.currentTime = Math.max(0, Math.min(at, this.end)); },
    goLive() { this.seek(hls?.liveSyncPosition ?? this.end - EDGE_S); follow(rate === 1); },
    get rate() { return rate; },
    set rate(value) { rate = value; follow(following && rate === 1); media.playbackRate = rate; },
  };
}

function until(element, event) {
  return new Promise((resolve, reject) => {
    const over = (settle, value) => {
      clearTimeout(timer);
      element.removeEventListener(event, good);
      element.removeEventListener('error', bad);
      settle(value);
    };
    const good = () => over(resolve);
    const bad = () => over(reject, new Error(element.error?.message || 'it cannot be played'));
    const timer = setTimeout(() => over(reject, new Error(`no ${event}`)), MOVE_MS);
    element.addEventListener(event, good);
    element.addEventListener('error', bad);
  });
}
