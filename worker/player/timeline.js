// Where a moment of the playlists lies in the result. Pure.
//
// Playlists leave a pause out; the result holds the last picture for as long, unless the pause was cut. Which of the two
// it is shows in the result's length: it is that of the wall clock or that of what is listed.

export function resultTime(at, fragments, durationS) {
  const first = fragments?.[0];
  if (!first) return at;
  const last = fragments.at(-1);
  const listed = last.start + last.duration - first.start;
  const fragment = fragments.find((candidate) => at < candidate.start + candidate.duration) ?? last;
  const byClock = clock(first, fragment, at);
  const length = clock(first, last, last.start + last.duration);
  const kept = Number.isFinite(byClock) && Math.abs(length - durationS) < Math.abs(listed - durationS);
  const place = kept ? byClock : at - first.start;
  return Math.max(0, Math.min(place, durationS));
}

function clock(first, fragment, at) {
  if (first.programDateTime == null || fragment.programDateTime == null) return NaN;
  return (fragment.programDateTime - first.programDateTime) / 1000 + (at - fragment.start);
}
