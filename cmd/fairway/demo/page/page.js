// The demo's page: two players on the emulated CDNs, what they play from, and
// buttons that break what they play from.
import { play } from './play.js'

const $ = (selector, from = document) => from.querySelector(selector)
const settings = await (await fetch('settings.json')).json()
const cdnOf = (url) => settings.cdns[new URL(url).hostname] ?? ''
// As the demo's configuration names them: the CDN, and the pool, which its URLs begin with.
const pathwayOf = (url) => `${cdnOf(url)}-${new URL(url).pathname.split('/')[1]}`
const behind = 15 // seconds: three TTLs

function say(text) {
  const line = document.createElement('li')
  const at = document.createElement('time')
  at.textContent = new Date().toLocaleTimeString([], { hour12: false })
  line.append(at, text)
  $('#log').prepend(line)
  while ($('#log').children.length > 200) $('#log').lastChild.remove()
}

function complain(text) {
  $('#notice').textContent = text
  $('#notice').hidden = !text
}

// A player, and every half second what it has seen.
async function show(kind, file) {
  const card = $('#player').content.firstElementChild.cloneNode(true)
  $('h2', card).textContent = `${kind}, ${file.endsWith('mpd') ? 'DASH' : 'HLS'}`
  $('#players').append(card)
  const video = $('video', card)
  const session = crypto.randomUUID()
  const seen = await play(kind, video, {
    manifest: `${settings.door}/manifest/v1/live/${file}?s=${session}`,
    reports: `${settings.door}/beacon/v1/live`, collector: `${settings.door}/cmcd/v2/live`,
    contentId: 'demo', sessionId: session, segment: 2, behind,
  })
  let from = '', stalls = 0, gaveUp = ''
  const update = () => {
    const now = seen.media && cdnOf(seen.media)
    if (now !== from) {
      say(from ? `${kind} has moved from ${from} to ${now}` : `${kind} plays from ${now}`)
      from = now
    }
    if (seen.stalls.length > stalls) say(`${kind} stalls`)
    stalls = seen.stalls.length
    if (seen.fatal !== gaveUp) complain(`${kind} has given up: ${gaveUp = seen.fatal}. Load the page again.`)
    $('.from', card).textContent = from || '–'
    $('.from', card).className = `from ${from}`
    $('.pathway', card).textContent = seen.media ? pathwayOf(seen.media) : '–'
    const waited = seen.stalls.reduce((sum, s) => sum + s.ms, 0)
    $('.stalls', card).textContent = stalls ? `${stalls}, ${(waited / 1000).toFixed(1)} s` : '0'
    $('.stalls', card).classList.toggle('some', stalls > 0)
    const b = video.buffered
    $('.ahead', card).textContent = b.length ? `${Math.max(0, b.end(b.length - 1) - video.currentTime).toFixed(0)} s` : '–'
    bars($('.segments', card), seen.requests.slice(-80))
  }
  setInterval(update, 500)
}

// A bar for each request, the newest on the right.
function bars(at, requests) {
  at.replaceChildren(...requests.map((r) => {
    const bar = document.createElement('i')
    bar.className = cdnOf(r.url) + (r.failed ? ' failed' : '')
    bar.title = `${cdnOf(r.url)}: ${new URL(r.url).pathname}${r.failed ? ', failed' : ''}`
    return bar
  }))
  const counts = Object.values(settings.cdns).map((cdn) => [cdn, requests.filter((r) => cdnOf(r.url) === cdn).length])
  at.setAttribute('aria-label', `newest requests: ${[...new Map(counts)].filter(([, n]) => n).map(([cdn, n]) => `${n} to ${cdn}`).join(', ')}`)
}

const faults = {
  blackhole: { blackhole: true }, errors: { error_rate: 1 }, throttle: { throttle_bps: 60000 }, clear: { clear: true },
}

function words(f) {
  return [
    f.blackhole && 'black hole', f.error_rate && `${Math.round(f.error_rate * 100)} % of answers are 503`,
    f.throttle_bps && `${f.throttle_bps / 1000} kbit/s`, f.latency && `+${f.latency}`,
  ].filter(Boolean).join(', ') + (f.region ? ` for ${f.region}` : '')
}

const rows = new Map()
for (const cdn of new Set(Object.values(settings.cdns))) {
  const row = $('#cdn').content.firstElementChild.cloneNode(true)
  row.classList.add(cdn)
  $('.name', row).textContent = cdn
  for (const button of row.querySelectorAll('button')) {
    button.setAttribute('aria-label', `${button.textContent}: ${cdn}`)
    button.onclick = () => setFault({ cdn, ...faults[button.dataset.fault] })
  }
  rows.set(cdn, row)
  $('#cdns').append(row)
}

async function setFault(fault) {
  const answer = await fetch('demo/v1/faults', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(fault),
  })
  const body = await answer.json()
  if (!answer.ok) return complain(body.error)
  say(fault.clear ? `${fault.cdn} is mended` : `${fault.cdn} is broken: ${words(fault)}`)
  tellFaults(body.faults)
}

function tellFaults(list) {
  for (const [cdn, row] of rows) {
    const broken = list.filter((f) => f.cdn === cdn).map(words).join('; ')
    $('.state', row).textContent = broken || 'well'
    $('.state', row).classList.toggle('broken', !!broken)
    $('[data-fault=clear]', row).disabled = !broken
  }
}

// Others can break CDNs too, by `fairway demo fault`; and decisions change.
async function refresh() {
  try {
    tellFaults((await (await fetch('demo/v1/faults')).json()).faults)
    const decision = await (await fetch(`${settings.door}/decide/v1/live`)).json()
    $('#decision').textContent = `generation ${decision.generation}: ${decision.endpoints[0].provider} is the first for players here, from the origins in ${decision.endpoints[0].pool}; they ask again every ${decision.ttl} s`
    if ($('#notice').textContent.startsWith('Fairway')) complain('')
  } catch {
    complain('Fairway does not answer: has the demo ended?')
  }
}

setInterval(refresh, 1000)
await refresh()
await Promise.all([show('hls.js', 'main.m3u8'), show('dash.js', 'main.mpd')])
