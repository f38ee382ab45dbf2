// A server for tests: node server.cjs PORT. See `Node` in the test kit.
'use strict';

const http = require('node:http');
const { WebSocketServer } = require('ws');

const answers = {
  '/chunked': (request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    for (const chunk of ['one\n', 'two\n', 'three\n']) response.write(chunk);
    response.end();
  },
  '/events': (request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    let sent = 0;
    const timer = setInterval(() => {
      sent += 1;
      response.write(`id: ${sent}\ndata: event ${sent}\n\n`);
      if (sent === 3) {
        clearInterval(timer);
        response.end();
      }
    }, 20);
    response.on('close', () => clearInterval(timer));
  },
  '/early': (request, response) => {
    response.writeHead(413, { 'content-type': 'text/plain', connection: 'close' });
    response.end('too large\n');
  },
};

function echo(request, response) {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const { method, url: path, rawHeaders: fields } = request;
    const body = Buffer.concat(chunks).toString();
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ method, path, fields, body }));
  });
}

const server = http.createServer((request, response) => {
  const answer = answers[new URL(request.url, 'http://localhost').pathname] ?? echo;
  answer(request, response);
});
const sockets = new WebSocketServer({ server, path: '/ws', handleProtocols: (offered) => [...offered][0] ?? false });
sockets.on('connection', (socket, request) => {
  const reason = new URL(request.url, 'http://localhost').searchParams.get('close');
  if (reason !== null) socket.close(4001, reason);
  // Who breaks the protocol is told so by the library, and is no reason to end.
  socket.on('error', () => {});
  socket.on('message', (data, binary) => socket.send(data, { binary }));
});
server.listen(Number(process.argv[2]), '127.0.0.1');
