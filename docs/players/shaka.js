// Shaka Player 5; tested with 5.2.12, HLS and DASH.
//
//   import { shakaConfig } from './shaka.js'
//   player.configure(shakaConfig({ player, contentId, sessionId, collector }))

import { cmcdKeys } from './keys.js'

// shakaConfig gives Shaka a buffer that outlasts a steering TTL (its default is ten
// seconds), and has it leave what is silent. A recording whose segment fails on two
// pathways in a row ends for Shaka, whatever is in the buffer; a live stream does not.
// With the player it goes on trying in both. The other parameters are those of hlsConfig.
export function shakaConfig({ player, contentId, sessionId, collector, segment = 6, behind }) {
  const retry = { maxAttempts: 2, baseDelay: 300, backoffFactor: 1.5, fuzzFactor: 0.3, stallTimeout: 2500, connectionTimeout: 2500 }
  const failureCallback = (error) => {
    if (error.code < 1001 || error.code > 1003) return // a status, no connection, a timeout
    error.severity = 1 // recoverable
    player.retryStreaming(error.code === 1003 ? 0.1 : 1)
  }
  return {
    streaming: {
      bufferingGoal: 30, retryParameters: { ...retry, timeout: Math.max(6000, segment * 1500) },
      ...(player && { failureCallback }),
    },
    manifest: {
      retryParameters: { ...retry, timeout: 5000 },
      ...(behind && { defaultPresentationDelay: behind }),
    },
    ...(collector && {
      cmcd: {
        enabled: true, version: 2, contentId, sessionId,
        eventTargets: [{ url: collector, events: ['ps', 'e', 't', 'rr'], interval: 10, batchSize: 10, includeKeys: cmcdKeys }],
      },
    }),
  }
}
