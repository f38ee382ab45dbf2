// A page of one role asks for things of others, of which some let it. Gives for each what it could read.
'use strict';

const enter = require('./enter.cjs');

// A message of `GetRequest` with the number 1, in its frame.
const GET_FIRST = [0, 0, 0, 0, 2, 8, 1];

module.exports = async (browser) => {
  const { page, given } = browser;
  for (const origin of [given.friend, given.other, given.origin]) await enter(browser, `${origin}/app/first`);
  return page.evaluate(async ({ friend, other, shop, token, call }) => {
    const ask = async (url, options) => {
      try {
        const response = await fetch(url, options);
        return { status: response.status, text: await response.text(), call: response.headers.get('grpc-status') };
      } catch (error) {
        return { failed: error.name };
      }
    };
    const cookie = { credentials: 'include' };
    const headers = { 'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1' };
    const get = { method: 'POST', headers, body: new Uint8Array(call) };
    const at = `${shop}/shop.v1.Customers/Get`;
    return {
      cookie: await ask(`${friend}/api/me`, { ...cookie, headers: { 'content-type': 'application/json' } }),
      field: await ask(`${friend}/api/me`, { ...cookie, headers: { 'x-other': '1' } }),
      method: await ask(`${friend}/api/me`, { ...cookie, method: 'PUT', body: 'x' }),
      simple: await ask(`${friend}/api/me`, { ...cookie, method: 'POST', body: 'x' }),
      nobody: await ask(`${friend}/api/me`, { credentials: 'omit' }),
      other: await ask(`${other}/api/me`, cookie),
      call: await ask(at, { ...get, headers: { ...headers, 'hoop-token': token } }),
      refused: await ask(at, get),
    };
  }, { ...given, call: GET_FIRST });
};
