// Signs in on the way to a page of the site behind a role, and uses all that it has. Gives what it saw.
'use strict';

const { createHash, randomBytes } = require('node:crypto');
const fs = require('node:fs/promises');
const enter = require('./enter.cjs');

const LARGE = 10 << 20;

module.exports = async (browser) => {
  const { page, context, given } = browser;
  const { origin } = given;
  const told = {};
  const first = `${origin}/app/first?a=b&c=%20d`;
  await enter(browser, first);
  told.first = page.url() === first;
  told.assets = await page.evaluate(() => ({
    style: getComputedStyle(document.getElementById('view')).color,
    script: document.getElementById('view').textContent,
    picture: document.getElementById('picture').naturalWidth,
  }));

  told.fetched = await page.evaluate(async () => (await (await fetch('/api/me', { headers: { 'x-asked': 'yes' } })).json()).asked);
  told.messages = await page.evaluate(async () => {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`, ['second', 'first']);
    const next = () => new Promise((resolve, reject) => { socket.onmessage = resolve; socket.onclose = reject; });
    await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
    const got = [socket.protocol];
    for (const message of ['one', 'zwei', 'x'.repeat(100_000)]) {
      socket.send(message);
      const { data } = await next();
      got.push(data === message);
    }
    const closed = new Promise((resolve) => { socket.onclose = resolve; });
    socket.close(4001, 'enough');
    return [...got, (await closed).code];
  });
  // The next event is asked for when the one before has come.
  told.events = await page.evaluate(async () => {
    const source = new EventSource('/events');
    const got = [];
    // It may come before the answer to who has asked for it.
    const next = () => new Promise((resolve, reject) => { source.onmessage = resolve; source.onerror = reject; });
    let coming = next();
    for (let number = 1; number < 5; number += 1) {
      got.push((await coming).data);
      coming = next();
      await fetch('/next', { method: 'POST', body: String(number) });
    }
    source.close();
    return got;
  });

  const bytes = randomBytes(LARGE);
  await page.setContent('<input type="file" id="file">');
  const file = `${given.folder}/upload.bin`;
  await fs.writeFile(file, bytes);
  await page.setInputFiles('#file', file);
  const uploaded = await page.evaluate(async () => {
    const [chosen] = document.getElementById('file').files;
    return (await fetch('/upload', { method: 'POST', body: chosen })).json();
  });
  told.uploaded = uploaded.length === LARGE && uploaded.sha256 === createHash('sha256').update(bytes).digest('hex');

  await page.goto(`${origin}/app/`);
  const [download] = await Promise.all([page.waitForEvent('download'), page.evaluate(() => { location.href = '/download'; })]);
  told.downloaded = [download.suggestedFilename(), (await fs.readFile(await download.path())).every((byte) => byte === 120)];

  await page.click('#inside');
  told.inside = [page.url().replace(origin, ''), await page.textContent('#view')];
  await page.goBack();
  told.back = await page.textContent('#view');
  await page.goto(`${origin}/app/deep/link?x=y`);
  told.deep = await page.textContent('#view');
  for (const way of ['relative', 'absolute']) {
    await page.goto(`${origin}/${way}`);
    told[way] = page.url().replace(origin, '');
  }
  await page.fill('input[name=name]', 'Ada');
  await Promise.all([page.waitForURL('**/app/thanks*'), page.click('form button')]);
  told.form = page.url().replace(origin, '');

  await page.goto(`${origin}/set`);
  const kept = (await context.cookies()).filter(({ name }) => !name.startsWith('__Host-hoop'));
  told.cookies = kept.map(({ name, domain }) => `${name} ${domain === new URL(origin).hostname}`).sort();
  told.sent = await page.evaluate(async () => (await (await fetch('/api/me')).json()).cookies.split('; ').sort());
  // It is the gateway's own that was kept under its name.
  const own = (await context.cookies()).filter(({ name, domain }) => name === '__Host-hoop' && domain === new URL(origin).hostname);
  told.own = own.map(({ httpOnly, secure, sameSite, value }) => [httpOnly, secure, sameSite, value !== 'evil']);
  told.readable = await page.evaluate(() => document.cookie.includes('hoop'));

  await page.goto(`${origin}/app/`);
  await Promise.all([page.waitForNavigation(), page.evaluate(() => { location.href = '/.hoop/leave'; })]);
  told.left = new URL(page.url()).origin !== origin;
  told.after = (await context.cookies(origin)).filter(({ name }) => name === '__Host-hoop').length;
  return told;
};
