// Runs a script in Chromium: node run.cjs SCRIPT PROFILE SCREENSHOT, with the script's arguments as JSON on the standard
// input. A script exports `async ({ page, context, keyboard, given }) => value`. What is printed is JSON:
//   { value, violations, complaints }
// `violations` are those of a content security policy, `complaints` the errors of pages and of their console. When the script
// fails there is a screenshot, and the reason on the standard error.
'use strict';

const path = require('node:path');
const { chromium } = require('playwright-core');
const { Keyboard } = require('./keyboard.cjs');

const [script, profile, screenshot] = process.argv.slice(2);

const settings = {
  executablePath: '/usr/bin/chromium',
  headless: true,
  // Chromium's own sandbox refuses to be root's.
  chromiumSandbox: process.getuid() !== 0,
  args: ['--disable-dev-shm-usage', '--disable-gpu', '--no-first-run'],
  ignoreHTTPSErrors: true,
};

async function main() {
  let input = '';
  for await (const part of process.stdin) input += part;
  const given = JSON.parse(input || '{}');
  // Names that are no machine's lead to where the test says.
  const args = [...settings.args, ...(given.resolve ? [`--host-resolver-rules=${given.resolve}`, '--ignore-certificate-errors'] : [])];
  const context = await chromium.launchPersistentContext(profile, { ...settings, args });
  context.setDefaultTimeout(30_000);
  const told = { violations: [], complaints: [] };
  const watch = (page) => {
    page.on('console', (message) => {
      const text = message.text();
      if (/content security policy/i.test(text)) told.violations.push(text);
      else if (message.type() === 'error') told.complaints.push(text);
    });
    page.on('pageerror', (error) => told.complaints.push(String(error)));
  };
  context.pages().forEach(watch);
  context.on('page', watch);
  const page = context.pages()[0] ?? (await context.newPage());
  try {
    const value = await require(path.resolve(script))({ page, context, keyboard: new Keyboard(page), given });
    process.stdout.write(JSON.stringify({ value: value ?? null, ...told }));
  } catch (error) {
    process.exitCode = 1;
    process.stderr.write(`${error.stack}\nat ${page.url()}\n${JSON.stringify(told)}\n`);
    await page.screenshot({ path: screenshot, fullPage: true }).catch(() => {});
  } finally {
    await context.close();
  }
}

main().catch((error) => {
  process.exitCode = 1;
  process.stderr.write(`${error.stack}\n`);
});
