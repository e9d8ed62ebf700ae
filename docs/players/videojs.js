// video.js 8; tested with 8.24.1 (VHS 3.17.5), HLS and DASH.
//
//   import { videojsOptions } from './videojs.js'
//   const player = videojs(element, videojsOptions())

// videojsOptions: VHS gives a segment one and a half times its length, and leaves a
// pathway by itself. In DASH it follows the first steering only: see README.md. It speaks
// no CMCD; beacon.js reports what it goes through.
export function videojsOptions() {
  return { html5: { vhs: { overrideNative: true } } }
}
