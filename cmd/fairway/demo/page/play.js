// Plays a steered manifest with one of the players that the kit configures, and
// tells what happens. The page must have loaded the player's own script.
import { beacon, watchDash, watchHls, watchShaka, watchVideojs } from './kit/beacon.js'
import { dashSettings } from './kit/dashjs.js'
import { hlsConfig } from './kit/hlsjs.js'
import { shakaConfig } from './kit/shaka.js'
import { steerVideojs, videojsOptions } from './kit/videojs.js'

// Each starts on a video element and returns how it ends.
const start = {
  'hls.js'(video, manifest, options, b) {
    const hls = new Hls(hlsConfig(options))
    watchHls(b, hls)
    hls.loadSource(manifest)
    hls.attachMedia(video)
    return () => hls.destroy()
  },
  'dash.js'(video, manifest, options, b) {
    const player = dashjs.MediaPlayer().create()
    player.updateSettings({ debug: { logLevel: 0 } })
    player.updateSettings(dashSettings(options))
    watchDash(b, player)
    player.initialize(video, manifest, true)
    return () => player.destroy()
  },
  async Shaka(video, manifest, options, b) {
    const player = new shaka.Player()
    await player.attach(video)
    player.configure(shakaConfig({ ...options, player }))
    watchShaka(b, player)
    await player.load(manifest)
    return () => player.destroy()
  },
  'video.js'(video, manifest, options, b) {
    videojs.Vhs.MAX_GOAL_BUFFER_LENGTH = 30 // seconds, as the others; by default up to a minute
    const player = steerVideojs(videojs(video, videojsOptions()))
    watchVideojs(b, player)
    player.src({ src: manifest, type: /\.mpd/.test(manifest) ? 'application/dash+xml' : 'application/x-mpegURL' })
    player.play()
    return () => player.dispose()
  },
}

export const players = Object.keys(start)

// play starts a player and returns what it has seen so far, kept up to date:
//
//   requests   [{ at, url, failed }]: when it ended, in milliseconds of
//              performance.now(); failed says why, or is empty
//   media      the URL of the newest media segment
//   stalls     [{ at, ms }], since playback began
//   fatal      why the player gave up, or empty
//   stop()     ends it
export async function play(kind, video, { manifest, reports, ...options }) {
  const session = options.sessionId
  const seen = { requests: [], media: '', stalls: [], fatal: '', stop: () => {} }
  const tell = reports ? beacon({ url: reports, session, video }) : { request() {}, fatal() {}, close() {} }
  observeStalls(video, seen)
  const watch = {
    request(url, how) {
      seen.requests.push({ at: performance.now(), url, failed: how?.failed ? String(how.failed) : '' })
      if (!how?.failed && /\.m4s$/.test(url.split('?')[0])) seen.media = url
      tell.request(url, how)
    },
    fatal(why) { seen.fatal = String(why ?? 'it says not why'); tell.fatal() },
  }
  const end = await start[kind](video, manifest, options, watch)
  seen.stop = () => { tell.close(); return end() }
  video.play().catch(() => {}) // a page that nobody has touched may be held back
  return seen
}

// observeStalls notes where playback waits for media after it has begun. A seek
// waits too, and is none.
function observeStalls(video, seen) {
  let begun = false, stall
  video.addEventListener('playing', () => { begun = true; stall = undefined })
  video.addEventListener('waiting', () => {
    if (!begun || stall || video.seeking) return
    stall = { at: performance.now(), ms: 0 }
    seen.stalls.push(stall)
  })
  setInterval(() => { if (stall) stall.ms = performance.now() - stall.at }, 50)
}
