// A page of one role tries what it can against another role, and against the gateway, in the browser of somebody who is signed in at
// all of them. Gives for each try what it got, and what of it has reached the service.
'use strict';

const enter = require('./enter.cjs');

// Each runs in the attacker's page and returns what it got; nothing, or an error, is what it should be. `at` makes a URL of the
// victim that is this try's alone.
const tries = {
  'a simple fetch': async ({ at }) => (await fetch(at())).text(),
  'a fetch with the cookie': async ({ at }) => (await fetch(at(), { credentials: 'include' })).text(),
  'a fetch that does not want to read': async ({ at }) => { await fetch(at(), { mode: 'no-cors', credentials: 'include' }); },
  'a POST that does not want to read': async ({ at }) => { await fetch(at(), { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'x' }); },
  'a PUT of JSON': async ({ at }) => (await fetch(at(), { method: 'PUT', credentials: 'include', headers: { 'content-type': 'application/json' }, body: '{}' })).text(),
  'a DELETE': async ({ at }) => (await fetch(at(), { method: 'DELETE', credentials: 'include' })).text(),
  'a field of its own': async ({ at }) => (await fetch(at(), { credentials: 'include', headers: { 'x-asked': 'yes' } })).text(),
  'a fetch that is kept alive': async ({ at }) => { await fetch(at(), { mode: 'no-cors', credentials: 'include', keepalive: true }); },
  'a fetch without a referrer': async ({ at }) => { await fetch(at(), { mode: 'no-cors', credentials: 'include', referrerPolicy: 'no-referrer' }); },
  'an XMLHttpRequest': ({ at }) => new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open('GET', at());
    request.withCredentials = true;
    request.onloadend = () => resolve(request.responseText || null);
    request.send();
  }),
  'a beacon': async ({ at }) => { navigator.sendBeacon(at(), 'x'); },
  'a WebSocket': ({ at }) => new Promise((resolve) => {
    const socket = new WebSocket(at('/ws').replace('http', 'ws'));
    socket.onopen = () => resolve('open');
    socket.onclose = () => resolve(null);
  }),
  'an EventSource': ({ at }) => new Promise((resolve) => {
    const source = new EventSource(at('/events'), { withCredentials: true });
    source.onmessage = ({ data }) => resolve(data);
    source.onerror = () => { source.close(); resolve(null); };
  }),
  'an image': ({ at, load }) => load('img', { src: at('/picture.svg') }),
  'a script': async ({ at, load }) => { await load('script', { src: at('/data.js') }); return globalThis.data; },
  'a module': async ({ at }) => { await import(at('/data.js')); return globalThis.data; },
  'a style sheet': async ({ at, load }) => { await load('link', { rel: 'stylesheet', href: at('/style.css') }); },
  'a frame': async ({ at, load }) => { const frame = await load('iframe', { src: at() }); return frame?.contentDocument?.body?.textContent; },
  'an object': ({ at, load }) => load('object', { data: at('/picture.svg') }).then(() => null),
  'a video': ({ at, load }) => load('video', { src: at() }),
  'a prefetch': ({ at, load }) => load('link', { rel: 'prefetch', href: at() }).then(() => null),
  'a form in a frame': async ({ at, load, send }) => { await load('iframe', { name: 'sink', src: 'about:blank' }); await send(at(), 'sink', 'application/x-www-form-urlencoded'); },
  'a form of text in a frame': async ({ at, load, send }) => { await load('iframe', { name: 'sink2', src: 'about:blank' }); await send(at(), 'sink2', 'text/plain'); },
  'a worker': async ({ at }) => { new Worker(at('/worker.js')); return 'runs'; },
  'a service worker of another origin': async ({ at }) => { await navigator.serviceWorker.register(at('/worker.js')); return 'registered'; },
  'a service worker in the place of the gateway': async () => { await navigator.serviceWorker.register('/.hoop/worker.js'); return 'registered'; },
  'signing out by an image': ({ given, load }) => load('img', { src: `${given.origin}/.hoop/leave` }),
  'signing out by a fetch': async ({ given }) => { await fetch(`${given.origin}/.hoop/leave`, { method: 'POST', mode: 'no-cors', credentials: 'include' }); },
  'entering by a fetch': async ({ given }) => (await fetch(`${given.origin}/.hoop/enter?code=x`, { credentials: 'include' })).text(),
  'the API': async ({ given }) => (await fetch(`${given.pages}/api/v1/me`, { credentials: 'include' })).text(),
  'a change by the API': async ({ given }) => (await fetch(`${given.pages}/api/v1/me/password`, { method: 'PUT', credentials: 'include', headers: { 'content-type': 'application/json' }, body: '{}' })).text(),
  'the sign-in in a frame': async ({ given, load }) => { const frame = await load('iframe', { src: `${given.pages}/login` }); return frame?.contentDocument?.body?.textContent; },
  'the way in by a fetch': async ({ given }) => (await fetch(`${given.pages}/enter?redirect_uri=${encodeURIComponent(`${given.origin}/.hoop/enter`)}&code_challenge=${'A'.repeat(43)}`, { credentials: 'include' })).text(),
  'a cookie under the name of the gateway for all': async () => { document.cookie = '__Host-hoop=evil; Domain=apps.hoop.example; Path=/; Secure'; return document.cookie.includes('evil') || null; },
  'a cookie under the name of the gateway for a company': async () => { document.cookie = '__Host-hoop=evil; Domain=hoop.example; Path=/; Secure'; return document.cookie.includes('evil') || null; },
  'a cookie under another name of the gateway': async () => { document.cookie = '__Host-hoop-state=evil; Domain=apps.hoop.example; Path=/; Secure'; return document.cookie.includes('evil') || null; },
};

// In the attacker's page.
async function attempt([name, source, number, given]) {
  const patience = (promise) => Promise.race([promise, new Promise((resolve) => { setTimeout(() => resolve(null), 10_000); })]);
  const at = (path = '/victim') => `${given.origin}${path}?try=${number}`;
  const load = (kind, attributes) => patience(new Promise((resolve) => {
    const element = Object.assign(document.createElement(kind), attributes);
    element.onload = () => resolve(element);
    element.onloadeddata = element.onload;
    element.onerror = () => resolve(null);
    document.body.append(element);
  })).then((element) => (['IFRAME', 'LINK', 'SCRIPT', 'OBJECT'].includes(element?.tagName) ? element : element && 'loaded'));
  const send = (action, target, enctype) => {
    const form = Object.assign(document.createElement('form'), { action, target, enctype, method: 'post' });
    form.innerHTML = '<input name="a" value="b">';
    document.body.append(form);
    const frame = document.querySelector(`iframe[name=${target}]`);
    const done = new Promise((resolve) => { frame.onload = resolve; });
    form.submit();
    return patience(done);
  };
  try {
    // eslint-disable-next-line no-eval
    return (await patience(eval(`(${source})`)({ at, load, send, given }))) ?? null;
  } catch (error) {
    return null;
  }
}

module.exports = async (browser) => {
  const { page, context, given } = browser;
  const asked = async () => (await fetch(`${given.service}/asked`)).json();
  await enter(browser, `${given.origin}/app/mine`);
  const cookies = async () => (await context.cookies(given.origin)).filter(({ name }) => name.startsWith('__Host-hoop')).map(({ value }) => value);
  const before = await cookies();
  await enter(browser, `${given.other}/blank`);
  await asked();

  const told = { tries: {} };
  for (const [number, [name, attack]] of Object.entries(tries).entries()) {
    await page.goto(`${given.other}/blank`);
    const got = await page.evaluate(attempt, [name, attack.toString(), number, given]);
    const reached = (await asked()).filter((line) => line.includes(`try=${number}`) && !line.includes('/blank'));
    told.tries[name] = { got: typeof got === 'object' && got ? 'something' : got, reached };
  }

  // A window that the attacker has opened can be gone to, as by a link, and not looked into.
  await page.goto(`${given.other}/blank`);
  const [opened] = await Promise.all([context.waitForEvent('page'), page.evaluate((url) => { globalThis.opened = open(url); }, `${given.origin}/app/opened`)]);
  await opened.waitForURL('**/app/opened');
  await opened.evaluate(() => { globalThis.heard = []; addEventListener('message', ({ origin, data }) => heard.push([origin, data])); });
  told.opened = await page.evaluate(() => {
    const looked = (look) => { try { return String(look()); } catch (error) { return error.name; } };
    return [looked(() => opened.document.title), looked(() => opened.location.href), looked(() => opened.localStorage.length)];
  });
  // A form that is sent into it is another page's.
  await asked();
  await page.evaluate((action) => {
    const form = Object.assign(document.createElement('form'), { action, method: 'post', target: '_blank' });
    document.body.append(form);
    form.submit();
  }, `${given.origin}/form?try=window`);
  const posted = await context.waitForEvent('page').catch(() => context.pages().at(-1));
  await posted.waitForLoadState();
  told.posted = { text: await posted.textContent('body'), reached: (await asked()).filter((line) => line.includes('try=window')) };

  // Links to what changes something are followed by who did not mean to.
  for (const [what, path] of [['leave', '/.hoop/leave'], ['enter', `/.hoop/enter?code=${given.code}`]]) {
    await page.goto(`${given.other}/blank`);
    await Promise.all([page.waitForNavigation(), page.evaluate((url) => { location.href = url; }, `${given.origin}${path}`)]);
    told[what] = [new URL(page.url()).pathname, await page.textContent('body')];
  }

  told.kept = JSON.stringify(before) === JSON.stringify(await cookies());
  told.cookie = before[0];
  // And its own user can still do all that.
  await page.goto(`${given.origin}/app/mine`);
  told.own = await page.evaluate(async () => {
    const got = [(await fetch('/victim')).status, (await fetch('/upload', { method: 'POST', body: 'x' })).status];
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`);
    got.push(await new Promise((resolve) => { socket.onopen = () => resolve('open'); socket.onerror = () => resolve('refused'); }));
    return got;
  });
  return told;
};
