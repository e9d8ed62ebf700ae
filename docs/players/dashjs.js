// dash.js 5; tested with 5.2.1.
//
//   import { dashSettings } from './dashjs.js'
//   const player = dashjs.MediaPlayer().create()
//   player.updateSettings(dashSettings({ contentId, sessionId, collector }))

import { cmcdKeys } from './keys.js'

// dashSettings has dash.js leave a pathway at the first failure and after seconds of
// silence; by its defaults it never leaves one that accepts connections and is silent.
// The parameters are those of hlsConfig.
export function dashSettings({ contentId, sessionId, collector, segment = 6, behind }) {
  return {
    streaming: {
      retryAttempts: { MediaSegment: 0, InitializationSegment: 0 },
      fragmentRequestTimeout: Math.max(3000, segment * 1500), // of a whole segment
      // By default 18 s, and later up to a minute: too little for steering, or out of its reach.
      buffer: { bufferTimeDefault: 30, bufferTimeAtTopQuality: 30, bufferTimeAtTopQualityLongForm: 30 },
      ...(behind && { delay: { liveDelay: behind } }),
      ...(collector && {
        cmcd: {
          enabled: true, version: 2, mode: 'query', cid: contentId, sid: sessionId,
          includeInRequests: ['segment', 'mpd', 'steering'],
          eventTargets: [{ enabled: true, url: collector, events: ['ps', 'e', 't', 'rr'], interval: 10, batchSize: 10, enabledKeys: cmcdKeys }],
        },
      }),
    },
  }
}
