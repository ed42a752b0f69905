// Draws a dashboard, fed by a Prometheus, into a picture:
//
//   node dashboard.mjs dashboard.json --prometheus http://127.0.0.1:9090 --out dashboard.png
//     [--theme light|dark] [--width 1600] [--height 2000] [--from now-6h] [--scrape-interval 15s] [--var NAME=VALUE]...
//
// The page that draws it is in `dist` (npm run build). It has no server: its requests are answered here, those below
// /prometheus by the Prometheus, and no other request gets out.

import { readFile } from 'node:fs/promises';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Failure, run, takePicture } from './browser.mjs';

const DIST = join(dirname(fileURLToPath(import.meta.url)), 'dist');
const ORIGIN = 'http://dashboard.invalid';
const PATIENCE_MS = 60_000;
const CONTENT_TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
};

await run('dashboard', async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      prometheus: { type: 'string' },
      out: { type: 'string' },
      theme: { type: 'string', default: 'dark' },
      height: { type: 'string' },
      width: { type: 'string', default: '1600' },
      from: { type: 'string' },
      'scrape-interval': { type: 'string', default: '15s' },
      var: { type: 'string', multiple: true, default: [] },
    },
  });
  if (positionals.length !== 1 || !values.prometheus || !values.out) {
    throw new Failure('needs the file of a dashboard, --prometheus and --out');
  }
  const input = {
    dashboard: JSON.parse(await readFile(positionals[0], 'utf8')),
    theme: values.theme,
    from: values.from,
    scrapeInterval: values['scrape-interval'],
    variables: Object.fromEntries(values.var.map(nameAndValue)),
  };
  await takePicture({
    url: `${ORIGIN}/index.html`,
    out: values.out,
    width: Number(values.width),
    height: values.height && Number(values.height),
    theme: values.theme,
    answer: (request) => answer(request, input, values.prometheus),
    drawn: waitUntilDrawn,
  });
});

function nameAndValue(text) {
  const [, name, value] = text.match(/^(\w+)=(.*)$/) ?? [];
  if (!name) {
    throw new Failure(`--var ${text}: write NAME=VALUE`);
  }
  return [name, value];
}

async function answer(request, input, prometheus) {
  const url = new URL(request.url());
  if (url.protocol === 'data:' || url.protocol === 'blob:') {
    return undefined;
  }
  if (url.origin !== ORIGIN) {
    throw new Error('the page asks somebody else');
  }
  if (url.pathname === '/input.json') {
    return { contentType: 'application/json', body: JSON.stringify(input) };
  }
  if (url.pathname.startsWith('/prometheus/')) {
    const response = await fetch(prometheus.replace(/\/$/, '') + url.pathname.slice('/prometheus'.length), {
      method: request.method(),
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: request.postData(),
    });
    // A refused query says in its body why, and the page tells it: the status is not needed.
    return { contentType: 'application/json', body: await response.text() };
  }
  const path = join(DIST, normalize(decodeURIComponent(url.pathname)));
  return { contentType: CONTENT_TYPES[extname(path)], body: await readFile(path) };
}

/** The page sets `window.outcome` when all is on it, or when it gave up. */
async function waitUntilDrawn(page) {
  const outcome = await page.waitForFunction(() => window.outcome, { timeout: PATIENCE_MS }).catch(() => undefined);
  const { failures = ['nothing was drawn in time'], panels } = (await outcome?.jsonValue()) ?? {};
  if (failures.length > 0) {
    throw new Failure(failures.join('\n  '));
  }
  for (const title of panels.filter((panel) => panel.empty).map((panel) => panel.title)) {
    console.error(`dashboard: no data: ${title}`);
  }
}
