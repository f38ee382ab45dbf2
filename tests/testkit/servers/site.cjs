// A web app for tests: node site.cjs PORT. See `Site` in the test kit.
'use strict';

const { createHash } = require('node:crypto');
const http = require('node:http');
const { WebSocketServer } = require('ws');

// Its one page; each path below /app/ is a view of it.
const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Site</title>
<link rel="stylesheet" href="/style.css">
<img id="picture" src="/picture.svg" alt="a square">
<h1 id="view"></h1>
<a id="inside" href="/app/inside?x=y">inside</a>
<form id="form" method="post" action="/form"><input name="name"><button>Send</button></form>
<script src="/app.js"></script>
</html>`;
const script = `
const show = () => { document.getElementById('view').textContent = location.pathname; };
document.getElementById('inside').addEventListener('click', (event) => {
  event.preventDefault();
  history.pushState({}, '', event.target.href);
  show();
});
addEventListener('popstate', show);
show();`;
const picture = '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"><rect width="7" height="7"/></svg>';

// Those who wait for the next event.
const streams = new Set();
let asked = [];

const body = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
};

const files = {
  '/style.css': ['text/css', 'h1 { color: rgb(1, 2, 3); }'],
  '/app.js': ['text/javascript', script],
  '/picture.svg': ['image/svg+xml', picture],
  '/worker.js': ['text/javascript', 'self.addEventListener("fetch", (event) => event.respondWith(new Response("stolen")));'],
  '/data.js': ['text/javascript', 'globalThis.data = "secret";'],
};

const answers = {
  '/api/me': (request, response) => json(response, { cookies: request.headers.cookie ?? '', asked: request.headers['x-asked'] ?? '' }),
  // Each event is sent when somebody asks for it: that one has come says that none of those before was kept.
  '/events': (request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: 0\n\n');
    streams.add(response);
    response.on('close', () => streams.delete(response));
  },
  '/next': async (request, response) => {
    const said = await body(request);
    for (const stream of streams) stream.write(`data: ${said}\n\n`);
    json(response, { streams: streams.size });
  },
  '/upload': async (request, response) => {
    const sent = await body(request);
    json(response, { length: sent.length, sha256: createHash('sha256').update(sent).digest('hex') });
  },
  '/download': (request, response) => {
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-disposition': 'attachment; filename="numbers.bin"' });
    response.end(Buffer.alloc(1 << 20, 'x'));
  },
  '/relative': (request, response) => redirect(response, 'app/relative'),
  '/absolute': (request, response) => redirect(response, `http://${request.headers.host}/app/absolute`),
  '/set': (request, response) => {
    const cookies = ['plain=1', 'path=1; Path=/api', 'wide=1; Domain=hoop.example', 'parent=1; Domain=apps.hoop.example', 'local=1; Domain=localhost', 'script=1', 'hidden=1; HttpOnly; SameSite=Lax', '__Host-hoop=evil; Path=/; Secure', '__Host-hoop-state=evil; Path=/; Secure'];
    response.writeHead(200, { 'set-cookie': cookies, 'content-type': 'text/plain' });
    response.end('set');
  },
  '/form': async (request, response) => {
    const { name } = Object.fromEntries(new URLSearchParams((await body(request)).toString()));
    response.writeHead(303, { location: `/app/thanks?name=${name}` });
    response.end();
  },
  '/cached': (request, response) => {
    response.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'public, max-age=3600' });
    response.end('<!doctype html><title>Cached</title><p>for one</p>');
  },
  // What was asked of it since this was last asked.
  '/asked': (request, response) => {
    json(response, asked);
    asked = [];
  },
  '/blank': (request, response) => html(response, '<!doctype html><title>Blank</title>'),
};

const json = (response, value) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
};
const html = (response, text) => {
  response.writeHead(200, { 'content-type': 'text/html' });
  response.end(text);
};
const redirect = (response, location) => {
  response.writeHead(302, { location });
  response.end();
};

const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname !== '/asked') asked.push(`${request.method} ${request.url}`);
  if (answers[pathname]) return answers[pathname](request, response);
  if (files[pathname]) {
    response.writeHead(200, { 'content-type': files[pathname][0] });
    return response.end(files[pathname][1]);
  }
  return html(response, page);
});
const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][0] ?? false });
server.on('upgrade', (request, socket, head) => {
  asked.push(`WS ${request.url}`);
  sockets.handleUpgrade(request, socket, head, (open) => {
    open.on('error', () => {});
    open.on('message', (data, binary) => open.send(data, { binary }));
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1');
