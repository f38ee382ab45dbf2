// Opens a page of a role to which somebody must agree first, signs in on the way, and waits until the page itself is there.
'use strict';

const enter = require('./enter.cjs');

module.exports = async (browser) => {
  const { page, given } = browser;
  await enter(browser, given.url);
  const waits = page.getByText(given.waits);
  const shows = page.getByText(given.shows);
  await waits.or(shows).first().waitFor({ timeout: 60_000 });
  const waiting = (await waits.count()) ? await page.textContent('main') : '';
  await shows.first().waitFor({ timeout: 60_000 });
  return { waiting, url: page.url() };
};
