// Tells Fairway what a player went through: requests, failures, switches, stalls.
//
//   import { beacon, watchHls } from './beacon.js'
//   const b = beacon({ url: 'https://go.example/beacon/v1/live', session, video })
//   watchHls(b, hls)                     // or watchDash, watchShaka, watchVideojs
//
// No dependencies, no cookies; it never throws into the app. See README.md.

export function beacon({ url, session, video, every = 10 }) {
  let entries = new Map(), last = '', since = 0, waiting = 0, begun = 0
  const asked = performance.now()
  const folder = (u) => u.split('?')[0].replace(/[^/]*$/, '')
  const entry = (u) => {
    if (!entries.has(u)) entries.set(u, { url: u })
    return entries.get(u)
  }
  const add = (name, n, at = last) => {
    if (at && n) { const e = entry(at); e[name] = Math.round((e[name] || 0) + n) }
  }
  // Time counts for the folder that the last segment came from.
  const clock = () => {
    const now = performance.now()
    if (waiting) add('stalled_ms', now - waiting)
    else if (since) add('playing_ms', now - since)
    if (waiting) waiting = now
    since = begun && !video.paused && !video.ended ? now : 0
  }
  const on = {
    waiting() { clock(); if (begun && !video.seeking) waiting = performance.now() },
    playing() {
      clock(); waiting = 0
      if (!begun) add('start_ms', (begun = performance.now()) - asked)
      since = performance.now()
    },
    pause() { clock(); waiting = since = 0 },
    seeking() { clock(); waiting = 0 },
  }
  for (const name in on) video.addEventListener(name, on[name])
  const send = () => {
    clock()
    const reports = [...entries.values()].slice(-16)
    entries = new Map()
    // Text needs no preflight, and outlives the page.
    if (reports.length) navigator.sendBeacon(url, JSON.stringify({ session, reports }))
  }
  const timer = setInterval(send, every * 1000)
  addEventListener('pagehide', send)
  const failing = new Set()
  const host = (u) => u.split('/')[2]
  return {
    // request tells of a segment or playlist: failed is true or why, ttfb in
    // milliseconds, when known.
    request(u, { failed, ttfb } = {}) {
      if (!/^https?:/.test(u)) return
      const f = folder(u)
      add('requests', 1, f)
      if (failed) { add('failures', 1, f); failing.add(host(f)); return }
      if (ttfb > 0) entry(f).ttfb_ms = Math.round(ttfb)
      if (last && host(last) !== host(f) && failing.delete(host(last))) entry(last).switched = true
      if (/\.(m4[sv]|mp4|ts|cmf\w)$/.test(u.split('?')[0])) { clock(); last = f }
    },
    fatal() { if (last) entry(last).fatal = true; send() },
    close() {
      send(); clearInterval(timer); removeEventListener('pagehide', send)
      for (const name in on) video.removeEventListener(name, on[name])
    },
  }
}

export function watchHls(b, hls) {
  hls.on('hlsFragLoaded', (_, { frag }) => {
    const { start, first } = frag.stats.loading
    b.request(frag.url, { ttfb: first - start })
  })
  hls.on('hlsError', (_, e) => {
    // What it gives up itself, when it switches, is no failure.
    if (e.type === 'networkError' && e.details !== 'aborted') b.request(e.frag?.url || e.url || '', { failed: e.details })
    if (e.fatal) b.fatal(e.details)
  })
}

export function watchDash(b, player) {
  player.on('fragmentLoadingCompleted', ({ request: r, error }) =>
    b.request(r.url, { failed: error?.code, ttfb: r.firstByteDate - r.startDate }))
  // Most of its errors are no end; these are: no manifest, no MSE, the element's own.
  player.on('error', ({ error: e }) => [10, 11, 23].includes(e?.code) && b.fatal(e.message))
  player.on('playbackError', ({ error: e }) => b.fatal(e?.message))
}

export function watchShaka(b, player) {
  const net = player.getNetworkingEngine()
  net.registerResponseFilter((_, r) => b.request(r.uri))
  net.addEventListener('retry', ({ error }) => b.request(error.data?.[0] || '', { failed: error.code }))
  player.addEventListener('error', (e) => e.detail?.severity === 1 || b.fatal(e.detail?.code)) // 1: it goes on
}

export function watchVideojs(b, player) {
  player.on('xhr-hooks-ready', () => player.tech(true).vhs.xhr.onResponse((r, error, answer) =>
    r.aborted || b.request(r.uri || '', { failed: error || answer?.statusCode >= 400 })))
  player.on('error', () => b.fatal(player.error()?.message))
}
