// Opens a page behind a role, signs in where that is asked for, and gives what is shown then.
'use strict';

const enter = require('./enter.cjs');

module.exports = async (browser) => {
  const { page, given } = browser;
  const signIns = [];
  page.on('framenavigated', (frame) => {
    const { pathname } = new URL(frame.url());
    if (pathname === '/login') signIns.push(pathname);
  });
  const response = await enter(browser, given.url);
  return { url: page.url(), status: response?.status() ?? null, text: await page.textContent('body'), signIns: signIns.length };
};
