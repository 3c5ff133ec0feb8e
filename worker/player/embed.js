// What the page around an embedded player hears and may ask for. Nothing secret is said, so anybody may listen.

const outside = window.parent === window ? null : window.parent;

export const embedded = outside !== null;

export function announce(type, fields) {
  outside?.postMessage({ source: 'spool', version: 1, type, ...fields }, '*');
}

export function obey(commands) {
  window.addEventListener('message', ({ source, data }) => {
    if (source !== outside || data?.target !== 'spool') return;
    if (Object.hasOwn(commands, data.type)) commands[data.type](data);
  });
}
