// video.js 8; tested with 8.24.1 (VHS 3.17.5), HLS and DASH.
//
//   import { steerVideojs, videojsOptions } from './videojs.js'
//   const player = steerVideojs(videojs(element, videojsOptions()))

// videojsOptions: VHS gives a segment one and a half times its length, and leaves a
// pathway by itself. It speaks no CMCD; beacon.js reports what it goes through.
export function videojsOptions() {
  return { html5: { vhs: { overrideNative: true } } }
}

// steerVideojs has a player follow steering in DASH for as long as it plays, and returns
// it. VHS takes a RELOAD-URI, and another first pathway in a refreshed MPD, for another
// steering server, begins anew with that, and forgets to listen to it. With this it learns
// which pathways the MPD has, and goes on. In HLS nothing changes.
export function steerVideojs(player) {
  player.on('xhr-hooks-ready', () => queueMicrotask(() => {
    const controller = player.tech(true)?.vhs?.playlistController_
    const steering = controller?.contentSteeringController_
    if (!steering?.addAvailablePathway || !controller.resetContentSteeringController_) return // another VHS
    controller.resetContentSteeringController_ = () => {
      for (const p of controller.main().playlists) steering.addAvailablePathway(p.attributes.serviceLocation)
    }
  }))
  return player
}
