// Takes a picture of a page in headless Chromium, or says why there is none.

import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const PATIENCE_MS = 60_000;

/** So tall that everything is in sight: a table draws only the rows that are. */
const VIEW_HEIGHT = 5000;

/** What went wrong, in words for whoever asked for the picture. */
export class Failure extends Error {}

/**
 * Opens `url`, waits until `drawn(page)` is done, and writes the page to `out`, down to `height` where it is longer.
 *
 * `answer` is given each request and either resolves to a response or to nothing, in which case the request goes out.
 * Whatever goes wrong on the page is a failure: a picture that looks right by luck is worth nothing.
 */
export async function takePicture({ url, out, width, height = VIEW_HEIGHT, theme, answer, drawn }) {
  if (!existsSync(CHROMIUM)) {
    throw new Failure(`there is no Chromium at ${CHROMIUM}. Install it: apt-get install chromium`);
  }
  const profile = await mkdtemp(join(tmpdir(), 'picture-'));
  let browser;
  try {
    browser = await puppeteer.launch({
      executablePath: CHROMIUM,
      userDataDir: profile,
      // There is no sandbox for root, and no GPU; the rest keeps Chromium from talking to anybody else.
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--no-proxy-server',
      ],
    });
    const page = await browser.newPage();
    const troubles = watch(page);
    await page.setViewport({ width, height: VIEW_HEIGHT });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }]);
    await page.emulateTimezone('UTC');
    if (answer) {
      await answerRequests(page, answer, troubles);
    }
    const response = await page.goto(url, { waitUntil: 'load', timeout: PATIENCE_MS });
    if (!response.ok()) {
      throw new Failure(`${url} answered with status ${response.status()}`);
    }
    await drawn?.(page);
    await page.waitForNetworkIdle({ idleTime: 500, timeout: PATIENCE_MS });
    await page.evaluate(() => document.fonts.ready.then(() => undefined));
    if (troubles.length > 0) {
      throw new Failure(`the page has troubles:\n  ${troubles.join('\n  ')}`);
    }
    const content = await page.evaluate(() => {
      const all = document.createRange();
      all.selectNodeContents(document.body);
      return Math.ceil(all.getBoundingClientRect().bottom);
    });
    const clip = { x: 0, y: 0, width, height: Math.min(content, height) };
    await page.screenshot({ path: out, clip, optimizeForSpeed: false });
  } finally {
    await browser?.close();
    await rm(profile, { recursive: true, force: true });
  }
}

/** Collects what goes wrong on a page. */
function watch(page) {
  const troubles = [];
  page.on('pageerror', (error) => troubles.push(error.stack ?? String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') {
      troubles.push(message.text());
    }
  });
  page.on('requestfailed', (request) => troubles.push(`${request.url()}: ${request.failure()?.errorText}`));
  return troubles;
}

async function answerRequests(page, answer, troubles) {
  await page.setRequestInterception(true);
  page.on('request', (request) => {
    answer(request)
      .then((response) => (response ? request.respond(response) : request.continue()))
      .catch((error) => {
        troubles.push(`${request.url()}: ${error.message}`);
        return request.abort();
      });
  });
}

/** Runs a command's `main` and ends with its exit code: 0, or 1 after a line that says what is wrong. */
export async function run(name, main) {
  try {
    await main();
  } catch (error) {
    const known = error instanceof Failure || error?.code?.startsWith?.('ERR_PARSE_ARGS');
    console.error(`${name}: ${known ? error.message : (error.stack ?? error)}`);
    process.exitCode = 1;
  }
}
