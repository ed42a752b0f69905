// Takes a picture of a page that a server has:
//
//   node page.mjs http://127.0.0.1:10058/ --out status.png [--theme light|dark] [--width 1200] [--height 1000]

import { parseArgs } from 'node:util';
import { Failure, run, takePicture } from './browser.mjs';

await run('page', async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      theme: { type: 'string', default: 'light' },
      height: { type: 'string' },
      width: { type: 'string', default: '1200' },
    },
  });
  if (positionals.length !== 1 || !values.out) {
    throw new Failure('needs the address of a page, and --out');
  }
  const { out, theme, width, height } = values;
  await takePicture({
    url: positionals[0],
    out,
    theme,
    width: Number(width),
    height: height && Number(height),
    // Whatever the page has, a browser asks for an icon as well.
    answer: async (request) => (request.url().endsWith('/favicon.ico') ? { status: 204 } : undefined),
  });
});
