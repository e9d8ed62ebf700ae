// Drives Chromium for the tests: reads commands, one JSON object a line, from
// standard input, does one after the other, and answers each with a line.
//
//   {"open": URL, "dark": bool, "width": px, "height": px}   a new page, in place of the last
//   {"run": JavaScript}            its value, awaited, as "value"
//   {"picture": PATH}              a PNG of the whole page
//
// An answer is {"value": ...} or {"error": "..."}. What the page complains of goes
// to standard error. It ends with its input.
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const browser = await chromium.launch({
  executablePath: process.argv[2],
  // The tests run as root in containers, where Chromium's sandbox cannot be had;
  // they open nothing but their own pages.
  args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required', '--disable-dev-shm-usage'],
})
let page

async function open({ open, dark = false, width = 1200, height = 800 }) {
  await page?.context().close()
  const context = await browser.newContext({ colorScheme: dark ? 'dark' : 'light', viewport: { width, height } })
  page = await context.newPage()
  page.on('pageerror', (e) => console.error('page:', e.message))
  page.on('console', (m) => { if (m.type() === 'error') console.error('page:', m.text()) })
  await page.goto(open)
}

async function obey(command) {
  if (command.open) return open(command)
  if (command.run) return page.evaluate(command.run)
  if (command.picture) return void await page.screenshot({ path: command.picture, fullPage: true })
  throw new Error('unknown command')
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    answer = { value: (await obey(JSON.parse(line))) ?? null }
  } catch (e) {
    answer = { error: String(e.message ?? e) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
await browser.close()
