// Drives Chromium for the tests: reads commands, one JSON object a line, from
// standard input, does one after the other, and answers each with a line.
//
//   {"open": URL, "dark": bool, "width": px, "height": px}   a new page, in place of the last
//   {"run": JavaScript}            its value, awaited, as "value"
//   {"picture": PATH}              a PNG of the whole page
//   {"close": true}                no page
//
// Each may name a "page": pages of other names are like other people's browsers, and
// stay as they are.
//
// An answer is {"of": ORDER, "value": ...} or {"of": ORDER, "error": "..."}, with the
// number that the command has as "order". What the page complains of goes to standard
// error. It ends with its input.
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const browser = await chromium.launch({
  executablePath: process.argv[2],
  timeout: 110_000, // a busy machine takes its time
  // The tests run as root in containers, where Chromium's sandbox cannot be had;
  // they open nothing but their own pages. There is no graphics card either, and
  // emulating one costs more than the players.
  args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required', '--disable-dev-shm-usage', '--disable-gpu', '--disable-software-rasterizer'],
})
const pages = new Map()

async function close(name) {
  await pages.get(name)?.context().close()
  pages.delete(name)
}

async function open(name, { open, dark = false, width = 1200, height = 800 }) {
  await close(name)
  const context = await browser.newContext({ colorScheme: dark ? 'dark' : 'light', viewport: { width, height } })
  const page = await context.newPage()
  pages.set(name, page)
  page.on('pageerror', (e) => console.error(`page ${name}:`, e.message))
  page.on('console', (m) => { if (m.type() === 'error') console.error(`page ${name}:`, m.text()) })
  await page.goto(open, { timeout: 110_000 })
}

async function obey({ page: name = '', ...command }) {
  if (command.open) return open(name, command)
  if (command.close) return close(name)
  const page = pages.get(name)
  if (!page) throw new Error(`no page ${name} is open`)
  if (command.run) return page.evaluate(command.run)
  if (command.picture) return void await page.screenshot({ path: command.picture, fullPage: true })
  throw new Error('unknown command')
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer
  const { order, ...command } = JSON.parse(line)
  try {
    answer = { of: order, value: (await obey(command)) ?? null }
  } catch (e) {
    answer = { of: order, error: String(e.message ?? e) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
await browser.close()
