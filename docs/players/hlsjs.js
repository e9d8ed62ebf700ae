// hls.js 1.7.1 or newer; tested with 1.7.4 (not the light build: it has no alternate
// audio).
//
//   import { hlsConfig } from './hlsjs.js'
//   const hls = new Hls(hlsConfig({ contentId, sessionId, collector }))

import { cmcdKeys } from './keys.js'

// hlsConfig has hls.js leave a pathway that fails while there is still enough in the
// buffer; by its defaults it tries for half a minute.
//
//   contentId, sessionId   strings for CMCD; the session is a random id of this playback
//   collector              URL of /cmcd/v2/{service}; none: no CMCD
//   segment                seconds of the longest segment
//   behind                 live: seconds behind the edge; none: hls.js decides
export function hlsConfig({ contentId, sessionId, collector, segment = 6, behind }) {
  const once = { maxNumRetry: 1, retryDelayMs: 300, maxRetryDelayMs: 1000, backoff: 'linear' }
  const never = { maxNumRetry: 0, retryDelayMs: 0, maxRetryDelayMs: 0 }
  const policy = (whole) => ({
    default: { maxTimeToFirstByteMs: 2500, maxLoadTimeMs: whole, timeoutRetry: never, errorRetry: once },
  })
  return {
    fragLoadPolicy: policy(Math.max(8000, segment * 1500)),
    playlistLoadPolicy: policy(5000),
    // By default up to ten minutes: paid for, and out of steering's reach.
    maxBufferLength: 30, maxMaxBufferLength: 30,
    ...(behind && { liveSyncDuration: behind, liveMaxLatencyDuration: behind * 3 }),
    ...(collector && {
      cmcd: {
        version: 2, contentId, sessionId,
        eventTargets: [{ url: collector, events: ['ps', 'e', 't', 'rr'], interval: 10, batchSize: 10, includeKeys: cmcdKeys }],
      },
    }),
  }
}
